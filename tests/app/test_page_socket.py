"""The page's WebSocket is cut around a request: it is done once, and answered once, on whichever connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from symphony.app.server import PageServer
from symphony.ui.page import Pages
from tests.ui.fake_host import FakeHost

LOAD = {"page": "p", "load": "first"}


class SlowHost(FakeHost):
    """A host whose compositions wait for the test, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.composed = 0
        self.begun, self.let_go = asyncio.Event(), asyncio.Event()

    async def submit_prompt(self, prompt: str, *_: Any, **__: Any) -> dict[str, Any]:
        self.composed += 1
        self.begun.set()
        await self.let_go.wait()
        return {"possible": False, "asked": prompt, "times": self.composed}


@contextlib.asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[tuple[SlowHost, PageServer]]:
    (tmp_path / "index.html").write_text("")
    host = SlowHost()
    pages = Pages(host)
    server = PageServer(pages, tmp_path, bind="127.0.0.1", port=0)
    await server.start()
    try:
        yield host, server
    finally:
        await server.stop()


async def joined(server: PageServer, **who: str) -> tuple[ClientConnection, dict[str, Any]]:
    socket = await connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None)
    await ask(socket, 0, "authenticate", {"token": server.token, **who})
    return socket, (await answer(socket, 0))["result"]


async def ask(socket: ClientConnection, id: int, method: str, params: dict[str, Any]) -> None:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))


async def answer(socket: ClientConnection, id: int) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message.get("id") == id and "method" not in message:
            return message


def cut(socket: ClientConnection) -> None:
    socket.transport.abort()


async def test_a_request_that_is_cut_is_done_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (host, server):
        socket, how = await joined(server, **LOAD)
        assert how["continued"] is False
        await ask(socket, 1, "submitPrompt", {"prompt": "here"})
        await host.begun.wait()
        cut(socket)  # while it is done
        socket, how = await joined(server, **LOAD)
        assert how["continued"] is True
        await ask(socket, 1, "submitPrompt", {"prompt": "here"})
        host.let_go.set()
        assert (await answer(socket, 1))["result"] == {"possible": False, "asked": "here", "times": 1}
        cut(socket)  # after it was answered, for all that the host knows unread
        socket, _ = await joined(server, **LOAD)
        await ask(socket, 1, "submitPrompt", {"prompt": "here"})
        assert (await answer(socket, 1))["result"]["times"] == 1
        await ask(socket, 2, "submitPrompt", {"prompt": "there"})
        assert (await answer(socket, 2))["result"]["times"] == 2
        await ask(socket, 3, "noSuchMethod", {})
        refused = (await answer(socket, 3))["error"]
        cut(socket)
        socket, _ = await joined(server, **LOAD)
        await ask(socket, 3, "noSuchMethod", {})
        assert (await answer(socket, 3))["error"] == refused
        await socket.close()


async def test_an_event_that_is_sent_again_acts_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, server):
        event = {"key": "market.audit_table", "name": "select", "value": "one", "seq": 7}
        socket, _ = await joined(server, **LOAD)
        await ask(socket, 1, "ui.event", event)
        assert (await answer(socket, 1))["result"] == {"seq": 7}
        page = server._pages.page("p")
        done: list[str] = []
        page.dispatch = lambda *what: done.append(what[0])  # type: ignore[method-assign]
        cut(socket)
        socket, _ = await joined(server, **LOAD)
        await ask(socket, 1, "ui.event", event)
        assert (await answer(socket, 1))["result"] == {"seq": 7} and done == []
        await ask(socket, 2, "ui.event", event)
        await answer(socket, 2)
        assert done == ["market.audit_table"]
        await socket.close()


async def test_another_load_of_the_page_begins_anew(tmp_path: Path) -> None:
    async with served(tmp_path) as (host, server):
        host.let_go.set()
        for load in ("first", "second"):
            socket, how = await joined(server, page="p", load=load)
            assert how["continued"] is False
            await ask(socket, 1, "submitPrompt", {"prompt": load})
            assert (await answer(socket, 1))["result"]["asked"] == load
            await socket.close()
        assert host.composed == 2
