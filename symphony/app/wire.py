"""The host's own socket: commands reach a running host here. Frames are a length and MessagePack.

The host says first which one it is. A request is `[id, "ask", first, method, args, kwargs]` with an id of 16 random
bytes; its answers are `[id, number, "ok", value]`, `[id, number, "error", error]` and, for a watch, many
`[id, number, "item", event]` before the `ok`. `[id, "received", number]` lets the host forget them. When the connection
breaks, the same request is asked again on another one, with the number of the first answer that is missing: the host
does nothing twice and leaves no answer out. `[id, "withdraw"]` ends a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgpack

from symphony.app.wire_requests import Requests
from symphony.errors import HostBusy, SymphonyError
from symphony.ports.host import HostPort

FRAME_LIMIT = 1 << 30
ATTEMPTS = 5
"""Connections in a row that may break before one of them has brought an answer."""
RECEIPT_EVERY = 64
"""Items of a watch between two receipts."""
METHODS = frozenset(
    name for name in vars(HostPort) if not name.startswith("_") and callable(getattr(HostPort, name))
)


def _frame(message: Any) -> bytes:
    body: bytes = msgpack.packb(message, use_bin_type=True)
    return struct.pack("<I", len(body)) + body


async def _send(writer: asyncio.StreamWriter, message: Any) -> None:
    writer.write(_frame(message))
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> Any:
    (length,) = struct.unpack("<I", await reader.readexactly(4))
    if length > FRAME_LIMIT:
        raise ValueError(f"a frame of {length} bytes")
    return msgpack.unpackb(await reader.readexactly(length), raw=False)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket that fits into its address (107 bytes) however deep the home lies."""
    if len(os.fsencode(path)) <= 100 or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class WireServer:
    """Serves a HostPort to processes of the same user."""

    def __init__(self, host: HostPort, path: Path) -> None:
        self._host = host
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._requests = Requests()
        self._name = uuid.uuid4().hex

    async def start(self) -> None:
        """Listens. The home's lock is held, so a socket that is there was left by a killed host."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short(self._path) as path:
            listener.bind(path)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._accepted, sock=listener)

    async def stop(self) -> None:
        """Closes the socket and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._requests.close()
        self._path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        sending: dict[bytes, asyncio.Task[None]] = {}
        try:
            if not _same_user(writer):
                return
            await _send(writer, self._name)
            while True:
                self._take(writer, sending, await _receive(reader))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, TypeError):
            pass
        finally:
            writer.close()
            for work in sending.values():
                work.cancel()
            await asyncio.gather(*sending.values(), return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.discard(task)

    def _take(
        self, writer: asyncio.StreamWriter, sending: dict[bytes, asyncio.Task[None]], message: list[Any]
    ) -> None:
        """Raises TypeError or ValueError for what is no message; then the connection ends."""
        id, what, *rest = message
        if what == "ask":
            first, method, args, kwargs = rest
            if id not in sending:
                work = self._answer(writer, id, first, method, args, kwargs)
                sending[id] = asyncio.get_running_loop().create_task(work)
                sending[id].add_done_callback(lambda _: sending.pop(id, None))
        elif what == "received":
            self._requests.received(id, *rest)
        elif what == "withdraw":
            self._requests.withdraw(id)
        else:
            raise ValueError(f"no message is called {what}")

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        id: bytes,
        first: int,
        method: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        def call() -> Any:
            if method not in METHODS:
                raise SymphonyError(f"The host has no method {method}", code="unknown_method")
            return getattr(self._host, method)(*args, **kwargs)

        try:
            request = self._requests.begin(id, method, call)
        except SymphonyError as error:
            with contextlib.suppress(ConnectionError):
                await _send(writer, [id, first, "error", {**error.to_json(), "exit_code": error.exit_code}])
            return
        try:
            async for number, kind, value in request.answers(first):
                await _send(writer, [id, number, kind, value])
        except ConnectionError:
            pass
        finally:
            self._requests.leave(id)


def _same_user(writer: asyncio.StreamWriter) -> bool:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, user, _ = struct.unpack("3i", raw)
    return bool(user in (os.getuid(), 0))


class HostClient:
    """A HostPort that asks the running host. Every method of the port works as on the host itself."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getattr__(self, method: str) -> Any:
        if method not in METHODS:
            raise AttributeError(method)
        if method == "watch":
            return self._watch

        async def call(*args: Any, **kwargs: Any) -> Any:
            asked = _Asked(self._path, method, list(args), kwargs, "run the command again")
            async with contextlib.aclosing(asked.answers()) as answers:
                async for _, value in answers:
                    return tuple(value) if method == "get_artifact" else value

        return call

    async def _watch(self, run: str | None = None) -> AsyncIterator[dict[str, Any]]:
        asked = _Asked(self._path, "watch", [run], {}, "`symphony runs resume` goes on with what was playing")
        async with contextlib.aclosing(asked.answers()) as answers:
            async for kind, value in answers:
                if kind == "item":
                    yield value


class _Asked:
    """One request, over as many connections as it takes."""

    def __init__(self, path: Path, method: str, args: list[Any], kwargs: dict[str, Any], remedy: str) -> None:
        self._path = path
        self._id = secrets.token_bytes(16)
        self._what = [method, args, kwargs]
        self._remedy = remedy
        self._next = 0
        self._host: str | None = None

    async def answers(self) -> AsyncGenerator[tuple[str, Any], None]:
        """What the host answers, each once and in order. Raises what the host raised, and HostBusy when it ended:
        another host on the same socket knows nothing of what this one was asked."""
        broken = 0
        while True:
            reader, writer = await self._open()
            before = self._next
            try:
                name = await _receive(reader)
                if self._host not in (None, name):
                    raise self._ended()
                await _send(writer, [self._id, "ask", self._next, *self._what])
                self._host = name
                async with contextlib.aclosing(self._read(reader, writer)) as found:
                    async for kind, value in found:
                        yield kind, value
                return
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                broken = broken + 1 if self._next == before else 0
                if broken >= ATTEMPTS:
                    raise self._ended() from error
            except (asyncio.CancelledError, GeneratorExit):
                with contextlib.suppress(ConnectionError, RuntimeError):
                    writer.write(_frame([self._id, "withdraw"]))
                raise
            finally:
                writer.close()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncGenerator[tuple[str, Any], None]:
        while True:
            _, number, kind, value = await _receive(reader)
            self._next = number + 1
            if kind != "item" or self._next % RECEIPT_EVERY == 0:
                writer.write(_frame([self._id, "received", number]))
            if kind == "error":
                raise _rebuilt(value)
            yield kind, value
            if kind == "ok":
                return

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            with _short(self._path) as path:
                return await asyncio.open_unix_connection(path)
        except OSError as error:
            if self._host is not None:
                raise self._ended() from error
            raise HostBusy(
                f"A host holds this home but does not answer ({error.strerror})",
                remedy="wait until it has started, or end it",
            ) from error

    def _ended(self) -> HostBusy:
        return HostBusy("The host ended before it answered", remedy=self._remedy)


def _rebuilt(body: dict[str, Any]) -> SymphonyError:
    error = SymphonyError(
        body["message"],
        remedy=body.get("remedy", ""),
        code=body.get("code"),
        findings=body.get("findings", ()),
    )
    error.exit_code = int(body.get("exit_code", 1))
    return error
