"""Methods about the open project."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.project import look_at, resolve_project
from symphony.app.services import Services

Json = dict[str, Any]


class ProjectMethods:
    """Which folder is open, and what can be said of it."""

    services: Services

    async def project(self) -> Json:
        """The open project; its path is None when none is open."""
        view = self.services.view
        if view is None:
            return {"path": None, "name": "", "is_git": False, "languages": {}, "examples": []}
        return view.to_json()

    async def open_project(self, path: str) -> Json:
        """Opens a folder and remembers it for the next start."""
        place = resolve_project(path)
        self.services.view = await asyncio.to_thread(look_at, place)
        self.services.home.remember_project(place)
        self.services.configuration.open_project(place)
        self.services.hub.emit({"event": "project"})
        return self.services.view.to_json()
