"""A command's way to the host: the running one of this home, or one that lives as long as the command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from symphony.config.home import Home
from symphony.ports.host import HostPort


@contextlib.asynccontextmanager
async def host(project: Path | None = None) -> AsyncIterator[HostPort]:
    """The HostPort to ask. When nobody holds the home's lock, this process becomes the host."""
    from symphony.app.lock import HomeLock
    from symphony.app.wire import HostClient

    home = Home.resolve()
    lock = HomeLock(home.lock)
    if not lock.acquire():
        yield HostClient(home.socket)
        return
    from symphony.app.loading import load_host

    own = load_host()(home, lock=lock)
    await own.start()
    try:
        yield own
        await own.runs_ended()
    finally:
        await own.stop()


@contextlib.contextmanager
def without_host() -> Iterator[bool]:
    """Whether nobody works on the home; then none can begin to while inside. For what must not need a host that
    starts: a setting may be what keeps it from starting."""
    from symphony.app.lock import HomeLock

    lock = HomeLock(Home.resolve().lock)
    free = lock.acquire()
    try:
        yield free
    finally:
        if free:
            lock.release()


def ask(work: Callable[[HostPort], Awaitable[Any]]) -> Any:
    """Runs one question to the host to its end."""

    async def whole() -> Any:
        async with host() as port:
            return await work(port)

    return asyncio.run(whole())


@contextlib.contextmanager
def interrupts(action: Callable[[], None]) -> Any:
    """While inside, SIGINT and SIGTERM call `action` instead of ending the process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
