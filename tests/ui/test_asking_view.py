"""Where a prompt has two likely readings, the page asks before it shows a Melody, and asks once."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.page import Page
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels

CHOICES = ["src/a/utils.py", "src/b/utils.py"]


@pytest.fixture
async def page() -> Any:
    page = Page(FakeHost())
    await page.begin()
    await do(page, "compose.form", "submit", {"prompt": "explain utils.py"})
    yield page
    await page.close()


def titles(page: Page) -> list[str]:
    return [node["props"]["title"] for node in find(page, "Section")]


async def test_the_question_stands_in_the_place_of_the_preview(page: Page) -> None:
    assert "Which file is “utils.py”?" in titles(page)
    assert set(CHOICES) <= set(labels(page))
    assert page.state.compose.melody is None and "Play" not in labels(page)


async def test_the_likelier_reading_is_there_already(page: Page) -> None:
    await do(page, "compose.answer:0", "press")
    assert page.state.compose.melody is not None and page.state.compose.draft == "draft-1"
    assert "Which file is “utils.py”?" not in titles(page)
    assert isinstance(page.host, FakeHost)
    assert [call for call, _ in page.host.calls].count("submit_prompt") == 1


async def test_another_reading_is_composed_with_the_answer(page: Page) -> None:
    await do(page, "compose.answer:1", "press")
    assert isinstance(page.host, FakeHost)
    assert ("submit_prompt", ("explain utils.py", {"path:utils.py": "src/b/utils.py"})) in page.host.calls
    assert page.state.compose.melody is not None and "Play" in labels(page)


async def test_a_choice_that_is_not_there_is_refused(page: Page) -> None:
    await do(page, "compose.answer:7", "press")
    assert page.state.problem is not None and page.state.compose.melody is None


async def test_a_new_prompt_forgets_the_question(page: Page) -> None:
    await do(page, "compose.form", "submit", {"prompt": "hotspots"})
    assert page.state.compose.melody is not None
    assert "Which file is “utils.py”?" not in titles(page)


async def test_the_preview_says_what_a_step_may_take(page: Page) -> None:
    await do(page, "compose.answer:0", "press")
    melody = page.state.compose.melody
    assert melody is not None
    melody["nodes"][0].update(timeout="5m", retry={"attempts": 3}, resources={"cpu": 1.0, "memory": "256MiB"})
    page.changed()
    said = [child for node in find(page, "Text") for child in node["children"]]
    assert "at most 5m, 3 tries, 1 core, 256MiB" in said
