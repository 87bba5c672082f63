"""The command palette: everything that can be done, in any view, found by a few letters.

What stands in it is read off the views themselves, so that an action which is added to a view is in the palette, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import PageState, Question

if TYPE_CHECKING:
    from symphony.ui.page import Page

KIND = "commands"
"""The question that the palette answers."""

FOREIGN = "Foreign"
"""The element whose children a Motif brings: they never become commands of the host."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that can be done: the event of an element of a view, or, without an element, going to the view."""

    label: str
    group: str
    view: str
    hint: str = ""
    element: str = ""
    event: str = "press"
    value: Any = None

    @property
    def id(self) -> str:
        """What the page sends back; it stays the same for as long as the command is there."""
        return "\n".join((self.view, self.element, self.event, str(self.value or "")))


def commands(state: PageState) -> list[Command]:
    """All that can be done now: in the open view, to go elsewhere, in the other views, each setting."""
    from symphony.ui.views import VIEWS, panels  # the register imports the views

    open_view = state.view
    views = {name: view for name, view in VIEWS.items() if name != "panels" or panels.panels_of(state.motifs)}
    found = _of_view(open_view, "Here", VIEWS[open_view].render(state))
    found += [
        Command(f"Go to {view.title}", "Go to", name) for name, view in views.items() if name != open_view
    ]
    found.append(Command("Undo the last action", "Go to", "", element="shell", event="undo"))
    found.append(Command("Keyboard shortcuts", "Go to", "", element="shell", event="keys"))
    found.append(Command("Open a project", "Go to", "", element="shell", event="project"))
    for name, view in views.items():
        if name != open_view:
            found += _of_view(name, view.title, view.render(state))
    found += [
        Command(
            f"Setting {row['key']}", "Settings", "settings", str(row.get("description") or ""), *_search(row)
        )
        for row in state.settings.rows
    ]
    once: dict[tuple[str, ...], Command] = {}
    for command in found:
        # Views say the same of what is not about one thing, such as writing a prompt: that stands once.
        is_general = bool(command.element) and ":" not in command.element and command.event == "press"
        once.setdefault((command.label,) if is_general else ("", command.id), command)
    return list(once.values())


def _search(row: dict[str, Any]) -> tuple[str, str, str]:
    return "settings.search", "change", str(row["key"])


def _of_view(view: str, group: str, tree: Node) -> list[Command]:
    return [
        Command(label, group, view, hint if hint != label else "", element, event, value)
        for element, event, value, label, hint in _events(tree, "")
    ]


def _events(node: Node, under: str) -> Iterator[tuple[str, str, Any, str, str]]:
    """Element, event, value, label and what it belongs to, of each thing in the tree that can be pressed or chosen."""
    kind, props, key = node["type"], node["props"], node.get("key") or ""
    if kind == FOREIGN or props.get("disabled") or props.get("busy"):
        return
    label = str(props.get("label") or "")
    if kind == "Button" and not props.get("submit"):
        yield key, "press", None, label, under
    elif kind == "Link" and not props.get("current"):
        yield key, "press", None, f"Open {label}", str(props.get("text") or under)
    elif kind == "Segments":
        for option in props["options"]:
            if option["value"] != props["value"]:
                yield key, "change", option["value"], f"{label}: {option['label']}", under
    elif kind == "Switch" and not key.startswith("settings.value:"):
        is_on = bool(props.get("value"))
        yield key, "change", not is_on, f"{label}: turn {'off' if is_on else 'on'}", under
    inner = under
    if kind in ("Section", "Card", "Article"):
        inner = str(props.get("title") or label or under)
    elif kind == "Line":
        inner = _said(node) or under
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _events(child, inner)


def _said(line: Node) -> str:
    """The text that stands in a line beside its buttons, such as the question that they answer."""
    texts = (
        child["children"] for child in line["children"] if isinstance(child, dict) and child["type"] == "Text"
    )
    return next((text[0] for text in texts if text and isinstance(text[0], str)), "")


def dialog(state: PageState, question: Question) -> Node:
    """The palette, as long as it is open."""
    return h(
        "Commands",
        key="commands",
        items=[
            {"id": command.id, "label": command.label, "group": command.group, "hint": command.hint}
            for command in commands(state)
        ],
        busy=question.data.get("busy") or None,
    )


@on("shell", KIND)
async def _open(page: Page, _argument: str, _value: Any) -> None:
    if page.state.question is not None:  # what is asked comes first
        return
    page.ask(KIND, busy=True)
    views = [name for name, loaded in _lists(page.state) if not loaded]
    await asyncio.gather(*(page.load(name) for name in views))
    if _is_open(page.state):
        page.ask(KIND)


def _is_open(state: PageState) -> bool:
    return state.question is not None and state.question.kind == KIND


def _lists(state: PageState) -> list[tuple[str, bool]]:
    return [
        ("artifacts", state.artifacts.loaded),
        ("store", state.store.loaded),
        ("settings", state.settings.loaded),
    ]


@on(KIND, "close")
async def _close(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


@on(KIND, "run")
async def _run(page: Page, _argument: str, value: Any) -> None:
    wanted = next((command for command in commands(page.state) if command.id == value), None)
    page.answered()
    if wanted is None:
        raise BadInput("That cannot be done any more", remedy="open the commands again")
    if wanted.view and wanted.view != page.state.view:
        await page.open(wanted.view)
    if wanted.element:
        page.dispatch(wanted.element, wanted.event, wanted.value)
