"""The view of learning: curves, what was promoted and why, one step back, what is kept; and ratings on the board."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from symphony.ui.methods import call
from symphony.ui.page import Page
from symphony.ui.views import shell
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, played


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


def fake(page: Page) -> FakeHost:
    assert isinstance(page.host, FakeHost)
    return page.host


def texts(page: Page) -> str:
    return json.dumps(shell.render(page.state))


async def test_it_is_reached_from_the_settings_and_not_from_the_navigation(page: Page) -> None:
    await page.open("settings")
    await do(page, "settings.learning")
    assert page.state.view == "learning"
    assert "learning" not in [view["id"] for view in shell.render(page.state)["props"]["views"]]


async def test_curves_and_reasons_are_shown(page: Page) -> None:
    await page.open("learning")
    curves = find(page, "Curve")
    assert {c["props"]["label"] for c in curves} == {"Policy loss", "Value loss", "KL divergence", "Return"}
    assert all(len(c["props"]["values"]) in (6, 12) for c in curves)
    assert "it may lose 2.1 points" in texts(page) and "promoted" in texts(page) and "refused" in texts(page)
    assert "118 of at most 100,000" in json.dumps(shell.render(page.state))


async def test_one_step_back_and_no_further_than_what_was_shipped(page: Page) -> None:
    await page.open("learning")
    await do(page, "learning.rollback")
    assert "online-1" in texts(page)
    await do(page, "learning.rollback")
    assert "Go one step back" not in labels(page) and "as shipped" in texts(page)


async def test_a_kept_run_is_shown_and_forgotten(page: Page) -> None:
    await page.open("learning")
    await do(page, "learning.runs", "select", "run-1")
    assert "Forget this run" in labels(page)
    await do(page, "learning.forget:run-1")
    assert "summarise the notes" not in json.dumps(shell.render(page.state))


async def test_everything_is_forgotten_only_after_a_question(page: Page) -> None:
    await page.open("learning")
    await do(page, "learning.forget_all")
    assert find(page, "Dialog") and len(fake(page).learned["runs"]) == 3
    await do(page, "learning.forget_no")
    assert not find(page, "Dialog") and len(fake(page).learned["runs"]) == 3
    await do(page, "learning.forget_all")
    await do(page, "learning.forget_yes")
    assert not fake(page).learned["runs"] and "Export" not in labels(page)


async def test_without_torch_the_page_says_what_to_do(page: Page) -> None:
    fake(page).learned["learner"] = {
        "state": "missing", "detail": "Learning needs torch", "remedy": "run `make learn`",
    }  # fmt: skip
    await page.open("learning")
    assert "make learn" in texts(page)
    await do(page, "learning.train")
    assert page.state.problem is not None and "make learn" in page.state.problem.remedy


async def test_what_is_kept_can_be_downloaded() -> None:
    answer = await call(FakeHost(), "exportLearning", {})
    lines = base64.b64decode(answer["content"]).decode().splitlines()
    assert [json.loads(line)["run"] for line in lines] == ["run-0", "run-1", "run-2"]


async def test_a_run_from_a_prompt_can_be_rated_on_the_board(page: Page) -> None:
    await played(page)
    assert "Good" not in labels(page)
    detail = page.state.board.detail
    assert detail is not None
    detail["melody"]["metadata"] = {"composition": "c1"}
    run = detail["run"]["id"]
    assert "Good" in labels(page)
    await do(page, f"rating.bad:{run}")
    assert ("rate_run", (run, "bad")) in fake(page).calls and "Take it back" in labels(page)
    await do(page, f"rating.none:{run}")
    assert "Not good" in labels(page)
