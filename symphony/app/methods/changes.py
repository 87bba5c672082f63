"""Methods about what programs changed in their private copy of the project."""

from __future__ import annotations

from pathlib import Path
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
        return await self._take(changes)

    async def _take(self, changes: str, by: str = "you") -> Json:
        kept = self.services.changes
        about = await kept.about(changes)
        said = f"Applied changes to {Path(about['project']).name}: {_counted(about['counts'])}"
        async with self.services.actions.record("changes", about["id"], said, by=by):
            return await kept.apply(about["id"])

    async def apply_run_changes(self, run: str) -> Json:
        """Brings what a run changed into its project, one set after the other; stops at one that cannot be."""
        whole = self.services.history.get(run).info.id
        return {"changes": [await self._take(one) for one in await self.services.changes.waiting(whole)]}

    async def undo_changes(self, changes: str) -> Json:
        """Takes an applied set back."""
        kept = self.services.changes
        about = await kept.about(changes)
        said = f"Took changes back from {Path(about['project']).name}: {_counted(about['counts'])}"
        async with self.services.actions.record("changes", about["id"], said):
            return await kept.undo(about["id"])


def _counted(counts: dict[str, int]) -> str:
    """`1 file added, 2 changed`."""
    said = [f"{counts[kind]} {kind}" for kind in ("added", "changed", "removed") if counts.get(kind)]
    return ", ".join(said) or "nothing"
