"""The changes of the host in memory."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]


class FakeChanges:
    """Sets that are marked as applied or undone; there is no project."""

    changes: list[Json]

    async def list_changes(self, run: str | None = None) -> Json:
        return {"changes": [copy.deepcopy(c) for c in self.changes if run in (None, c["run"])]}

    async def get_changes(self, changes: str) -> Json:
        (found,) = (c for c in self.changes if c["id"] == changes)
        return {**copy.deepcopy(found), "paths": [], "diff": "--- a/x\n+++ b/x\n-old\n+  new\n"}

    async def apply_changes(self, changes: str) -> Json:
        return self._turn(changes, "applied")

    async def apply_run_changes(self, run: str) -> Json:
        return {
            "changes": [
                self._turn(c["id"], "applied")
                for c in self.changes
                if c["state"] == "open" and not c.get("replaced")
            ]
        }

    async def undo_changes(self, changes: str) -> Json:
        return self._turn(changes, "undone")

    def _turn(self, changes: str, state: str) -> Json:
        (found,) = (c for c in self.changes if c["id"] == changes)
        found["state"] = state
        return copy.deepcopy(found)
