"""The history of actions of the host in memory."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

from symphony.errors import SymphonyError

Json = dict[str, Any]


def yesterday() -> float:
    """Noon of the day before today: so many seconds ago would be two days back soon after midnight."""
    noon = datetime.now().replace(hour=12, minute=0, second=0, microsecond=0)
    return (noon - timedelta(days=1)).timestamp()


def action(id: int, said: str, at: float, **more: Any) -> Json:
    """An action as `list_actions` shows it."""
    plain = {
        "by": "you",
        "kind": "setting",
        "subject": "",
        "error": "",
        "undone": False,
        "can": "undo",
        "status": "",
    }
    return {"id": id, "said": said, "at": at, **plain, **more}


class FakeActions:
    """Actions that are marked as undone or done again; nothing else changes."""

    done: list[Json]
    """The newest first."""

    async def list_actions(self, limit: int = 100, before: int | None = None) -> Json:
        found = [one for one in self.done if before is None or one["id"] < before]
        return {"actions": copy.deepcopy(found[:limit])}

    async def undo_action(self, action: int | None = None) -> Json:
        return self._turn_action(action, "undo")

    async def redo_action(self, action: int | None = None) -> Json:
        return self._turn_action(action, "redo")

    def _turn_action(self, action: int | None, can: str) -> Json:
        (found,) = (one for one in self.done if one["id"] == action)
        if found["error"] == "changed":
            raise SymphonyError("It has changed since", remedy="undo the later one first")
        assert found["can"] == can
        found["undone"], found["can"] = can == "undo", "redo" if can == "undo" else "undo"
        return copy.deepcopy(found)
