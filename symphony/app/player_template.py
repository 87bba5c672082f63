"""The warm template of Players as a part of the host: when it starts, what the log and the doctor say of it."""

from __future__ import annotations

import asyncio
import logging
import os
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
        self.native: PlayerTemplate | None = None
        """What a Player's launch names; None where this build has no template."""
        self._library = library
        if library.exists():
            spec = template_spec(library, allow_missing=configuration.get("stage.sandbox.allow_missing"))
            self.native = PlayerTemplate(launcher, spec, template_sources(launcher, library))

    async def start(self) -> None:
        """Begins to log what becomes of the template, of which there is none yet."""
        if self.native is not None:
            asyncio.get_running_loop().add_reader(self.native.fileno(), self._tell)

    def warm(self) -> None:
        """Starts the template in the background, the first time; so does the first Player."""
        if self.native is not None:
            self.native.warm()

    async def stop(self) -> None:
        """Ends the template; Players that were copied from it go on."""
        if self.native is not None:
            asyncio.get_running_loop().remove_reader(self.native.fileno())
            await asyncio.to_thread(self.native.close)

    async def health_check(self) -> HealthStatus:
        """Degraded where Players start slower than they could."""
        if self.native is None:
            detail = f"{self._library} is missing; {SLOWER}"
            return HealthStatus(self.name, "degraded", detail, "run `make build`")
        status = self.native.status()
        told = f"{status['copied']} of {status['copied'] + status['launched']} Players were copied from it"
        if status["state"] == "failed":
            detail = f"{status['reason']}; {SLOWER}; {told}"
            return HealthStatus(self.name, "degraded", detail, "see `symphony logs`")
        return HealthStatus(self.name, "ok", f"{status['state']}; {told}", "")

    def _tell(self) -> None:
        assert self.native is not None
        os.eventfd_read(self.native.fileno())
        status = self.native.status()
        if status["state"] == "warm":
            log.info("the template of Players is warm", extra={"pid": status["pid"]})
        elif status["state"] == "failed":
            log.warning("no template of Players: %s; %s", status["reason"], SLOWER)
        else:
            log.info("the template of Players starts anew: %s", status["reason"])
