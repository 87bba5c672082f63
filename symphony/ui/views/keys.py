"""The overview of the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.ui.actions import on
from symphony.ui.node import Node, h

if TYPE_CHECKING:
    from symphony.ui.page import Page

KIND = "keys"
"""The question that the overview is drawn as."""

KEYS = (
    ("?  or  Ctrl /", "Shows these keys"),
    ("Ctrl K", "Commands: every action of every view, found by a few letters"),
    ("Ctrl Z", "Offers to undo the last action; once more undoes it (outside of text fields)"),
    ("Ctrl Enter", "Composes the prompt"),
    ("↑  ↓", "Earlier prompts, from the beginning of the prompt box"),
    ("→", "Takes the completion that stands behind what you typed"),
    ("Tab, Enter", "On the graph: to the next step, and shows it"),
    ("Delete", "On a chosen step or connection of a graph that is being edited: removes it"),
    ("Esc", "Closes a dialog, the commands or an offer"),
)
"""The keys and what they do. On a Mac, ⌘ stands for Ctrl."""


def dialog() -> Node:
    """The overview, as long as it is open."""
    return h(
        "Dialog",
        h(
            "Table",
            key="keys.table",
            label="Keys",
            columns=[{"id": "keys", "label": "Key"}, {"id": "does", "label": "What it does"}],
            rows=[{"id": keys, "cells": [keys, does]} for keys, does in KEYS],
            still=True,
        ),
        key="dialog.keys",
        title="Keyboard",
        text="On a Mac, ⌘ stands for Ctrl.",
    )


@on("shell", KIND)
async def _open(page: Page, _argument: str, _value: Any) -> None:
    if page.state.question is None:  # what is asked comes first
        page.ask(KIND)


@on("dialog.keys", "close")
async def _close(page: Page, _argument: str, _value: Any) -> None:
    page.answered()
