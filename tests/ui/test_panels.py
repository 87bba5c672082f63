"""What Motifs bring to the page: panels, views of artifacts, colours, layouts, and what nodes of a run show."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from symphony.errors import BadInput
from symphony.ui import foreign
from symphony.ui import page as pages
from symphony.ui.catalogue import COMPONENTS, check
from symphony.ui.page import Page
from symphony.ui.views import shell
from tests.ui import fake_content
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, walk


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    host.brought = copy.deepcopy(fake_content.BROUGHT)
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


def host_of(page: Page) -> FakeHost:
    assert isinstance(page.host, FakeHost)
    return page.host


def names(page: Page) -> list[str]:
    return [link["id"] for link in shell.render(page.state)["props"]["views"]]


def texts(page: Page) -> str:
    tree = shell.render(page.state)
    return " ".join(child for node in walk(tree) for child in node["children"] if isinstance(child, str))


def calls(page: Page, name: str) -> list[Any]:
    return [given for called, given in host_of(page).calls if called == name]


async def test_there_is_no_view_of_panels_where_nothing_brings_any() -> None:
    page = Page(FakeHost())
    await page.begin()
    assert "panels" not in names(page)
    await page.open("panels")
    assert check(shell.render(page.state)) == []
    assert "Open the Marketplace" in labels(page)
    await page.close()


async def test_a_panel_is_open_for_as_long_as_its_view(page: Page) -> None:
    assert "panels" in names(page)
    await do(page, "shell", "navigate", "panels")
    assert calls(page, "open_component") == [("acme/counter#count", None)]
    (frame,) = find(page, "Foreign")
    assert frame["props"] == {"title": "Counter", "source": "acme/counter"}
    (button,) = [node for node in walk(frame) if node["type"] == "Button"]
    await do(page, button["key"])
    ((component, key, name, value),) = calls(page, "component_event")
    assert (key, name, value) == ("more/and more", "press", None)
    page.notice({"event": "component", "id": component})
    await page.idle()
    assert "pressed 1 times" in texts(page)
    await do(page, "panels.choose", "change", "acme/counter#again")
    assert calls(page, "open_component")[-1] == ("acme/counter#again", None)
    assert calls(page, "close_component") == [(component,)]
    await do(page, "shell", "navigate", "board")
    assert len(calls(page, "close_component")) == 2 and not page.state.motifs.open


async def test_events_for_what_is_not_open_here_reach_nobody(page: Page) -> None:
    await do(page, "foreign:component-9#more", "press")
    assert page.state.problem is not None and "not open" in page.state.problem.title
    assert calls(page, "component_event") == []


async def test_an_artifact_is_shown_by_what_fits_its_type(page: Page) -> None:
    await do(page, "compose.form", "submit", {"prompt": "Which files change most"})
    await do(page, "compose.play")
    await asyncio.gather(*host_of(page)._tasks.values(), return_exceptions=True)
    await do(page, "shell", "navigate", "artifacts")
    found = page.state.artifacts.items
    markdown = next(item["id"] for item in found if item["type"] == "text/markdown")
    other = next(item["id"] for item in found if item["type"] != "text/markdown")
    await do(page, f"artifacts.open:{markdown}/r/n")
    (ways,) = find(page, "Segments", label="Shown by")
    assert [option["label"] for option in ways["props"]["options"]] == ["Content", "Count words"]
    await do(page, "artifacts.with", "change", "acme/counter#read")
    assert calls(page, "open_component") == [("acme/counter#read", markdown)]
    assert find(page, "Foreign", source="acme/counter") and not find(page, "ArtifactView")
    await do(page, "artifacts.with", "change", "content")
    assert find(page, "ArtifactView") and len(calls(page, "close_component")) == 1
    await do(page, "artifacts.with", "change", "acme/counter#read")
    await do(page, f"artifacts.open:{other}/r/n")
    assert not find(page, "Foreign") and not find(page, "Segments", label="Shown by")
    assert len(calls(page, "close_component")) == 2


async def test_colours_and_layout_are_settings(page: Page) -> None:
    await do(page, "shell", "navigate", "settings")
    await do(page, "settings.colors", "change", "acme/night")
    await do(page, "settings.layout", "change", "acme/desk")
    assert calls(page, "set_setting") == [
        ("ui.colors", "acme/night", "user"),
        ("ui.layout", "acme/desk", "user"),
    ]
    page.notice({"event": "settings"})
    await page.idle()
    props = shell.render(page.state)["props"]
    dark = {"background": "#101418", "foreground": "#f0f4f8", "border-strong": "#556677"}
    assert props["colors"] == {"dark": dark}
    assert props["dense"] is True
    assert names(page)[:2] == ["artifacts", "board"] and set(names(page)) >= {"compose", "store", "settings"}
    host_of(page).brought = {"themes": [], "layouts": [], "components": []}
    page.notice({"event": "extensions"})
    await page.idle()
    props = shell.render(page.state)["props"]
    assert "colors" not in props and "dense" not in props


async def test_a_layout_says_which_view_comes_first_and_only_once(page: Page) -> None:
    host = host_of(page)
    await host.set_setting("ui.layout", "acme/desk")
    fresh = Page(host)
    await fresh.begin()
    assert fresh.state.view == "artifacts"
    await fresh.open("settings")
    await fresh.begin()
    assert fresh.state.view == "settings"
    await fresh.close()


async def test_a_removed_motif_takes_its_panel_along(page: Page) -> None:
    await do(page, "shell", "navigate", "panels")
    host_of(page).brought["components"] = []
    page.notice({"event": "extensions"})
    await page.idle()
    assert not find(page, "Foreign") and "panels" not in names(page)


async def test_a_page_that_nobody_looks_at_closes_its_components(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LEFT_PAUSE", 0)

    def listener() -> None:
        return

    page.listen(listener)
    await do(page, "shell", "navigate", "panels")
    page.forget(listener)
    await page.idle()
    assert len(calls(page, "close_component")) == 1


async def test_the_chosen_node_of_a_run_shows_its_tree(page: Page) -> None:
    page.state.board.run, page.state.board.selected = "r1", "hotspots"
    host = host_of(page)
    host.show("r1/hotspots", fake_content.counter(3))
    page.notice({"event": "component", "id": "r1/hotspots"})
    page.notice({"event": "component", "id": "r1/other"})
    await page.idle()
    assert list(page.state.motifs.shown) == ["r1/hotspots"]


# --- what strangers send ----------------------------------------------------------------------------
def element(kind: Any, /, *children: Any, key: Any = None, **props: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "props": props, "children": list(children)}


def deep(levels: int) -> dict[str, Any]:
    tree = element("Text", "x")
    for _ in range(levels):
        tree = element("Stack", tree)
    return tree


HOSTILE = {
    "no element": "text",
    "a dialog of the host": element("Dialog", key="d", title="Allow everything?"),
    "the frame of the page": element("Shell"),
    "another's frame": element("Foreign", title="Settings", source="symphony/host"),
    "an alert": element("Alert", key="a", tone="bad", title="You are logged out"),
    "a link": element("Link", key="l", label="here", href="https://a.b/"),
    "a download": element(
        "Download", label="x", method="getArtifactContent", params={"id": "a"}, filename="b"
    ),
    "an artifact of others": element("ArtifactView", id="a", name="b", mime="text/html", bytes=1),
    "logs of runs": element("Logs", run="r1"),
    "a type that is no text": element({"a": 1}),
    "a prop that nobody knows": element("Button", key="b", label="x", onclick="alert(1)"),
    "a prop of another type": element("Text", "x", tone={"a": 1}),
    "a row that is none": element(
        "Table", key="t", label="x", columns=[{"id": "a", "label": "a"}], rows=[{"id": 1, "cells": "x"}]
    ),
    "a number that is none": element("Progress", label="x", value=float("nan")),
    "two of one key": element(
        "Stack", element("Button", key="b", label="x"), element("Button", key="b", label="y")
    ),
    "too deep": deep(40),
    "too deep inside a prop": element("Bullets", items=[[[[[[[[[["x"]]]]]]]]]]),
    "too many": element("Stack", *(element("Text", "x") for _ in range(5000))),
    "too long": element("Text", "x" * 30_000),
    "too long inside a prop": element("Heading", text="x" * 30_000),
    "children that are none": element("Stack", 7),
    "props that are none": {"type": "Stack", "key": None, "props": [], "children": []},
    "an event without a way back": element("Button", label="x"),
    "a prop called key": {"type": "Stack", "key": None, "props": {"key": "shell"}, "children": []},
}


@pytest.mark.parametrize("tree", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_tree_is_refused_and_the_rest_of_the_page_stands(tree: Any) -> None:
    with pytest.raises(BadInput, match="cannot be drawn"):
        foreign.adopt(tree, "component-1")
    shown = {"extension": "evil/one", "tree": tree, "problem": None, "is_open": True}
    frame = foreign.frame("Panel", shown, "component-1")
    assert check(frame) == []
    assert [node["type"] for node in walk(frame)] == ["Foreign", "Alert"]


def test_keys_of_strangers_are_below_their_component() -> None:
    tree = element(
        "Stack", element("Button", key="shell", label="x"), element("Button", key="board.cancel", label="y")
    )
    keys = [node["key"] for node in walk(foreign.adopt(tree, "component-1"))]
    assert keys == [None, "foreign:component-1#shell", "foreign:component-1#board.cancel"]


def test_only_components_that_exist_are_allowed() -> None:
    assert COMPONENTS.keys() >= foreign.ALLOWED
