"""Which code answers an event of the page: a table from element and event to an action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony.ui.page import Page

Action = Callable[["Page", str, Any], Awaitable[None]]

ACTIONS: dict[tuple[str, str], Action] = {}
"""(element, event) to the action that answers it. An action takes the page, the argument and the value."""


def on(element: str, event: str = "press") -> Callable[[Action], Action]:
    """Declares the action for `event` of the elements whose key is `element` or `element:argument`."""

    def declare(action: Action) -> Action:
        if (element, event) in ACTIONS:
            raise ValueError(f"{element} {event} has two actions")
        ACTIONS[element, event] = action
        return action

    return declare
