"""What of a page outlives the host: another host on the same home shows what was left, and nothing breaks on damage."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from symphony.app.page_memory import KEPT, SqlitePageMemory
from symphony.ui import Pages, memory
from symphony.ui.page import Page
from symphony.ui.state import PageState
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, played


@pytest.fixture
def kept(tmp_path: Path) -> SqlitePageMemory:
    return SqlitePageMemory(tmp_path / "pages.sqlite")


async def left(kept: SqlitePageMemory, host: FakeHost) -> PageState:
    """A page that was used and whose host has ended."""
    pages = Pages(host, kept)
    page = pages.page("one")
    await page.begin()
    await played(page)
    await do(page, "shell", "navigate", "compose")
    await do(page, "compose.form", "submit", {"prompt": "hotspots"})
    await do(page, "shell", "navigate", "artifacts")
    item = page.state.artifacts.items[0]
    await do(page, f"artifacts.open:{item['id']}/{item.get('run', '')}/{item['name']}")
    await do(page, "artifacts.search", "change", "report")
    await do(page, "shell", "navigate", "market")
    await do(page, "market.only", "change", "installed")
    await pages.close()
    return page.state


async def taken_up(kept: SqlitePageMemory, host: FakeHost | None = None) -> Page:
    """The page of the next host."""
    page = Pages(host or FakeHost(), kept).page("one")
    await page.begin()
    return page


async def test_the_next_host_shows_what_was_left(kept: SqlitePageMemory) -> None:
    host = FakeHost()
    before = await left(kept, host)
    after = (await taken_up(kept, host)).state
    assert after.view == before.view == "market" and not after.is_fresh
    assert after.compose.prompt == "hotspots" and after.compose.melody == before.compose.melody is not None
    assert (
        after.artifacts.query == "report"
        and after.artifacts.selected == before.artifacts.selected is not None
    )
    assert after.market.only == "installed" and after.board.run == before.board.run != ""


async def test_a_window_with_another_name_takes_up_the_last_page_and_a_second_one_begins_anew(
    kept: SqlitePageMemory,
) -> None:
    await left(kept, FakeHost())
    pages = Pages(FakeHost(), kept)
    assert pages.page("another").state.view == "market"
    assert pages.page("a second").state.view == "compose"
    assert pages.page("one").state.view == "market"


async def test_what_is_gone_stays_closed_without_a_word(kept: SqlitePageMemory) -> None:
    kept.write(
        "one", memory.KeptPage(view="board", run="gone", artifact="gone", melody="gone").model_dump_json()
    )
    page = await taken_up(kept)
    assert page.state.view == "board" and page.state.board.run != "gone" and page.state.problem is None
    assert page.state.artifacts.selected is None and page.state.store.melody is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"view": 7}', '{"view": "gone"}', '{"plan": {"mode": "x"}}']
)
async def test_what_cannot_be_read_begins_anew(kept: SqlitePageMemory, text: str) -> None:
    kept.write("one", text)
    assert (await taken_up(kept)).state.view == "compose"


async def test_a_damaged_file_costs_only_the_memory(kept: SqlitePageMemory, tmp_path: Path) -> None:
    (tmp_path / "pages.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    assert (await taken_up(kept)).state.view == "compose"
    kept.write("one", "{}")  # finds the damage, and begins the file anew
    kept.write("one", '{"view": "store"}')
    assert kept.read("one", or_latest=False) == '{"view": "store"}'


def test_a_file_that_is_held_does_not_stop_the_page(kept: SqlitePageMemory, tmp_path: Path) -> None:
    kept.write("one", "{}")
    holder = sqlite3.connect(tmp_path / "pages.sqlite")
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    kept.patience = 0.01
    kept.write("one", '{"view": "store"}')
    holder.rollback()
    holder.close()
    assert kept.read("one", or_latest=False) == "{}"


def test_only_the_pages_used_last_are_kept(kept: SqlitePageMemory) -> None:
    for number in range(KEPT + 3):
        kept.write(str(number), "{}")
    assert kept.read("0", or_latest=False) is None and kept.read(str(KEPT + 2), or_latest=False) == "{}"


def test_a_plan_of_a_megabyte_is_left_out_and_the_rest_is_kept() -> None:
    state = PageState(view="store", is_fresh=False)
    state.compose.prompt, state.compose.melody = "a great one", {"nodes": ["x" * memory.PLAN_LIMIT]}
    found = memory.recall(memory.keep(state))
    assert found.view == "store" and found.plan.prompt == "a great one" and found.plan.melody is None
