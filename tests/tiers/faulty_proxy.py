"""A real TCP proxy between a client and a server that fails on demand, connection by connection."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 0\r\nConnection: close\r\n\r\n"
)


class FaultyProxy:
    """Listens on `port` and passes on to `upstream`, unless a fault is due for the next request.

    Faults: `503` answers so without asking the server; `hang` never answers; `cut:N` closes both sides once N
    bytes of a request have gone up; `cut-answer:N` once N bytes have come back. The last one given in
    `always` holds for ever.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._faults: list[str] = []
        self._always: str | None = None
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self.hits: list[str] = []
        """The faults that were met."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def arm(self, *faults: str, always: str | None = None) -> None:
        """Connections that are open are closed, so that each request from now on meets what is due."""

        async def change() -> None:
            self._faults, self._always = list(faults), always
            self.hits.clear()
            for writer in list(self._open):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = int(server.sockets[0].getsockname()[1])
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _due(self) -> str | None:
        fault = self._faults.pop(0) if self._faults else self._always
        if fault is not None:
            self.hits.append(fault)
        return fault

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            fault = self._due()
            if fault == "503":
                await reader.read(65536)
                writer.write(_BUSY)
                await writer.drain()
                # What is still on its way must be read, or the answer is lost in a reset.
                writer.write_eof()
                while await reader.read(1 << 20):
                    pass
                return
            if fault == "hang":
                while await reader.read(1 << 20):
                    pass
                return
            back, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
            kind, _, count = (fault or "").partition(":")
            up = _pass(reader, upstream, int(count) if kind == "cut" else None)
            down = _pass(back, writer, int(count) if kind == "cut-answer" else None)
            tasks = [asyncio.ensure_future(up), asyncio.ensure_future(down)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        except (ConnectionError, OSError):
            pass
        finally:
            self._open.discard(writer)
            for one in (writer, upstream):
                if one is not None:
                    one.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
    """Passes bytes on until the end, or until `limit` bytes have passed."""
    with contextlib.suppress(ConnectionError, OSError):
        while limit is None or limit > 0:
            piece = await reader.read(65536 if limit is None else min(limit, 65536))
            if not piece:
                return
            writer.write(piece)
            await writer.drain()
            if limit is not None:
                limit -= len(piece)


@contextlib.contextmanager
def faulty_proxy(upstream: int) -> Iterator[FaultyProxy]:
    """A proxy that is stopped at the end."""
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.stop()
