"""One connection of a page: JSON-RPC in, patches and notifications out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from symphony.errors import BadInput, SymphonyError
from symphony.ui import methods
from symphony.ui.conversation import Conversation
from symphony.ui.live import Feed
from symphony.ui.page import Page, Pages
from symphony.ui.tree import TreeStream
from symphony.ui.views import shell

logger = logging.getLogger(__name__)

Send = Callable[[str], Awaitable[None]]

FLUSH_PAUSE = 0.05
"""Seconds between two bundles of run events."""

OPEN_REQUESTS = 64
"""How many requests of one connection may be under way."""

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, FAILED = -32700, -32600, -32601, -32602, -32000


class PageSession:
    """Serves one WebSocket after it has authenticated.

    `send` sends one text message. Call `start` with the parameters of `authenticate` (its `page` names the
    page across reloads), then `handle` with each message, at last `close`.
    """

    def __init__(self, pages: Pages, send: Send) -> None:
        self._pages = pages
        self._send = send
        self._page: Page | None = None
        self._tree = TreeStream()
        self._feed = Feed()
        self._dirty = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = Conversation()
        self._slots = asyncio.Semaphore(OPEN_REQUESTS)

    @property
    def page(self) -> Page:
        """The page that this connection shows; there is one after `start`."""
        if self._page is None:
            raise RuntimeError("the session has not started")
        return self._page

    @property
    def feed(self) -> Feed:
        """The events of runs that this connection watches."""
        return self._feed

    async def start(self, params: dict[str, Any] | None = None) -> None:
        """Sends the first tree at once and keeps it up to date from then on."""
        name = (params or {}).get("page")
        self._page = self._pages.page(name if isinstance(name, str) and len(name) <= 64 else "")
        self._asked = self._page.conversation((params or {}).get("load"))
        self._asked.connect(self._write)
        self._page.listen(self._dirty.set)
        self._pages.attach(self._feed)
        await self._write(self._tree.patch(shell.render(self._page.state)))
        self._pages.shown.set()
        self._page.spawn(self._page.begin(), "begin")
        self._run(self._draw())
        self._run(self._flush())

    async def handle(self, text: str) -> None:
        """Takes one message of the page. Never raises for what the page sent."""
        try:
            message = json.loads(text)
        except ValueError:
            await self._fail(None, PARSE_ERROR, "The message is not JSON")
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            await self._fail(None, INVALID_REQUEST, "The message is no JSON-RPC request")
            return
        params, id = message.get("params") or {}, message.get("id")
        if not await self._asked.begins(id):
            return
        if not isinstance(params, dict):
            await self._fail(id, INVALID_PARAMS, "The parameters must be named")
        elif message["method"] == "ui.event":
            # Events act in the order in which they come; what takes long runs on beside.
            await self._answer(id, "ui.event", params)
        else:
            await self._slots.acquire()
            self._asked.run(self._serve(id, message["method"], params))

    async def close(self) -> None:
        """Ends the connection's tasks. The page's state, and what it has asked, stay for the next connection."""
        self._pages.detach(self._feed)
        self._asked.disconnect(self._write)
        if self._page is not None:
            self._page.forget(self._dirty.set)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- requests ----------------------------------------------------------------------------
    async def _serve(self, request: Any, method: str, params: dict[str, Any]) -> None:
        try:
            await self._answer(request, method, params)
        finally:
            self._slots.release()

    async def _answer(self, request: Any, method: str, params: dict[str, Any]) -> None:
        try:
            result = await self._call(method, params)
        except methods.UnknownMethod as error:
            await self._fail(request, NO_METHOD, str(error))
        except SymphonyError as error:
            code = INVALID_PARAMS if isinstance(error, BadInput) else FAILED
            await self._fail(request, code, str(error), error.to_json())
        except Exception as error:
            logger.exception("the request %s failed", method)
            await self._fail(request, FAILED, f"{method} did not work: {error}; the log has the details")
        else:
            if request is not None:
                await self._asked.answer(
                    request, json.dumps({"jsonrpc": "2.0", "id": request, "result": result})
                )

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        if method == "ui.event":
            key, name = params.get("key"), params.get("name")
            if not isinstance(key, str) or not isinstance(name, str):
                raise BadInput("ui.event lacks key or name", remedy="send both as strings")
            self.page.dispatch(key, name, params.get("value"))
            return {"seq": params.get("seq")}
        if method == "ui.reset":
            await self._reset()
            return {"seq": self._tree.seq}
        if method == "subscribeToWorkflow":
            run = methods.text(params, "run")
            self._feed.runs.add(run)
            return await self._pages.host.get_run(run)
        return await methods.call(self._pages.host, method, params)

    async def _fail(self, request: Any, code: int, message: str, data: Any = None) -> None:
        error = {"code": code, "message": message}
        if data is not None:
            error["data"] = data
        await self._asked.answer(request, json.dumps({"jsonrpc": "2.0", "id": request, "error": error}))

    # --- what is pushed ----------------------------------------------------------------------
    async def _reset(self) -> None:
        async with self._writing:
            await self._send(self._tree.reset(shell.render(self.page.state)))

    async def _draw(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                tree = shell.render(self.page.state)
            except Exception:
                # One thing that cannot be drawn must not end all that comes after it.
                logger.exception("the page could not be drawn")
                continue
            async with self._writing:
                text = self._tree.patch(tree)
                if text is not None:
                    await self._send(text)

    async def _flush(self) -> None:
        while True:
            await self._feed.waiting.wait()
            await asyncio.sleep(FLUSH_PAUSE)
            for method, params in self._feed.drain():
                await self._write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    async def _write(self, text: str | None) -> None:
        if text is not None:
            async with self._writing:
                await self._send(text)

    def _run(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
