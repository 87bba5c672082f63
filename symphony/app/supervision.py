"""Watches over extensions: one that keeps crashing is disabled with a report, and each has a day's budget."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symphony.config import Configuration
from symphony.config.files import write_atomically
from symphony.errors import SymphonyError
from symphony.stage.budgets import GENERAL, Allowance, Budget, Ledger
from symphony.stage.crashes import Crash, Crashes
from symphony.stage.roster import CastMember

log = logging.getLogger(__name__)

Json = dict[str, Any]

_IN_ORDER = "exit status 0"
"""How a Player ends that was asked to, for instance because nobody has used it for a while."""
_NEVER_READY = ("it ended before it was ready", "ended while running its activation")
"""What the reason of a start says that failed because the process ended; a sandbox that was refused is no fault of
the extension's."""


class Supervision:
    """Follows the events of Players. `disable` switches an extension off, `is_known` tells whether a pool entry is
    still one that may play: the end of any other is no crash.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Configuration,
        disable: Callable[[str], None],
        is_known: Callable[[str], bool],
        emit: Callable[[Json], None],
        member: Callable[[str], CastMember | None] = lambda extension: None,
    ) -> None:
        """`member` answers an extension that may play, with the limits that the user has set for it."""
        get = configuration.get
        self._reports = folder / "crashes.json"
        self._configuration = configuration
        self._disable = disable
        self._is_known = is_known
        self._emit = emit
        self._member = member
        self._crashes = Crashes()
        self._problems: dict[str, Json] = {}
        self._read()
        self._barred: set[str] = set()
        self._begun: dict[str, float] = {}
        self._ready: set[int] = set()
        """Processes that were ready. How another one ended is told by its start, once and in any order with it."""
        self._activation: dict[str, float] = {}
        self.ledger = Ledger(
            folder / "usage.json",
            lambda extension: self._allowance(extension).over(
                Budget(get("stage.budget.calls"), get("stage.budget.tokens"), get("stage.budget.cost"))
            ),
        )

    def follow(self, event: Json) -> None:
        """Takes an event of the engine. On the host's loop."""
        if event.get("event") != "players":
            return
        extension, key, state = str(event["extension"]), str(event["key"]), event.get("state")
        if state == "loading":
            self._begun[key] = time.monotonic()
        elif state == "ready":
            self._ready.add(int(event.get("pid") or 0))
            if key in self._begun:
                self._activation[extension] = time.monotonic() - self._begun.pop(key)
        elif state == "unloaded":
            pid, reason = int(event.get("pid") or 0), str(event.get("reason") or "")
            if pid:
                is_crash = pid in self._ready and bool(reason) and not reason.endswith(_IN_ORDER)
                self._ready.discard(pid)
            else:
                self._begun.pop(key, None)
                is_crash = any(words in reason for words in _NEVER_READY)
            if is_crash and self._is_known(key):
                self._crashed(extension, reason)

    def about(self, extension: str) -> Json:
        """What the page and the command line show of an extension: `{"usage": {…}, "problem": {…} | None}`."""
        usage = self.ledger.about(extension)
        usage["activation"] = self._activation.get(extension)
        get, member = self._configuration.get, self._member(extension)
        start, memory, cpu = (get(f"stage.player.{name}") for name in ("start_timeout", "memory", "cpu"))
        usage["limits"]["activation"] = self._allowance(extension).activation or start
        usage["limits"]["memory"] = member.memory(memory) if member else memory
        usage["limits"]["cpu"] = member.cpu(cpu) if member else cpu
        return {"usage": usage, "problem": self._problems.get(extension)}

    def is_barred(self, extension: str) -> bool:
        """Whether it is off although that could not be written down: nothing of it plays in this host."""
        return extension in self._barred

    def enabled(self, extension: str) -> None:
        """The user has switched it on again: what was is forgotten."""
        self._barred.discard(extension)
        self._crashes.forget(extension)
        if self._problems.pop(extension, None) is not None:
            self._write()

    def close(self) -> None:
        """Keeps what was counted."""
        self.ledger.close()

    def _allowance(self, extension: str) -> Allowance:
        member = self._member(extension)
        return member.allowance if member else GENERAL

    def _crashed(self, extension: str, reason: str) -> None:
        get = self._configuration.get
        self._crashes.limit, self._crashes.window = get("stage.crashes.limit"), get("stage.crashes.window")
        recent = self._crashes.note(extension, Crash(time.time(), reason))
        if not recent:
            self._write()
            return
        message = (
            f"{extension} crashed {len(recent)} times within {self._crashes.window:g} seconds and is switched off; "
            f"the last time {recent[-1].reason}"
        )
        remedy = f"see `symphony logs`; `symphony ext enable {extension}` switches it on again"
        self._problems[extension] = {
            "message": message,
            "remedy": remedy,
            "crashes": [{"at": crash.at, "reason": crash.reason} for crash in recent],
        }
        self._barred.add(extension)  # before anything that can fail
        try:
            self._disable(extension)
        except (SymphonyError, OSError) as error:
            log.error(
                "%s is off in this host only, which could not be written down: %s",
                extension,
                error,
                extra={"component": "stage"},
            )
        else:
            self._barred.discard(extension)
        self._write()
        log.error("%s", message, extra={"component": "stage"})
        asyncio.get_running_loop().call_soon(
            self._emit, {"event": "notice", "message": f"{message}; {remedy}"}
        )

    def _read(self) -> None:
        """What an earlier host has seen: a command may be a host of its own, and crashes of several count together."""
        try:
            body = json.loads(self._reports.read_bytes())
            recent = {name: [Crash(**crash) for crash in said] for name, said in body["recent"].items()}
            problems = dict(body["switched_off"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # there was none, or nothing that could be believed
        self._crashes.remember(recent)
        self._problems = problems

    def _write(self) -> None:
        recent = {name: [asdict(crash) for crash in said] for name, said in self._crashes.recent().items()}
        body = {"switched_off": self._problems, "recent": recent}
        try:
            write_atomically(self._reports, json.dumps(body).encode())
        except SymphonyError as error:  # it is still remembered until the host ends
            log.error("%s", error, extra={"component": "stage"})
