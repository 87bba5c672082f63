"""A real host in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from symphony.app.host import Host
from symphony.app.lock import HomeLock
from symphony.config.home import Home


@asynccontextmanager
async def hosted(home: Path, settings: str = "", *, project: Path | None = None) -> AsyncIterator[Host]:
    """A host on a home, with these settings if there are any; `project` is open in it."""
    place = Home(home).create()
    if settings:
        place.config.write_text(settings)
    lock = HomeLock(place.lock)
    assert lock.acquire()
    host = Host(place, lock=lock, project=project)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()
