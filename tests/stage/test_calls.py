"""Calls from asyncio: no thread for each, and nobody waits for a Player but who asked it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.pit.theatre import PATIENCE, Theatre

PLAYER = Path(__file__).with_name("player_that_waits.py")
KEYS = ("first", "second", "third", "fourth")
AT_ONCE = 16
"""Calls that a Player of the SDK answers at the same time."""
LARGE = 60_000
"""Bytes that travel within their frame."""


class Loop:
    """The run loop in asyncio's, as the host has it."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.requests: list[dict[str, Any]] = []
        self.has_request = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        asyncio.get_running_loop().add_reader(theatre.runtime.fileno(), self._drain)

    def call(self, key: str, function: str, **inputs: Any) -> asyncio.Future[dict[str, Any]]:
        """Begins a call; it ends with the event."""
        token = len(self._waiting) + 1
        self._waiting[token] = answered = asyncio.get_running_loop().create_future()
        context = {"run": "", "node": str(token), "project": None, "attempt": 1}
        body = {"function": function, "params": {}, "inputs": inputs, "context": context}
        self.theatre.runtime.call_player(token, key, body, PATIENCE)
        return answered

    def _drain(self) -> None:
        for event in self.theatre.runtime.drain():
            if event["event"] == "call_done":
                self._waiting[event["token"]].set_result(event)
            elif event["event"] == "request":
                self.requests.append(event)
                self.has_request.set()


def threads() -> int:
    """How many this process has, those of Rust among them."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Loop]:
    theatre = Theatre(tmp_path / "home")
    try:
        for key in KEYS:
            theatre.register(key, PLAYER)
        loop = Loop(theatre)
        async with asyncio.timeout(PATIENCE):
            for done in [loop.call(key, "work") for key in KEYS]:
                assert "error" not in await done
        yield loop
        asyncio.get_running_loop().remove_reader(theatre.runtime.fileno())
    finally:
        await asyncio.to_thread(theatre.close)


async def test_calls_that_wait_have_no_thread_each(loop: Loop) -> None:
    before = threads()
    calls = [loop.call(key, "wait", path=f"{number}") for number in range(AT_ONCE) for key in KEYS]
    async with asyncio.timeout(PATIENCE):
        while len(loop.requests) < len(calls):
            loop.has_request.clear()
            await loop.has_request.wait()
    # All of them are open now. A pool that was idle may have begun or ended a thread.
    assert threads() < before + len(calls) // 4
    for request in loop.requests:
        assert loop.theatre.runtime.respond(request["id"], {"content": request["body"]["path"].encode()})
    async with asyncio.timeout(PATIENCE):
        answers = [await call for call in calls]
    values = [answer["outputs"]["value"] for answer in answers]
    assert values == [str(number).encode() for number in range(AT_ONCE) for _ in KEYS]


async def test_to_call_a_player_that_takes_nothing_holds_nobody_up(loop: Loop) -> None:
    pid = loop.theatre.runtime.player_states()["first"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        # Many times what its socket holds; had they waited for room, this would stand still here.
        calls = [loop.call("first", "measure", content=b"x" * LARGE) for _ in range(64)]
        async with asyncio.timeout(PATIENCE):
            for number in range(20):
                assert (await loop.call("second", "work", value=number))["outputs"] == {"value": number}
        # One that it had taken before the signal reached it may be answered.
        assert not all(call.done() for call in calls)
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(PATIENCE):
        assert {(await call)["outputs"]["value"] for call in calls} == {LARGE}
