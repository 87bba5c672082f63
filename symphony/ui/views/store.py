"""The Polyphony Store: saved Melodies to search, see, check, play, carry out and bring in."""

from __future__ import annotations

import base64
import binascii
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.melody.formats import loads
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState, Question
from symphony.ui.views import compose, editor, history, melody_graph

if TYPE_CHECKING:
    from symphony.ui.page import Page


def render(state: PageState) -> Node:
    """The view."""
    store = state.store
    if not store.loaded:
        return h("View", h("Progress", label="Loading"), key="view.store", title="Polyphony Store")
    pick = h(
        "FilePicker",
        key="store.import",
        label="Import",
        accept=".yaml,.yml,.json,.msgpack,.melody",
        icon="upload",
    )
    if not store.items and not store.query:
        return h(
            "View",
            h(
                "EmptyState",
                h("Button", key="store.start", label="Write a prompt", variant="primary"),
                pick,
                icon="library",
                title="No Melody is saved yet",
                text="Compose one and choose Save, or import a file that someone gave you.",
            ),
            key="view.store",
            title="Polyphony Store",
        )
    return h(
        "View",
        h("Split", _list(state, pick), _shown(state) if store.melody else _choose(), side="start"),
        key="view.store",
        title="Polyphony Store",
    )


def _choose() -> Node:
    return h(
        "EmptyState", icon="library", title="No Melody is open", text="Open one from the list.", wide=True
    )


def _list(state: PageState, pick: Node) -> Node:
    store = state.store
    return h(
        "Stack",
        h(
            "TextBox",
            key="store.search",
            kind="search",
            label="Search Melodies",
            quiet=True,
            value=store.query,
            placeholder="Search Melodies",
            live=True,
        ),
        pick,
        h(
            "Stack",
            *(
                h(
                    "Link",
                    key=f"store.open:{item['id']}",
                    label=str(item["name"]),
                    href=f"#/store/{item['id']}",
                    current=item["id"] == store.selected,
                    icon="workflow",
                    meta=str(item.get("version") or ""),
                    text=str(item.get("description") or ""),
                )
                for item in store.items
            ),
            gap="none",
            key="store.items",
            scroll=True,
        ),
        h("Text", "Nothing matches.", tone="muted", small=True) if store.loaded and not store.items else None,
        key="store.list",
        gap="small",
    )


def _shown(state: PageState) -> Node:
    store = state.store
    melody = store.melody or {}
    problems = {item["node"]: item["message"] for item in store.findings or [] if item.get("node")}
    tags = (melody.get("metadata") or {}).get("tags") or []
    return h(
        "Stack",
        h(
            "Line",
            h("Heading", text=str(melody.get("name") or "Melody")),
            h("Badge", text=f"version {melody['version']}") if melody.get("version") else None,
            h("Badge", text=words.count(len(melody.get("nodes") or []), "step")),
            *(h("Badge", text=str(tag)) for tag in tags),
            h(
                "Line",
                h(
                    "Button",
                    key="store.play",
                    label="Play",
                    variant="primary",
                    icon="play",
                    busy="play" in state.busy or None,
                ),
                h("Button", key="store.edit", label="Edit", variant="secondary", icon="pencil"),
                h("Button", key="store.validate", label="Validate", variant="secondary", icon="check"),
                h(
                    "Download",
                    label="Export",
                    method="exportMelody",
                    params={"melody": store.selected},
                    filename=f"{melody.get('name') or 'melody'}.yaml",
                ),
                h("Button", key="store.delete", label="Delete", variant="danger", icon="trash"),
                gap="small",
            ),
            spread=True,
        ),
        h("Text", str(melody["description"]), tone="muted") if melody.get("description") else None,
        _verdict(store.findings),
        h(
            "Graph",
            key="store.graph",
            label=f"Melody {melody.get('name') or ''}".strip(),
            **melody_graph.graph(melody, state.nodes, {}, problems),
        ),
        key="store.shown",
    )


def _verdict(findings: list[Json] | None) -> Node | None:
    if findings is None:
        return None
    if not findings:
        return h("Alert", key="store.valid", tone="good", title="The Melody is valid")
    return editor.findings(findings)


def _delete_dialog(question: Question) -> Node:
    return h(
        "Dialog",
        h(
            "Line",
            h("Button", key="delete.go", label="Delete", variant="danger"),
            h("Button", key="delete.cancel", label="Cancel", variant="ghost"),
        ),
        key="dialog.delete",
        title=f"Delete {question.data['name']}?",
        text="Its runs and artifacts stay.",
    )


DIALOGS = {"store.delete": _delete_dialog}


async def load(page: Page) -> None:
    """Loads the list that the search asks for."""
    store = page.state.store
    query = store.query
    found = (await page.host.list_melodies(query))["melodies"]
    if query == store.query:
        store.items, store.loaded = found, True


@on("store.start")
async def _start(page: Page, _argument: str, _value: Any) -> None:
    await page.open("compose")


@on("store.search", "change")
async def _search(page: Page, _argument: str, value: Any) -> None:
    page.state.store.query = str(value)
    await page.load("store")


@on("store.open")
async def _open(page: Page, argument: str, _value: Any) -> None:
    melody = await page.host.get_melody(argument)
    store = page.state.store
    store.selected, store.melody, store.findings = argument, melody, None
    page.changed()


@on("store.graph", "select")
async def _select(_page: Page, _argument: str, _value: Any) -> None:
    """The store shows the graph only; a chosen step has no details here."""


@on("store.play")
async def _play(page: Page, _argument: str, _value: Any) -> None:
    await compose.play(page, page.state.store.selected)


@on("store.edit")
async def _edit(page: Page, _argument: str, _value: Any) -> None:
    state = page.state
    state.compose.show(state.store.melody, state.store.selected)
    state.compose.mode, state.compose.answer, state.compose.editing = "manual", None, True
    await page.open("compose")


@on("store.validate")
async def _validate(page: Page, _argument: str, _value: Any) -> None:
    store = page.state.store
    if store.melody is None:
        raise BadInput("No Melody is open", remedy="open one from the list")
    answer = await page.host.validate_melody(store.melody)
    store.findings = answer["findings"]
    page.announce("The Melody is valid" if answer["valid"] else "The Melody is not valid")


@on("store.delete")
async def _delete(page: Page, _argument: str, _value: Any) -> None:
    store = page.state.store
    page.ask("store.delete", id=store.selected, name=(store.melody or {}).get("name") or "the Melody")


@on("delete.go")
async def _delete_go(page: Page, _argument: str, _value: Any) -> None:
    asked = page.answered()
    await page.host.delete_melody(asked["id"])
    store = page.state.store
    store.selected, store.melody, store.findings = "", None, None
    await history.offer(page, f"{asked['name']} was deleted")
    await page.load("store")


@on("delete.cancel")
@on("dialog.delete", "close")
async def _delete_cancel(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


@on("store.import", "pick")
async def _import(page: Page, _argument: str, value: Any) -> None:
    try:
        content = base64.b64decode(value["content"], validate=True)
    except (binascii.Error, KeyError, TypeError) as error:
        raise BadInput("The file did not arrive whole", remedy="pick it again") from error
    name = str(value.get("name", ""))
    melody = loads(content, PurePath(name).suffix, source=name).to_document()
    saved = await page.host.save_melody(
        melody, str(melody.get("name") or "imported"), str(melody.get("description") or "")
    )
    await page.load("store")
    await _open(page, saved["id"], None)
    page.announce(f"{saved['name']} was imported", show=True)
