"""The hub: what happens in the host reaches everyone who watches, and a slow watcher harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

Json = dict[str, Any]

QUEUE = 4096
_STATE_EVENTS = frozenset({"taskProgress", "metricsUpdate"})


class Hub:
    """Fans events out. A watcher that falls behind loses the oldest progress events, never an end or an error."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()

    def emit(self, event: Json) -> None:
        """Hands an event to every watcher; call it on the host's loop."""
        for watcher in self._watchers:
            watcher.offer(event)

    async def watch(self, run: str | None = None) -> AsyncIterator[Json]:
        """Events of one run, or all of them, from now on; the first is `watching`, once nothing can be missed."""
        watcher = _Watcher(run)
        self._watchers.add(watcher)
        try:
            yield {"event": "watching"}
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self, run: str | None) -> None:
        self._run = run
        self._events: list[Json] = []
        self._wake = asyncio.Event()

    def offer(self, event: Json) -> None:
        of = event.get("run")
        if self._run is not None and (of["id"] if isinstance(of, dict) else of) != self._run:
            return
        if len(self._events) >= QUEUE:
            for index, old in enumerate(self._events):
                if old["event"] in _STATE_EVENTS:
                    del self._events[index]
                    break
        self._events.append(event)
        self._wake.set()

    async def next(self) -> Json:
        while not self._events:
            self._wake.clear()
            await self._wake.wait()
        return self._events.pop(0)
