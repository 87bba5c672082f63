"""Methods about what extensions may do: taking a permission back, at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from symphony.app.methods.extensions import permissions_of
from symphony.app.services import Services
from symphony.kit.definitions import PREFIX as DEFINITIONS
from symphony.kit.state import InstallState
from symphony.stage.broker import Broker

Json = dict[str, Any]


class GrantMethods:
    """A permission that is taken back ends what was begun under it."""

    services: Services
    _broker: Broker
    _changed: Callable[[], None]

    async def revoke_permission(self, name: str, grant: str) -> Json:
        """Takes one grant back. Its Players that run are ended: what was mounted for them cannot be taken away."""
        services = self.services
        running = self._players_of([name])
        async with services.actions.record("extension", name, f"Took {grant} back from {name}"):
            await asyncio.to_thread(services.extensions.installer.revoke, name, grant)
            if not grant.startswith(
                DEFINITIONS
            ):  # else its Players ask before each call of a tool that has changed
                services.extensions.changed()
                services.recast()
                self._end([name], running)
        return permissions_of(await asyncio.to_thread(services.extensions.installer.find, name))

    async def allow_permission(self, name: str, grant: str) -> Json:
        """Gives a grant again that was taken back; it holds for whatever begins from now on."""
        services = self.services
        async with services.actions.record("extension", name, f"Allowed {name} {grant} again"):
            await asyncio.to_thread(services.extensions.installer.allow, name, grant)
            services.extensions.changed()
            services.recast()
        return permissions_of(await asyncio.to_thread(services.extensions.installer.find, name))

    async def restored(self, before: InstallState, after: InstallState) -> None:
        """Another state of the extensions holds. What may do less ends as at a revocation."""
        less = narrowed(before, after)
        running = self._players_of(less)
        for name, record in after.extensions.items():
            was = before.extensions.get(name)
            if record.enabled and was is not None and not was.enabled:
                self.services.supervision.enabled(name)
        self._changed()
        self._end(less, running)

    def _players_of(self, names: Sequence[str]) -> list[int]:
        states = self.services.pit.player_states().values()
        return [int(s["pid"]) for s in states if s["extension"] in names and s["pid"]]

    def _end(self, names: Sequence[str], running: Sequence[int]) -> None:
        for name in names:
            self._broker.revoke(name)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def narrowed(before: InstallState, after: InstallState) -> list[str]:
    """The extensions that may do less in `after`, or are not there or off."""
    found = set(after.disabled_bundled) - set(before.disabled_bundled)
    for name, refused in after.revoked_bundled.items():
        if set(refused) - set(before.revoked_bundled.get(name, ())):
            found.add(name)
    for name, record in before.extensions.items():
        now = after.extensions.get(name)
        if now is None or not now.enabled or set(record.active.granted) - set(now.active.granted):
            found.add(name)
    return sorted(found)
