"""The command palette holds every action of every view, and runs it where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.catalogue import COMPONENTS
from symphony.ui.node import h
from symphony.ui.page import Page
from symphony.ui.state import PageState
from symphony.ui.views import VIEWS, commands
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, played, walk


@pytest.fixture
async def page() -> Any:
    page = Page(FakeHost())
    await page.begin()
    await do(page, "shell", "commands")
    yield page
    await page.close()


def wanted(state: PageState, label: str) -> str:
    return next(command.id for command in commands.commands(state) if command.label == label)


async def test_every_button_of_every_view_is_a_command(page: Page) -> None:
    for name in VIEWS:
        await page.load(name)
    shown = {command["label"] for command in find(page, "Commands")[0]["props"]["items"]}
    await do(page, "commands", "close")
    for name in VIEWS.keys() - {"panels"}:  # no Motif brings a panel here, so that the view is not offered
        await do(page, "shell", "navigate", name)
        buttons = [node["props"] for node in find(page, "Button")]
        usable = {
            props["label"] for props in buttons if not props.get("disabled") and not props.get("submit")
        }
        assert usable <= shown, name


async def test_a_command_of_another_view_goes_there_and_does_it(page: Page) -> None:
    await do(page, "commands", "run", wanted(page.state, "Theme: Dark"))
    assert page.state.view == "settings" and page.state.theme == "dark" and page.state.question is None


async def test_views_projects_and_settings_are_found(page: Page) -> None:
    await do(page, "commands", "run", wanted(page.state, "Go to Marketplace"))
    assert page.state.view == "market"
    await do(page, "shell", "commands")
    setting = str(page.state.settings.rows[0]["key"])
    await do(page, "commands", "run", wanted(page.state, f"Setting {setting}"))
    assert page.state.view == "settings" and page.state.settings.query == setting
    await do(page, "shell", "commands")
    await do(page, "commands", "run", wanted(page.state, "Open a project"))
    assert page.state.question is not None and page.state.question.kind == "project"


async def test_what_is_asked_comes_first(page: Page) -> None:
    await do(page, "commands", "close")
    page.ask("project", path="/somewhere")
    await do(page, "shell", "commands")
    assert page.state.question is not None and page.state.question.kind == "project"


async def test_a_command_that_is_gone_is_refused(page: Page) -> None:
    await do(page, "commands", "run", "nothing\nof\nthe\nkind")
    assert page.state.problem is not None and "any more" in page.state.problem.title


async def test_what_a_motif_shows_is_never_a_command_of_the_host() -> None:
    button = {"type": "Button", "key": "evil", "props": {"label": "Allow everything"}, "children": []}
    tree = {"type": "View", "key": "v", "props": {"title": "t"}, "children": [
        {"type": "Foreign", "key": "f", "props": {}, "children": [button]}, {**button, "props": {"label": "Own"}},
    ]}  # fmt: skip
    assert [command.label for command in commands._of_view("panels", "Panels", tree)] == ["Own"]


async def test_a_button_that_answers_a_question_stands_beside_it() -> None:
    tree = h(
        "Line", h("Text", "Was this what you wanted?"), h("Button", key="good:1", label="Good"), key="rating"
    )
    assert [(c.label, c.hint) for c in commands._of_view("board", "Here", tree)] == [
        ("Good", "Was this what you wanted?")
    ]


async def test_the_palette_draws_nothing_that_the_catalogue_does_not_know(page: Page) -> None:
    assert labels(page)
    items = find(page, "Commands")[0]["props"]["items"]
    assert len({item["id"] for item in items}) == len(items) > 20


async def test_whatever_can_be_pressed_or_chosen_in_any_view_is_a_command(page: Page) -> None:
    await do(page, "commands", "close")
    await played(page)
    await do(page, "board.graph", "select", "chart")
    for name in VIEWS:
        await page.load(name)
    for name in VIEWS.keys() - {"panels"}:
        await do(page, "shell", "navigate", name)
        known = {
            (command.element, command.event, str(command.value)) for command in commands.commands(page.state)
        }
        said = {command.label for command in commands.commands(page.state)}
        missing = []
        for node in walk(VIEWS[name].render(page.state)):
            kind, props, key = node["type"], node["props"], node.get("key") or ""
            if props.get("disabled") or props.get("submit") or props.get("current"):
                continue
            if kind == "Button" and ":" not in key and props["label"] in said:
                continue  # what several views offer stands once
            if kind in ("Button", "Link"):
                wanted = [(key, "press", "None")]
            elif kind == "Segments":
                wanted = [
                    (key, "change", o["value"]) for o in props["options"] if o["value"] != props["value"]
                ]
            elif kind == "Switch" and not key.startswith("settings.value:"):  # each stands as its setting
                wanted = [(key, "change", str(not props["value"]))]
            else:
                wanted = []
            missing += [one for one in wanted if one not in known]
        assert missing == [], name


async def test_what_the_frame_answers_is_a_command_or_a_view(page: Page) -> None:
    reached = {c.event for c in commands.commands(page.state) if c.element == "shell"}
    # The views are commands of their own, the theme is one of the settings, and the palette is this.
    assert set(COMPONENTS["Shell"].events) == reached | {"navigate", "theme", "commands"}
