"""When an extension that keeps crashing is given up: a rule over moments, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Crash:
    """One unwanted end of an extension's process: seconds since the epoch, and how it ended."""

    at: float
    reason: str


@dataclass(slots=True)
class Crashes:
    """`limit` crashes of one extension within `window` seconds are too many; a limit of 0 means never."""

    limit: int = 3
    window: float = 300.0
    _recent: dict[str, deque[Crash]] = field(default_factory=dict)

    def note(self, extension: str, crash: Crash) -> list[Crash]:
        """Takes a crash; answers with all of the window when they are too many now, else with nothing."""
        recent = self._recent.setdefault(extension, deque())
        recent.append(crash)
        while recent[0].at <= crash.at - self.window:
            recent.popleft()
        if not self.limit or len(recent) < self.limit:
            return []
        del self._recent[extension]
        return list(recent)

    def recent(self) -> dict[str, list[Crash]]:
        """The crashes that may still count, by extension."""
        return {name: list(crashes) for name, crashes in self._recent.items()}

    def remember(self, recent: Mapping[str, Iterable[Crash]]) -> None:
        """Takes what another host has noted."""
        self._recent = {name: deque(crashes) for name, crashes in recent.items() if crashes}

    def forget(self, extension: str) -> None:
        """The user gives it another chance."""
        self._recent.pop(extension, None)
