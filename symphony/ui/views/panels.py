"""What Motifs bring to the page: panels of their own, views of artifacts, colours and layouts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput, NotFound
from symphony.ui import foreign
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, MotifState, OpenComponent, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

PANEL, ARTIFACT = "panel", "artifact"
"""The places where a component may be open."""

SETTINGS = {"colors": "ui.colors", "layout": "ui.layout"}
"""The settings that keep the choice of colours and layout."""

REFRESH_PAUSE = 0.03
"""Seconds within which several trees of one component are drawn once."""


def render(state: PageState) -> Node:
    """The view of panels."""
    motifs = state.motifs
    panels = panels_of(motifs)
    opened = motifs.open.get(PANEL)
    return h(
        "View",
        h(
            "EmptyState",
            h("Button", key="panels.market", label="Open the Marketplace", variant="primary"),
            icon="package",
            title="No panel is installed",
            text="Motifs bring panels, views of artifacts, colours and layouts.",
        )
        if not panels
        else None,
        h(
            "Segments",
            key="panels.choose",
            label="Panel",
            value=opened.player if opened else "",
            options=[{"value": panel["player"], "label": panel["title"]} for panel in panels],
        )
        if len(panels) > 1
        else None,
        shown(motifs, PANEL),
        h("Button", key="panels.again", label="Open it again", variant="secondary")
        if panels and (opened is None or not motifs.shown.get(opened.id, {"is_open": True})["is_open"])
        else None,
        key="view.panels",
        title="Panels",
        text="What Motifs show. They see nothing of this page but what is done inside their frame.",
    )


def panels_of(motifs: MotifState) -> list[Json]:
    """The components that show no artifact."""
    return [component for component in motifs.components if component["artifact"] is None]


def shown(motifs: MotifState, place: str) -> Node | None:
    """The component that is open in a place, in its frame."""
    opened = motifs.open.get(place)
    if opened is None:
        return None
    waiting = {"extension": opened.player.partition("#")[0], "tree": None, "problem": None, "is_open": True}
    return foreign.frame(opened.title, motifs.shown.get(opened.id, waiting), opened.id, closable=False)


def appearance(motifs: MotifState) -> Node | None:
    """The choice of colours and layout, where there is one."""
    fields = []
    for name, label, found in (("colors", "Colours", motifs.themes), ("layout", "Layout", motifs.layouts)):
        if found:
            own = {"value": "", "label": "Symphony's own"}
            options = [
                own,
                *({"value": m["extension"], "label": m["name"], "hint": m["extension"]} for m in found),
            ]
            chosen = getattr(motifs, name)
            known = any(option["value"] == chosen for option in options)
            field = h(
                "Select", key=f"settings.{name}", label=label, options=options, value=chosen if known else ""
            )
            fields.append(field)
    return h("Grid", *fields, least=18, roomy=True) if fields else None


def colors(motifs: MotifState) -> Json | None:
    """The colours that the chosen Motif brings, by their names in the style sheet."""
    theme = next((theme for theme in motifs.themes if theme["extension"] == motifs.colors), None)
    if theme is None:
        return None
    return {
        mode: {name.replace("_", "-"): colour for name, colour in theme[mode].items()}
        for mode in ("light", "dark")
        if mode in theme
    }


def layout(motifs: MotifState) -> Json:
    """The layout that the user chose: `{"first", "order", "density"}`."""
    usual = {"first": "", "order": [], "density": "normal"}
    return next((known for known in motifs.layouts if known["extension"] == motifs.layout), usual)


async def load_motifs(page: Page) -> None:
    """Loads what Motifs bring, and closes what has gone with its extension."""
    motifs, brought = page.state.motifs, await page.host.motifs()
    motifs.themes, motifs.layouts = brought["themes"], brought["layouts"]
    motifs.components = brought["components"]
    players = {component["player"] for component in motifs.components}
    for place, opened in list(motifs.open.items()):
        if opened.player not in players:
            await close(page, place)
    page.changed()


async def load(page: Page) -> None:
    """Opens the first panel when none is open."""
    panels = panels_of(page.state.motifs)
    if panels and PANEL not in page.state.motifs.open:
        await open_in(page, PANEL, panels[0])


async def leave(page: Page) -> None:
    """Closes the panel: nobody looks at it any more."""
    await close(page, PANEL)


async def open_in(page: Page, place: str, component: Json, artifact: str | None = None) -> None:
    """Opens a component in a place, instead of the one that is open there."""
    await close(page, place)
    player = component["player"]
    opened = await page.host.open_component(player, artifact)
    page.state.motifs.open[place] = OpenComponent(opened["id"], player, component["title"])
    await _refresh(page, opened["id"])


async def close(page: Page, place: str) -> None:
    """Closes what is open in a place."""
    opened = page.state.motifs.open.pop(place, None)
    if opened is None:
        return
    page.state.motifs.shown.pop(opened.id, None)
    page.changed()
    # It ends by itself; nobody waits for a Player that takes its time.
    page.spawn(_close(page, opened.id), "close component")


async def _close(page: Page, component: str) -> None:
    await page.host.close_component(component)


async def close_all(page: Page) -> None:
    """Closes everything that this page has open."""
    for place in list(page.state.motifs.open):
        await close(page, place)


def is_shown(page: Page, component: str) -> bool:
    """Whether this page shows the component, or the node of a run that has its id."""
    board = page.state.board
    ids = {opened.id for opened in page.state.motifs.open.values()}
    return component in ids or component == f"{board.run}/{board.selected}"


def notice(page: Page, component: str) -> None:
    """Takes the event that a component shows something new."""
    if is_shown(page, component) and component not in page.state.motifs.stale:
        page.state.motifs.stale.add(component)
        page.spawn(_refresh_soon(page, component), "component")


async def look_at_node(page: Page) -> None:
    """Loads what the chosen node of the board shows, if it shows anything."""
    board = page.state.board
    if board.run and board.selected:
        await _refresh(page, f"{board.run}/{board.selected}")


async def _refresh_soon(page: Page, component: str) -> None:
    try:
        await asyncio.sleep(REFRESH_PAUSE)
    finally:
        page.state.motifs.stale.discard(component)
    if is_shown(page, component):
        await _refresh(page, component)


async def _refresh(page: Page, component: str) -> None:
    try:
        page.state.motifs.shown[component] = await page.host.component(component)
    except NotFound:
        page.state.motifs.shown.pop(component, None)
    page.changed()


@on("panels.choose", "change")
async def _choose(page: Page, _argument: str, value: Any) -> None:
    panel = next((p for p in panels_of(page.state.motifs) if p["player"] == value), None)
    if panel is None:
        raise BadInput("There is no such panel", remedy="choose one of those that are shown")
    await open_in(page, PANEL, panel)


@on("panels.again")
async def _again(page: Page, _argument: str, _value: Any) -> None:
    opened = page.state.motifs.open.get(PANEL)
    panels = panels_of(page.state.motifs)
    player = opened.player if opened else panels[0]["player"] if panels else ""
    await _choose(page, "", player)


@on("panels.market")
async def _market(page: Page, _argument: str, _value: Any) -> None:
    await page.open("market")


async def _tell(page: Page, argument: str, name: str, value: Any) -> None:
    component, _, key = argument.partition("#")
    if not is_shown(page, component):
        raise NotFound("This component is not open any more", remedy="open it again")
    await page.host.component_event(component, key, name, value)


def _passing(name: str) -> Any:
    async def act(page: Page, argument: str, value: Any) -> None:
        await _tell(page, argument, name, value)

    return act


for _name in ("press", "change", "submit", "select"):
    on(foreign.ELEMENT, _name)(_passing(_name))


@on("settings.colors", "change")
async def _colors(page: Page, _argument: str, value: Any) -> None:
    await page.host.set_setting(SETTINGS["colors"], str(value))


@on("settings.layout", "change")
async def _layout(page: Page, _argument: str, value: Any) -> None:
    await page.host.set_setting(SETTINGS["layout"], str(value))
