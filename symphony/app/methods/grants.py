"""Methods about what extensions may do: taking a permission back, at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

from symphony.app.services import Services
from symphony.stage.broker import Broker
from symphony.stage.permissions import Grants

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
        services.extensions.changed()
        services.recast()
        self._broker.revoke(name)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (now,) = [i for i in await asyncio.to_thread(services.extensions.installer.list) if i.name == name]
        left = Grants(now.granted)
        return {"name": name, "granted": list(left), "words": left.explain()}
