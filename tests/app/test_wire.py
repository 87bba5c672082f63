"""The host's socket is cut at every moment of a request: nothing is done twice, and no answer is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app import wire, wire_requests
from symphony.app.wire import HostClient, WireServer
from symphony.errors import BadInput, HostBusy, SymphonyError
from tests.hosting import hosted

EVENTS = 3000


class CountingHost:
    """A host whose methods count how often they ran."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.runs = asyncio.Event()

    async def open_project(self, path: str) -> dict[str, Any]:
        self.begun.append(path)
        self.runs.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if path == "bad":
            raise BadInput("It is bad", remedy="take another")
        return {"path": path, "ran": len(self.begun)}

    async def watch(self, run: str | None = None) -> AsyncIterator[dict[str, Any]]:
        self.begun.append("watch")
        for number in range(EVENTS):
            if number % 97 == 0:
                await asyncio.sleep(0)
            yield {"event": "count", "number": number, "run": run}


Cut = Callable[[str, bytes], bool]
"""Whether the connection is cut instead of handing on this frame of `asker` or `host`."""


class Cutter:
    """Stands between askers and the host and cuts connections, in the middle of a frame as well."""

    def __init__(self, folder: Path, host: Path, cut: Cut) -> None:
        self.path, self._host, self._cut = folder / "cut.sock", host, cut
        self.cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_unix_server(self._accepted, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(self._host)
        ways = [(reader, outer, "asker"), (inner, writer, "host")]
        tasks = [asyncio.create_task(self._hand_on(*way)) for way in ways]
        self._tasks.update(tasks)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in (outer, writer):
                end.transport.abort()

    async def _hand_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, whose: str) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await source.readexactly(4)
                body = await source.readexactly(struct.unpack("<I", head)[0])
                if self._cut(whose, body):
                    self.cuts += 1
                    sink.write((head + body)[: len(body) // 2])
                    await sink.drain()
                    return
                sink.write(head + body)
                await sink.drain()


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[CountingHost, Path]]:
    host = CountingHost()
    server = WireServer(host, folder / "host.sock")  # type: ignore[arg-type]
    await server.start()
    try:
        yield host, folder / "host.sock"
    finally:
        await server.stop()


def at_first(whose: str, mark: bytes, times: int = 1) -> Cut:
    """Cuts at the first frames of one side that hold `mark`."""
    left = times

    def cut(side: str, body: bytes) -> bool:
        nonlocal left
        is_it = side == whose and mark in body and left > 0
        left -= is_it
        return is_it

    return cut


@pytest.mark.parametrize(
    "cut",
    [
        at_first("asker", b"ask"),  # before the host has read the request
        at_first("host", b"ok"),  # after it was done, before the answer is read
        at_first("host", b"ok", times=4),
        at_first("asker", b"received"),  # the host never hears that the answer came
    ],
    ids=["not-read", "done-not-told", "done-not-told-four-times", "told-not-heard"],
)
async def test_a_call_that_is_cut_is_done_once_and_answered_once(tmp_path: Path, cut: Cut) -> None:
    async with served(tmp_path) as (host, path), Cutter(tmp_path, path, cut) as cutter:
        answer = await HostClient(cutter.path).open_project("here")
        assert answer == {"path": "here", "ran": 1} and host.begun == ["here"]
        assert await HostClient(cutter.path).open_project("there") == {"path": "there", "ran": 2}
        assert cutter.cuts >= 1


async def test_a_call_that_is_cut_while_it_runs_is_not_begun_again(tmp_path: Path) -> None:
    """The connection breaks after the host has begun and before there is an answer; errors arrive as answers do."""
    async with served(tmp_path) as (host, path), Cutter(tmp_path, path, lambda *_: False) as cutter:
        for name in ("here", "bad"):
            host.gate.clear()
            host.runs.clear()
            call = asyncio.create_task(HostClient(cutter.path).open_project(name))
            await host.runs.wait()
            for task in list(cutter._tasks):
                task.cancel()
            await asyncio.gather(*cutter._tasks, return_exceptions=True)
            host.gate.set()
            if name == "bad":
                with pytest.raises(SymphonyError, match="It is bad; take another"):
                    await call
            else:
                assert (await call)["path"] == "here"
        assert host.begun == ["here", "bad"]


@pytest.mark.parametrize("seed", range(5))
async def test_a_watch_that_is_cut_misses_nothing_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # the seed of a test, not of a secret
    async with (
        served(tmp_path) as (host, path),
        Cutter(tmp_path, path, lambda *_: chance.random() < 0.005) as cutter,
    ):
        seen = [event["number"] async for event in HostClient(cutter.path).watch("r")]
        assert seen == list(range(EVENTS)) and host.begun == ["watch"] and cutter.cuts > 2


async def test_another_host_is_not_asked_what_the_first_was_asked(tmp_path: Path) -> None:
    """What the host that ended has done is not known, so the request is not made a second time."""
    async with served(tmp_path) as (host, path), Cutter(tmp_path, path, lambda *_: False) as cutter:
        host.gate.clear()
        call = asyncio.create_task(HostClient(cutter.path).open_project("here"))
        await host.runs.wait()
        path.unlink()
        async with served(tmp_path) as (other, _):
            for task in list(cutter._tasks):
                task.cancel()
            with pytest.raises(HostBusy, match="ended before it answered"):
                await call
            assert other.begun == []


async def test_who_does_not_come_back_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "Requests", lambda: wire_requests.Requests(grace=0.05))
    async with served(tmp_path) as (host, path):
        host.gate.clear()
        id = b"i" * 16
        ask = wire._frame([id, "ask", 0, "open_project", ["here"], {}])

        async def connection() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_unix_connection(path)
            await wire._receive(reader)
            writer.write(ask)
            return reader, writer

        _, writer = await connection()
        await host.runs.wait()
        writer.close()
        await host.cancelled.wait()
        reader, writer = await connection()
        _, _, kind, error = await wire._receive(reader)
        assert kind == "error" and error["code"] == "given_up" and host.begun == ["here"]
        writer.close()


async def test_who_no_longer_wants_the_answer_ends_the_request_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (host, path):
        host.gate.clear()
        call = asyncio.create_task(HostClient(path).open_project("here"))
        await host.runs.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await host.cancelled.wait()  # long before GRACE


async def test_a_run_is_played_once_however_often_the_connection_breaks(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """A real host: three cuts while the run is asked for, and its watch is cut as well."""
    chance = random.Random(1)
    asked = at_first("host", b"run", times=1)
    async with hosted(home) as host:
        path = home / "host.sock"
        async with Cutter(tmp_path, path, lambda *it: asked(*it) or chance.random() < 0.1) as cutter:
            client = HostClient(cutter.path)
            for _ in range(10):
                await client.submit_prompt("who committed in the last month", str(repository))
            draft = await client.submit_prompt("who committed in the last month", str(repository))
            run = (await client.execute_melody(draft["draft"], project=str(repository)))["run"]
            watched = client.watch(run)
            await anext(watched)
            if (await client.get_run(run))["run"]["status"] == "running":
                async for event in watched:
                    if event["event"] == "workflowComplete":
                        break
            await watched.aclose()
            assert cutter.cuts
        listed = (await host.list_runs())["runs"]
        assert [(r["id"], r["status"]) for r in listed] == [(run, "succeeded")]
