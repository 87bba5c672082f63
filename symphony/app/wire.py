"""The host's own socket: commands reach a running host here. Frames are a length and MessagePack.

A request is `[id, method, args, kwargs]`; the answers are `[id, "ok", value]`, `[id, "error", error]` and,
for a watch, many `[id, "item", event]` before `[id, "ok", None]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgpack

from symphony.errors import HostBusy, SymphonyError
from symphony.ports.host import HostPort

log = logging.getLogger(__name__)

FRAME_LIMIT = 1 << 30
METHODS = frozenset(
    name for name in vars(HostPort) if not name.startswith("_") and callable(getattr(HostPort, name))
)


async def _send(writer: asyncio.StreamWriter, message: Any) -> None:
    frame = msgpack.packb(message, use_bin_type=True)
    writer.write(struct.pack("<I", len(frame)) + frame)
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
        self._path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        requests: set[asyncio.Task[None]] = set()
        try:
            if not _same_user(writer):
                return
            while True:
                request = await _receive(reader)
                work = asyncio.get_running_loop().create_task(self._answer(writer, *request))
                requests.add(work)
                work.add_done_callback(requests.discard)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, TypeError):
            pass
        finally:
            for work in requests:
                work.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.discard(task)

    async def _answer(
        self, writer: asyncio.StreamWriter, number: int, method: str, args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        try:
            if method not in METHODS:
                raise SymphonyError(f"The host has no method {method}", code="unknown_method")
            result = getattr(self._host, method)(*args, **kwargs)
            if hasattr(result, "__aiter__"):
                async for item in result:
                    await _send(writer, [number, "item", item])
                await _send(writer, [number, "ok", None])
            else:
                await _send(writer, [number, "ok", await result])
        except SymphonyError as error:
            await _send(writer, [number, "error", {**error.to_json(), "exit_code": error.exit_code}])
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("a method failed", extra={"method": method})
            body = {
                "code": "internal",
                "message": f"{method} failed: {error}",
                "remedy": "see `symphony logs`",
                "exit_code": 1,
            }
            await _send(writer, [number, "error", body])


def _same_user(writer: asyncio.StreamWriter) -> bool:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, user, _ = struct.unpack("3i", raw)
    return bool(user in (os.getuid(), 0))


class HostClient:
    """A HostPort that asks the running host. Every method of the port works as on the host itself."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            with _short(self._path) as path:
                return await asyncio.open_unix_connection(path)
        except OSError as error:
            raise HostBusy(
                f"A host holds this home but does not answer ({error.strerror})",
                remedy="wait until it has started, or end it",
            ) from error

    def __getattr__(self, method: str) -> Any:
        if method not in METHODS:
            raise AttributeError(method)
        if method == "watch":
            return self._watch

        async def call(*args: Any, **kwargs: Any) -> Any:
            reader, writer = await self._open()
            try:
                await _send(writer, [1, method, list(args), kwargs])
                _, kind, value = await _receive(reader)
            except asyncio.IncompleteReadError as error:
                raise HostBusy("The host ended before it answered", remedy="run the command again") from error
            finally:
                writer.close()
            if kind == "error":
                raise _rebuilt(value)
            return tuple(value) if method == "get_artifact" else value

        return call

    async def _watch(self, run: str | None = None) -> AsyncIterator[dict[str, Any]]:
        reader, writer = await self._open()
        try:
            await _send(writer, [1, "watch", [run], {}])
            while True:
                try:
                    _, kind, value = await _receive(reader)
                except asyncio.IncompleteReadError as error:
                    raise HostBusy(
                        "The host ended", remedy="`symphony runs resume` goes on with what was playing"
                    ) from error
                if kind == "error":
                    raise _rebuilt(value)
                if kind == "ok":
                    return
                yield value
        finally:
            writer.close()


def _rebuilt(body: dict[str, Any]) -> SymphonyError:
    error = SymphonyError(
        body["message"],
        remedy=body.get("remedy", ""),
        code=body.get("code"),
        findings=body.get("findings", ()),
    )
    error.exit_code = int(body.get("exit_code", 1))
    return error
