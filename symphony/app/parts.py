"""Parts of the host as components of its bootstrap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from symphony.ports.component import HealthStatus, Status

Looking = Callable[[], tuple[Status, str, str]]
"""Status, detail and remedy; asked in a thread."""


def _fine() -> tuple[Status, str, str]:
    return "ok", "", ""


def nothing() -> None:
    """The start or stop of a part that has none."""


class Part:
    """A part whose start and stop are functions that may block; they run in a thread."""

    def __init__(
        self,
        name: str,
        opening: Callable[[], Any] = nothing,
        closing: Callable[[], Any] = nothing,
        looking: Looking = _fine,
        after: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """`after` waits for what the part needs of others that start beside it."""
        self.name = name
        self._opening = opening
        self._closing = closing
        self._looking = looking
        self._after = after
        self.opened = asyncio.Event()

    async def start(self) -> None:
        """Opens the part."""
        if self._after is not None:
            await self._after()
        if self._opening is not nothing:
            await asyncio.to_thread(self._opening)
        self.opened.set()

    async def stop(self) -> None:
        """Closes it."""
        self.opened.clear()
        await asyncio.to_thread(self._closing)

    async def health_check(self) -> HealthStatus:
        """Asks the part something that it can only answer when it works."""
        status, detail, remedy = await asyncio.to_thread(self._looking)
        return HealthStatus(self.name, status, detail, remedy)


class LoopPart:
    """A part that lives on the loop: it has `stop`, and may have `start`."""

    def __init__(self, name: str, part: Any) -> None:
        self.name = name
        self._part = part

    async def start(self) -> None:
        """Starts it, if it wants to be."""
        if hasattr(self._part, "start"):
            await self._part.start()

    async def stop(self) -> None:
        """Stops it."""
        await self._part.stop()

    async def health_check(self) -> HealthStatus:
        """It works as long as the loop does that asks."""
        return HealthStatus(self.name, *_fine())
