"""The Marketplace says why an extension was switched off and what it used, and takes permissions back."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.page import Page
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    (row, *_) = (row for row in host.extensions if row["installed"])
    row.update(
        bundled=False,
        granted=["network:example.com:443"],
        usage={"calls": 3, "tokens": 0, "cost": 0.0, "activation": 0.2, "limits": {"calls": 10}},
        problem={"message": f"{row['name']} crashed 3 times", "remedy": "", "crashes": []},
    )
    page = Page(host)
    await page.begin()
    await page.open("market")
    yield page
    await page.close()
    await host.close()


async def test_a_report_and_what_was_used_are_shown(page: Page) -> None:
    assert any("crashed 3 times" in alert["props"]["title"] for alert in find(page, "Alert"))
    (table,) = (t for t in find(page, "Table") if t["props"]["label"].startswith("Limits of"))
    assert ["Calls of the host today", "3", "10", "Settings"] in [
        row["cells"] for row in table["props"]["rows"]
    ]


async def test_a_permission_is_taken_back(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    (name,) = (row["name"] for row in host.extensions if row.get("granted"))
    assert "Take back network:example.com:443" in labels(page)
    await do(page, f"market.revoke:{name} network:example.com:443")
    assert "Take back network:example.com:443" not in labels(page)
    await do(page, f"market.allow:{name} network:example.com:443")
    assert "Take back network:example.com:443" in labels(page)


async def test_limits_of_one_extension_are_set_and_a_word_that_is_none_is_refused(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    (row,) = (row for row in host.extensions if row.get("granted"))
    await do(page, f"market.limits:{row['name']}", "submit", {"calls": "5", "memory": "512MiB", "cpu": ""})
    assert row["allowance"] == {"calls": 5, "memory": 512 << 20}
    (table,) = (t for t in find(page, "Table") if t["props"]["label"].startswith("Limits of"))
    assert [r["cells"][3] for r in table["props"]["rows"] if r["id"] in ("calls", "tokens")] == [
        "you",
        "Settings",
    ]
    await do(page, f"market.limits:{row['name']}", "submit", {"calls": "many"})
    assert row["allowance"] == {"calls": 5, "memory": 512 << 20}


async def test_a_log_that_was_tampered_with_is_said_to_be(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)

    async def audit(name: str | None = None, limit: int = 200) -> dict[str, Any]:
        return {"entries": [], "tampered": 7}

    host.audit = audit  # type: ignore[method-assign]
    await do(page, "market.audit:")
    assert any("Line 7" in alert["props"]["title"] for alert in find(page, "Alert"))


async def test_a_motif_says_what_it_brings_to_the_page(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    (row, *_) = host.extensions
    row.update(functions=[], permissions=[], brings=["colours", "a layout"])
    await page.load("market")
    titles = {node["props"]["label"] for node in find(page, "Disclosure")}
    assert "Colours, a layout, 0 permissions" in titles
    assert {"text": "Brings to the page"} in [node["props"] for node in find(page, "Heading")]
    assert not any(title.startswith("0 functions") for title in titles)
