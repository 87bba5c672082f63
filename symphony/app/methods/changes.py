"""Methods about what programs changed in their private copy of the project."""

from __future__ import annotations

from typing import Any

from symphony.app.services import Services

Json = dict[str, Any]


class ChangeMethods:
    """Nothing reaches the project before `apply_changes`, unless the settings say otherwise."""

    services: Services

    async def list_changes(self, run: str | None = None) -> Json:
        """The sets of changes, newest first."""
        whole = self.services.history.get(run).info.id if run else None
        return {"changes": await self.services.changes.listed(whole)}

    async def get_changes(self, changes: str) -> Json:
        """One set with its paths and its diff."""
        return await self.services.changes.show(changes)

    async def apply_changes(self, changes: str) -> Json:
        """Brings a set into its project, whole or not at all."""
        return await self.services.changes.apply(changes)

    async def apply_run_changes(self, run: str) -> Json:
        """Brings what a run changed into its project, one set after the other; stops at one that cannot be."""
        whole = self.services.history.get(run).info.id
        return {"changes": await self.services.changes.apply_run(whole)}

    async def undo_changes(self, changes: str) -> Json:
        """Takes an applied set back."""
        return await self.services.changes.undo(changes)
