"""The changes of a run on the board: seen, applied and undone from there."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.page import Page
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, played

SET = {
    "id": "c0ffee00",
    "node": "edit",
    "program": "sh -c true",
    "counts": {"added": 1, "changed": 1, "removed": 0, "refused": 1},
    "refused": [{"path": ".git", "reason": "git runs it"}],
    "state": "open",
}


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


async def test_changes_are_shown_with_their_run_and_wait_for_a_word(page: Page) -> None:
    await played(page)
    host = page.host
    assert isinstance(host, FakeHost)
    assert "Apply changes" not in labels(page)
    host.changes.append({**SET, "run": page.state.board.run})
    await page.load("board")
    assert find(page, "Badge", text="waits for your word")
    assert "Undo changes" not in labels(page)
    assert ".git" in find(page, "Bullets")[0]["props"]["items"][0]
    await do(page, "changes.look:c0ffee00")
    (shown,) = find(page, "Difference")
    assert "\n-" in shown["props"]["text"] and "\n+" in shown["props"]["text"]
    await do(page, "changes.look:c0ffee00")
    assert not find(page, "Difference")
    await do(page, "changes.apply:c0ffee00")
    assert host.changes[0]["state"] == "applied" and "Apply changes" not in labels(page)
    await do(page, "changes.undo:c0ffee00")
    assert host.changes[0]["state"] == "undone" and "Apply changes" in labels(page)


async def test_several_sets_stand_in_their_order_and_are_applied_at_once(page: Page) -> None:
    await played(page)
    host = page.host
    assert isinstance(host, FakeHost)
    run = page.state.board.run
    newest = [
        {**SET, "id": "c3", "node": "lint", "run": run},
        {**SET, "id": "c2", "node": "format", "run": run},
        {**SET, "id": "c1", "node": "format", "run": run, "replaced": True},
    ]
    host.changes += newest
    await page.load("board")
    headings = [node["props"]["text"].split(":")[0] for node in find(page, "Heading")]
    assert [word for word in headings if word in ("format", "lint")] == ["format", "format", "lint"]
    assert find(page, "Badge", text="of a step that was played again")
    assert "Apply all 2" in labels(page)
    await do(page, f"changes.apply_all:{run}")
    assert {c["id"]: c["state"] for c in host.changes} == {"c1": "open", "c2": "applied", "c3": "applied"}
