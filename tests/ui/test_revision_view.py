"""A wish changes the previewed Melody, says what it did, and can be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.page import Page
from symphony.ui.views.revision import merged_reasons
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels


@pytest.fixture
async def page() -> Any:
    page = Page(FakeHost())
    await page.begin()
    await do(page, "compose.form", "submit", {"prompt": "hotspots"})
    yield page
    await page.close()


def nodes(page: Page) -> list[str]:
    return [node["id"] for node in (page.state.compose.melody or {})["nodes"]]


async def wish(page: Page, text: str) -> None:
    await do(page, "compose.wishes", "submit", {"wish": text})


def only(page: Page, kind: str, key: str) -> dict[str, Any]:
    (found,) = [node for node in find(page, kind) if node["key"] == key]
    return found["props"]


async def test_a_wish_changes_the_melody_and_says_what_it_did(page: Page) -> None:
    await wish(page, "without the chart")
    assert "chart" not in nodes(page)
    told = only(page, "Alert", "compose.told")
    assert told["title"] == "What was changed"
    assert told["items"] == ["chart: taken out, as asked: “chart”"]
    assert only(page, "TextBox", "compose.wish")["value"] == ""


async def test_the_reasons_of_what_stays_are_kept(page: Page) -> None:
    before = (page.state.compose.answer or {})["explanations"]
    await wish(page, "without the chart")
    after = (page.state.compose.answer or {})["explanations"]
    assert after == [line for line in before if line["node"] != "chart"]


async def test_what_was_set_otherwise_has_both_reasons(page: Page) -> None:
    await wish(page, "without the chart")
    assert isinstance(page.host, FakeHost)
    why = {"node": "top", "why": "count = 3", "confidence": 1.0}
    merged = merged_reasons(
        page.state.compose.answer, {"explanations": [why], "melody": page.state.compose.melody}
    )
    assert [line["why"] for line in merged if line["node"] == "top"] == [
        "a ranking needs the largest only; now count = 3"
    ]


async def test_each_change_can_be_taken_back(page: Page) -> None:
    first, answer = page.state.compose.melody, page.state.compose.answer
    assert "Undo" not in labels(page)
    await wish(page, "without the chart")
    await wish(page, "without the report")
    await do(page, "compose.undo")
    assert "chart" not in nodes(page) and "report" in nodes(page)
    await do(page, "compose.undo")
    assert page.state.compose.melody == first and page.state.compose.answer == answer
    assert "Undo" not in labels(page)
    await do(page, "compose.undo")
    assert page.state.compose.melody == first


async def test_what_cannot_be_meant_changes_nothing(page: Page) -> None:
    before = nodes(page)
    await wish(page, "without sauerkraut")
    assert nodes(page) == before
    told = only(page, "Alert", "compose.told")
    assert told["tone"] == "warning" and "sauerkraut" in told["items"][0]
    assert only(page, "TextBox", "compose.wish")["value"] == "without sauerkraut"
    await do(page, "compose.told", "close")
    assert page.state.compose.told == []


@pytest.mark.parametrize("text", ["  ", "x" * 9_000])
async def test_a_wish_without_words_or_end_is_not_sent(page: Page, text: str) -> None:
    await wish(page, text)
    assert only(page, "TextBox", "compose.wish")["problem"]
    assert isinstance(page.host, FakeHost)
    assert "revise_melody" not in [name for name, _ in page.host.calls]


async def test_what_was_changed_by_hand_is_what_is_revised(page: Page) -> None:
    await do(page, "compose.param:top/count", "change", "3")
    await wish(page, "without the chart")
    top = next(n for n in (page.state.compose.melody or {})["nodes"] if n["id"] == "top")
    assert top["params"]["count"] == 3
