"""Who says more than is read waits itself: the host's memory stays, and nothing that was said is lost."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pit.theatre import Theatre

PLAYER = Path(__file__).with_name("player_that_floods.py")
MOST = 1 << 20
"""Bytes that may wait of one Player."""
SIZE = 1000
PIECES = 40_000
DEADLINE = 60.0


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path / "home")
    try:
        for key in ("flood", "neighbour"):
            theatre.register(key, PLAYER)
            finish(theatre, call(theatre, key, "work"))
        yield theatre
    finally:
        theatre.close()


def call(theatre: Theatre, key: str, function: str, **params: Any) -> int:
    token = len(theatre.events) + 1 + (1 << 32)
    context = {"run": "", "node": key, "project": None, "attempt": 1}
    body = {"function": function, "params": params, "inputs": {}, "context": context}
    theatre.runtime.call_player(token, key, body, DEADLINE)
    return token


def finish(theatre: Theatre, token: int) -> dict[str, Any]:
    return theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)


def resident() -> int:
    """Bytes of this process, which is the host, that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def wait_until_quiet(theatre: Theatre) -> int:
    """How many events wait once no more come, though nobody reads them."""
    waiting, quiet, until = 0, 0, time.monotonic() + DEADLINE
    while quiet < 10:
        assert time.monotonic() < until
        # Nothing is drained; the descriptor is readable, and only time goes by.
        select.select([], [], [], 0.05)
        now = int(theatre.runtime.stats()["events_waiting"])
        waiting, quiet = now, quiet + 1 if now == waiting and now > 0 else 0
    return waiting


@pytest.mark.parametrize(("function", "method"), [("pour", "output"), ("log", "log")])
def test_a_flood_that_nobody_reads_stops_and_is_told_whole_later(
    theatre: Theatre, function: str, method: str
) -> None:
    before = resident()
    count = "pieces" if function == "pour" else "lines"
    token = call(theatre, "flood", function, **{count: PIECES, "size": SIZE})
    waiting = wait_until_quiet(theatre)
    # Half of the messages' count at least, or nothing was tried.
    assert MOST // (4 * SIZE) < waiting <= MOST // SIZE + 2
    assert resident() - before < 16 << 20
    assert "error" not in finish(theatre, token)
    said = [event for event in theatre.events if event["event"] == method and event["node"] == "flood"]
    numbers = [e["piece"]["piece"][0] if method == "output" else e["fields"]["number"] for e in said]
    assert numbers == list(range(PIECES))
    assert theatre.runtime.stats()["events_dropped"] == 0


def test_a_neighbour_of_one_that_waits_is_served(theatre: Theatre) -> None:
    call(theatre, "flood", "pour", pieces=PIECES, size=SIZE)
    waiting = wait_until_quiet(theatre)
    call(theatre, "neighbour", "work")
    until = time.monotonic() + DEADLINE
    # Its answer comes behind what waits, and nobody has read a thing.
    while int(theatre.runtime.stats()["events_waiting"]) == waiting:
        assert time.monotonic() < until
        select.select([], [], [], 0.01)
    last = theatre.runtime.drain(1 << 20)[-1]
    assert (last["event"], "error" in last) == ("call_done", False)


def test_requests_that_nobody_takes_wait_in_the_player(theatre: Theatre) -> None:
    before = resident()
    call(theatre, "flood", "ask", size=1 << 20)
    assert wait_until_quiet(theatre) < 10
    assert resident() - before < 32 << 20
