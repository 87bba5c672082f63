"""The warm template of Players as a part of the host: when it starts, what the log and the doctor say of it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path

from pit_native import PlayerTemplate
from symphony.config import Configuration
from symphony.ports.component import HealthStatus
from symphony.stage.sandbox import template_sources, template_spec

log = logging.getLogger(__name__)

SLOWER = "Players are started by the launcher: in the same sandbox, but slower"


class WarmTemplate:
    """Keeps the template from which Players are copied. Without it they start as well, only later."""

    name = "player template"

    def __init__(self, configuration: Configuration, launcher: Path, library: Path) -> None:
        self._configuration = configuration
        self._launcher = launcher
        self._library = library
        self._native: PlayerTemplate | None = None
        self._making = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Nothing but to know the loop: whoever is first to need the template pays for it."""
        self._loop = asyncio.get_running_loop()

    def native(self) -> PlayerTemplate | None:
        """What a Player's launch names; None where this build has no template. From any thread."""
        with self._making:
            if self._native is None and self._library.exists():
                waived = self._configuration.get("stage.sandbox.allow_missing")
                spec = template_spec(self._library, allow_missing=waived)
                sources = template_sources(self._launcher, self._library)
                self._native = PlayerTemplate(self._launcher, spec, sources)
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(self._loop.add_reader, self._native.fileno(), self._tell)
            return self._native

    def warm(self) -> None:
        """Starts the template in the background, the first time; so does the first Player."""
        native = self.native()
        if native is not None:
            native.warm()

    async def stop(self) -> None:
        """Ends the template; Players that were copied from it go on."""
        if self._native is not None:
            asyncio.get_running_loop().remove_reader(self._native.fileno())
            await asyncio.to_thread(self._native.close)

    async def health_check(self) -> HealthStatus:
        """Degraded where Players start slower than they could."""
        if not self._library.exists():
            detail = f"{self._library} is missing; {SLOWER}"
            return HealthStatus(self.name, "degraded", detail, "run `make build`")
        if self._native is None:
            return HealthStatus(self.name, "ok", "cold; no Player was started yet", "")
        status = self._native.status()
        told = f"{status['copied']} of {status['copied'] + status['launched']} Players were copied from it"
        if status["state"] == "failed":
            detail = f"{status['reason']}; {SLOWER}; {told}"
            return HealthStatus(self.name, "degraded", detail, "see `symphony logs`")
        return HealthStatus(self.name, "ok", f"{status['state']}; {told}", "")

    def _tell(self) -> None:
        assert self._native is not None
        os.eventfd_read(self._native.fileno())
        status = self._native.status()
        if status["state"] == "warm":
            log.info("the template of Players is warm", extra={"pid": status["pid"]})
        elif status["state"] == "failed":
            log.warning("no template of Players: %s; %s", status["reason"], SLOWER)
        else:
            log.info("the template of Players starts anew: %s", status["reason"])
