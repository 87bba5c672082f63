"""A browser, and the built page served on the host in memory, one for each test."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.applications import Starlette

from tests.browser.serve_fake import DIST, TOKEN, application
from tests.ui.fake_host import FakeHost

ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
TIMEOUT = 20_000


def chromium() -> str:
    """The system's Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no Chromium is installed; install it with: apt-get install chromium")
    return program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium as the system has it.

    It ends with its module: while it lives, its event loop runs in this thread and no asynchronous test can.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Served:
    """A page on the host in memory, whose loop runs in a thread of its own."""

    host: FakeHost
    port: int
    loop: asyncio.AbstractEventLoop
    app: Starlette

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/#token={TOKEN}"

    def hold(self) -> None:
        """Holds every step of the runs to come."""
        self.host.gate = asyncio.Event()

    def let_go(self) -> None:
        """Ends `hold`."""
        gate = self.host.gate
        assert gate is not None
        self.loop.call_soon_threadsafe(gate.set)

    def drop_connections(self) -> None:
        """Closes every WebSocket, as a host does that goes away."""
        asyncio.run_coroutine_threadsafe(self.app.state.drop(), self.loop).result(10)


@pytest.fixture
def served() -> Iterator[Served]:
    """The host in memory with the built page before it."""
    if not (DIST / "index.html").exists():
        pytest.fail("the page is not built; run: make build")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    host = FakeHost(step=0.02)
    app = application(host)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="websockets-sansio"))
    loops: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        ready.set()
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield Served(host, listener.getsockname()[1], loops[0], app)
    server.should_exit = True
    thread.join(15)
    listener.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The open page. A test fails when the page logs an error or breaks its own policy."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(served.address)
    page.get_by_role("textbox", name="Prompt").wait_for()
    yield page
    context.close()
    assert faults == []
