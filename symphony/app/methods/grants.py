"""Methods about what extensions may do: taking a permission back, at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

from symphony.app.methods.extensions import permissions_of
from symphony.app.services import Services
from symphony.kit.definitions import PREFIX as DEFINITIONS
from symphony.stage.broker import Broker

Json = dict[str, Any]


class GrantMethods:
    """A permission that is taken back ends what was begun under it."""

    services: Services
    _broker: Broker

    async def revoke_permission(self, name: str, grant: str) -> Json:
        """Takes one grant back. Its Players that run are ended: what was mounted for them cannot be taken away."""
        services = self.services
        states = services.pit.player_states().values()
        running = [int(s["pid"]) for s in states if s["extension"] == name and s["pid"]]
        await asyncio.to_thread(services.extensions.installer.revoke, name, grant)
        if grant.startswith(DEFINITIONS):  # its Players ask before each call of a tool that has changed
            return permissions_of(await asyncio.to_thread(services.extensions.installer.find, name))
        services.extensions.changed()
        services.recast()
        self._broker.revoke(name)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return permissions_of(await asyncio.to_thread(services.extensions.installer.find, name))

    async def allow_permission(self, name: str, grant: str) -> Json:
        """Gives a grant again that was taken back; it holds for whatever begins from now on."""
        services = self.services
        await asyncio.to_thread(services.extensions.installer.allow, name, grant)
        services.extensions.changed()
        services.recast()
        return permissions_of(await asyncio.to_thread(services.extensions.installer.find, name))
