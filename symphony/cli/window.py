"""`symphony app`: the desktop application."""

from __future__ import annotations

import asyncio
import signal
import threading
import webbrowser
from pathlib import Path
from typing import Any

import click

from symphony.app.window import has_display, has_toolkit, show
from symphony.cli.output import Mode, common, note
from symphony.config.home import Home


@click.command()
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The project to open (default: the last one).",
)
@click.option("--browser", is_flag=True, help="Open the browser instead of a window.")
@common
def app(mode: Mode, project: Path | None, browser: bool) -> None:
    """Open the desktop application; without a display, print the page's address."""
    from symphony.app.lock import HomeLock, page_of_other
    from symphony.app.project import resolve_project

    place = resolve_project(project) if project is not None else None
    home = Home.resolve()
    lock = HomeLock(home.lock)
    other = page_of_other(home, lock)
    if other is not None:
        _open_running(other, browser)
        return
    host = _HostThread(home, lock, place)
    address = host.started()
    try:
        if browser or not has_display() or not has_toolkit():
            _without_window(address, browser)
        else:
            show(address, "Symphony")
    finally:
        host.stop()


def _open_running(address: str, browser: bool) -> None:
    if browser or not has_display() or not has_toolkit():
        print(address, flush=True)
        if browser:
            webbrowser.open(address)
    else:
        show(address, "Symphony")


def _without_window(address: str, browser: bool) -> None:
    print(address, flush=True)
    if browser:
        webbrowser.open(address)
    else:
        note("There is no display here; open this address in a browser. Ctrl+C ends Symphony.")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


class _HostThread:
    """The host on a thread of its own, for a toolkit wants the main one."""

    def __init__(self, home: Home, lock: Any, project: Path | None) -> None:
        self._home = home
        self._lock = lock
        self._project = project
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._address = ""
        self._thread = threading.Thread(target=self._run, name="host")
        self._thread.start()

    def started(self) -> str:
        """The page's address once it answers; raises what kept the host from starting."""
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self._address

    def stop(self) -> None:
        """Ends the host in order."""
        if self._loop is not None and self._ending is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        from symphony.app.loading import load_host

        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        host = load_host(page=True)(self._home, lock=self._lock, page=("127.0.0.1", 0), project=self._project)
        await host.start()
        self._address = host.address
        self._ready.set()
        try:
            await self._ending.wait()
        finally:
            await host.stop()
