"""Methods about what was done: the history of actions, undoing one, doing it again."""

from __future__ import annotations

from typing import Any

from symphony.app.services import Services

Json = dict[str, Any]


class ActionMethods:
    """One history of what the user, and the host for them, did in every other method."""

    services: Services

    async def list_actions(self, limit: int = 100, before: int | None = None) -> Json:
        """The newest actions first."""
        return {"actions": await self.services.actions.listed(limit, before)}

    async def undo_action(self, action: int | None = None) -> Json:
        """Takes an action back, the newest that can be when none is named."""
        return await self.services.actions.turn(action, undo=True)

    async def redo_action(self, action: int | None = None) -> Json:
        """Does an action again that was undone."""
        return await self.services.actions.turn(action, undo=False)
