"""The history of actions on the page, and the offer to take back the last one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from symphony.ui.catalogue import check
from symphony.ui.page import Page
from symphony.ui.views import history, shell
from tests.ui.fake_actions import action, yesterday
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    now = time.time()
    host.done = [
        action(5, "Played review", now, kind="run", subject="r", can="", status="failed"),
        action(4, "Set ui.theme to dark", now),
        action(3, "Removed acme/x", yesterday(), kind="extension", by="Symphony"),
        action(2, "Installed acme/y", yesterday(), kind="extension", error="the disk is full", can=""),
    ]
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


def undos(page: Page) -> int:
    return len(find(page, "Button", label="Undo"))


def offered(page: Page) -> list[str]:
    return [node["props"]["text"] for node in find(page, "Toast")]


async def test_days_results_and_what_can_be_taken_back(page: Page) -> None:
    await page.open("history")
    assert [s["props"]["title"] for s in find(page, "Section")] == ["Today", "Yesterday"]
    texts = [entry["props"]["text"] for entry in find(page, "Entry")]
    assert texts == ["Played review", "Set ui.theme to dark", "Removed acme/x", "Installed acme/y"]
    metas = [entry["props"]["meta"] for entry in find(page, "Entry")]
    assert "by Symphony" in metas[2] and "the disk is full" in metas[3]
    assert find(page, "Badge", text="failed") and undos(page) == 2
    await do(page, "history.undo:3")
    assert find(page, "Badge", text="undone") and undos(page) == 1
    assert offered(page) == ["Undone: Removed acme/x"]
    await do(page, "history.redo:3")
    assert undos(page) == 2 and offered(page) == ["Done again: Removed acme/x"]
    assert check(shell.render(page.state)) == []


async def test_the_keys_offer_the_last_action_and_asked_again_undo_it(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    await do(page, "shell", event="undo")
    assert offered(page) == ["Set ui.theme to dark"] and not host.done[1]["undone"]
    assert "Undo it?" in page.state.announcement
    await do(page, "shell", event="undo")
    assert host.done[1]["undone"] and offered(page) == ["Undone: Set ui.theme to dark"]
    await do(page, "shell", event="undo")
    assert offered(page) == ["Removed acme/x"], "the one before it"
    await do(page, "toast", "close", 99)
    assert offered(page), "an earlier offer that is put away leaves this one"
    await do(page, "toast", "close", 3)
    assert not offered(page)
    host.done.clear()
    await do(page, "shell", event="undo")
    assert "nothing to undo" in page.state.announcement


async def test_what_cannot_be_taken_back_says_why_and_a_dialog_comes_first(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.done[1]["error"] = "changed"
    await page.open("history")
    await do(page, "history.undo:4")
    assert page.state.problem is not None and "undo the later one" in page.state.problem.remedy
    page.ask("project", path="")
    await do(page, "shell", event="undo")
    assert not offered(page)


async def test_a_deletion_offers_to_take_it_back(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.done.insert(0, action(9, "Deleted the Melody x", time.time()))
    await history.offer(page, "x was deleted")
    assert offered(page) == ["x was deleted"] and not page.state.is_shown
    host.done[0]["can"] = ""
    page.state.offer = None
    await history.offer(page, "y was deleted")
    assert not offered(page) and page.state.is_shown
