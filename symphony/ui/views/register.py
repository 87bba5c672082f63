"""The list of views, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symphony.ui.node import Node
from symphony.ui.state import PageState, Question
from symphony.ui.views import artifacts, board, compose, history, learning, market, panels, settings, store

if TYPE_CHECKING:
    from symphony.ui.page import Page


@dataclass(frozen=True, slots=True)
class View:
    """A view: its title, in full and for a narrow page, how it is drawn and loaded, its dialogs by kind."""

    title: str
    short: str
    render: Callable[[PageState], Node]
    load: Callable[[Page], Awaitable[None]]
    dialogs: Mapping[str, Callable[[Question], Node]]
    leave: Callable[[Page], Awaitable[None]] | None = None
    """What is done when another view is opened."""
    is_linked: bool = True
    """Whether the navigation leads to it; the command palette leads to every view."""


VIEWS: dict[str, View] = {
    "compose": View("Compose", "Compose", compose.render, compose.load, compose.DIALOGS),
    "board": View("Harmony Board", "Board", board.render, board.load, board.DIALOGS),
    "artifacts": View("Artifacts", "Artifacts", artifacts.render, artifacts.load, {}, artifacts.leave),
    "store": View("Polyphony Store", "Store", store.render, store.load, store.DIALOGS),
    "market": View("Marketplace", "Marketplace", market.render, market.load, market.DIALOGS),
    "panels": View("Panels", "Panels", panels.render, panels.load, {}, panels.leave),
    "settings": View("Settings", "Settings", settings.render, settings.load, {}),
    "history": View("History", "History", history.render, history.load, {}, is_linked=False),
    "learning": View(
        "Learning", "Learning", learning.render, learning.load, learning.DIALOGS, is_linked=False
    ),
}
