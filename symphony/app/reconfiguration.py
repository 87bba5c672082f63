"""Settings change while the host runs: a good edit holds at once where it can, a bad one is refused with its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from symphony.app.component_settings import check_enabled
from symphony.app.extensions import Extensions
from symphony.config import Configuration
from symphony.config.catalogue import holds_at_once
from symphony.config.files import PROJECT_FILES
from symphony.errors import InvalidConfig, SymphonyError
from symphony.telemetry import setup_logging

log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two looks at the files. A look is one to five `stat` calls: it costs less than a watcher would, is
told of nothing else that happens in the home, and sees files that are replaced, on any file system."""

Look = tuple[tuple[int, int, int] | None, ...]


class Reconfiguration:
    """Follows the files of the settings. `recast` tells of changed extensions, `emit` tells pages and commands;
    `holds` has, by the beginning of keys, what makes a new value of them hold that is not read whenever it is needed.
    """

    def __init__(
        self,
        configuration: Configuration,
        extensions: Extensions,
        recast: Callable[[], None],
        emit: Callable[[dict[str, Any]], None],
        holds: Mapping[str, Callable[[], Awaitable[None]]],
    ) -> None:
        self._configuration = configuration
        self._extensions = extensions
        self._recast = recast
        self._emit = emit
        self._holds = holds
        self._applying: set[asyncio.Task[None]] = set()
        self._seen: Look = ()
        self._problem = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes the files as they are for those that were read."""
        self._seen = self._look()
        self._task = asyncio.create_task(self._follow(), name="settings")

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, *self._applying, return_exceptions=True)

    def changed(self, keys: Sequence[str]) -> None:
        """Does what new values ask for beyond being there, and says which of them hold from the next start only."""
        if not keys:
            return
        get = self._configuration.get
        if any(key.startswith("logging.") for key in keys):
            home = self._configuration.home
            sizes = {name: get(f"logging.{name}") for name in ("max_bytes", "backups")}
            setup_logging(home, "host", get("logging.level"), **sizes)
        if any(key.startswith("registry.") for key in keys):
            self._extensions.reopen_registry()
        if any(key.startswith(("registry.", "extensions")) for key in keys):
            self._extensions.changed()
            self._recast()
        for beginning, take_over in self._holds.items():
            if any(key.startswith(beginning) and holds_at_once(key) for key in keys):
                task = asyncio.get_running_loop().create_task(self._apply(beginning, take_over))
                self._applying.add(task)
                task.add_done_callback(self._applying.discard)
        later = [key for key in keys if not holds_at_once(key)]
        log.info("settings changed: %s", ", ".join(keys), extra={"component": "config"})
        try:
            check_enabled(self._configuration)
        except InvalidConfig as error:
            log.error("the next start will fail: %s", error, extra={"component": "config"})
            self._tell(f"The next start of Symphony will fail: {error.message}; {error.remedy}")
            later = []
        if later:
            hold = "hold" if len(later) > 1 else "holds"
            self._tell(f"{', '.join(later)} {hold} from the next start of Symphony")
        self._emit({"event": "settings"})

    async def _apply(self, what: str, hold: Callable[[], Awaitable[None]]) -> None:
        try:
            await hold()
        except SymphonyError as error:
            log.error("%s: what held before still does: %s", what, error, extra={"component": "config"})
            self._tell(f"What held of {what} before still does: {error.message}")

    async def settled(self) -> None:
        """Waits until what was changed holds."""
        await asyncio.gather(*self._applying)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            now = self._look()
            if now == self._seen:
                continue
            await asyncio.sleep(PAUSE / 5)  # an editor may be writing just now
            if self._look() == now:
                self._seen = now
                await self._read_again()

    async def _read_again(self) -> None:
        try:
            changed = await asyncio.to_thread(self._configuration.reload)
        except InvalidConfig as error:
            problem = f"{error.message}; {error.remedy}" if error.remedy else error.message
            if problem != self._problem:
                log.error("the settings of before stay: %s", problem, extra={"component": "config"})
                self._tell(f"The settings of before stay: {problem}")
            self._problem = problem
            self._emit({"event": "settings"})  # the health on the page shows it, too
            return
        if self._problem:
            self._tell("The settings can be read again")
        self._problem = ""
        self.changed(changed)

    def _tell(self, message: str) -> None:
        self._emit({"event": "notice", "message": message, "show": True})

    def _look(self) -> Look:
        files = [self._configuration.home.config]
        project = self._configuration.project
        if project is not None:
            files += [project / name for name in PROJECT_FILES]
        return tuple(map(_state, files))


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
