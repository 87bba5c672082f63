"""A page on a raw WebSocket: it authenticates, keeps the tree by the patches, and asks and clicks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Origin

Json = dict[str, Any]


class PageEnded(Exception):
    """The connection ended; the host was killed, or it closed a page that it should not have."""


class Refused(Exception):
    """The host answered a request with an error."""

    def __init__(self, error: Json) -> None:
        super().__init__(str(error.get("message")))
        self.code = str((error.get("data") or {}).get("code", error.get("code")))


class BadPatch(Exception):
    """A patch that does not fit the tree, or a gap in the numbers."""


class Page:
    """One connection. `name` names the page across reloads."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._ended: dict[str, asyncio.Future[Json]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._replaced: Any = None
        self.tree: Any = None
        self.seq = 0
        self.patches = 0
        self.problem: BadPatch | None = None

    @classmethod
    async def open(cls, address: str, name: str = "") -> Page:
        """Connects, authenticates and waits for the first tree."""
        base, _, token = address.partition("/#token=")
        try:
            connection = await connect(
                base.replace("http", "ws", 1) + "/ws", max_size=None, ping_interval=None, origin=Origin(base)
            )
        except (OSError, WebSocketException, EOFError) as error:
            raise PageEnded(str(error)) from error
        page = cls(connection)
        page._reader = asyncio.create_task(page._read())
        try:
            await page.ask("authenticate", token=token, page=name)
            await page._first_tree()
        except BaseException:
            await page.close()
            raise
        return page

    async def close(self) -> None:
        """Leaves without a word, as a reload does."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._connection.transport.abort()
        self._fail()

    async def ask(self, method: str, **params: Any) -> Any:
        """The answer of the host. Raises Refused or PageEnded."""
        self._numbers += 1
        number = self._numbers
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed as error:
            self._open.pop(number, None)
            raise PageEnded(str(error)) from error
        return await answer

    async def do(self, key: str, name: str, value: Any = None) -> None:
        """What the user does to an element."""
        await self.ask("ui.event", key=key, name=name, value=value, seq=self.seq)

    def end_of(self, run: str) -> asyncio.Future[Json]:
        """Becomes the RunInfo of a subscribed run once it has ended."""
        if run not in self._ended:
            self._ended[run] = asyncio.get_running_loop().create_future()
        return self._ended[run]

    async def whole(self) -> tuple[Any, Any]:
        """The tree as the patches made it, and as the host draws it at once."""
        await self.ask("ui.reset")
        return self._replaced, self.tree

    async def _first_tree(self) -> None:
        waiting = asyncio.create_task(self._first.wait())
        assert self._reader is not None
        await asyncio.wait({waiting, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            raise PageEnded("before its first tree")

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                self._take(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._fail()

    def _fail(self) -> None:
        for future in (*self._open.values(), *self._ended.values()):
            if not future.done():
                future.set_exception(PageEnded("the connection ended"))
                future.exception()  # nobody may be waiting
        self._open.clear()

    def _take(self, message: Json) -> None:
        if "id" in message and "method" not in message:
            future = self._open.pop(message["id"], None)
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(Refused(message["error"]))
                else:
                    future.set_result(message.get("result"))
            return
        method, params = message["method"], message.get("params") or {}
        if method == "ui.patch":
            try:
                self._patch(params)
            except (BadPatch, KeyError, IndexError, TypeError, ValueError) as error:
                self.problem = BadPatch(f"patch {params.get('seq')}: {error!r}")
        elif method == "workflowComplete":
            run = params["run"]
            future = self.end_of(str(run["id"]))
            if not future.done():
                future.set_result(run)

    def _patch(self, params: Json) -> None:
        if params["seq"] != self.seq + 1:
            raise BadPatch(f"a gap after {self.seq}")
        self.seq = params["seq"]
        self.patches += 1
        if params.get("reset"):
            self._replaced = self.tree
        self.tree = patched(self.tree, params["patch"])
        self._first.set()


def patched(tree: Any, operations: list[Json]) -> Any:
    """The tree after operations of RFC 6902: add, remove, replace, move. Raises what indexing raises when one does
    not fit.
    """
    for operation in operations:
        kind, path = operation["op"], operation["path"]
        if path == "":
            tree = operation["value"]
            continue
        if kind == "move":
            source, key = _place(tree, operation["from"])
            value = source.pop(key)
            _put(tree, path, value)
        elif kind == "add":
            _put(tree, path, operation["value"])
        else:
            holder, key = _place(tree, path)
            if kind == "remove":
                del holder[key]
            elif kind == "replace":
                holder[key]  # it must be there
                holder[key] = operation["value"]
            else:
                raise BadPatch(f"the operation {kind}")
    return tree


def _put(tree: Any, path: str, value: Any) -> None:
    holder, key = _place(tree, path)
    if isinstance(holder, list):
        if not 0 <= key <= len(holder):
            raise BadPatch(f"{path} is beyond the end")
        holder.insert(key, value)
    else:
        holder[key] = value


def _place(tree: Any, path: str) -> tuple[Any, Any]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    for part in parts[:-1]:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return tree, (int(parts[-1]) if isinstance(tree, list) else parts[-1])
