"""The Grand Stage in trouble: Players that are killed, and one that floods the bus."""

from __future__ import annotations

import os
import select
import signal
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches.measure import Row, compare
from benches.stage import await_event, call, echo_launch, stage
from pit_native import Runtime

PLAYERS = 50
KILLS = 50
CALLS = 300
FLOODER = """
import sys
from symphony.sdk import player
from symphony.sdk.wire import Encoder


@player.function
def flood(ctx):
    encoder = Encoder("bench/echo")
    body = {"fraction": 0.5, "note": "x"}
    many = encoder.frame(encoder.next_id(), "event", ctx._call.id, "progress", body) * 1000
    while True:
        ctx._host._socket.sendall(many)


player.serve()
"""


def recovery(name: str) -> Row:
    """`kill -9` of one of 50 Players: from the signal until another process of it is ready."""
    with stage() as (runtime, folder):
        launch = echo_launch(Path(folder))
        keys = [f"echo-{number}" for number in range(PLAYERS)]
        for key in keys:
            runtime.register_player(key, launch)
            _ready(runtime, key, lambda key=key: runtime.prewarm([key]))  # type: ignore[misc]
        pids = {key: runtime.player_states()[key]["pid"] for key in keys}
        took: list[float] = []
        for number in range(KILLS):
            key = keys[number * 7 % PLAYERS]
            victim = pids[key]
            began = time.perf_counter()
            _ready(runtime, key, lambda victim=victim: os.kill(victim, signal.SIGKILL))  # type: ignore[misc]
            took.append(time.perf_counter() - began)
            states = runtime.player_states()
            disturbed = [k for k in keys if k != key and states[k]["pid"] != pids[k]]
            if disturbed:
                raise RuntimeError(f"others were disturbed: {disturbed}")
            pids[key] = states[key]["pid"]
        half, most = statistics.median(took) * 1e3, statistics.quantiles(took, n=20)[-1] * 1e3
        how = (
            f"p95 of {KILLS} kills, p50 {half:.0f} ms; from the signal to another process that is ready, started cold,"
            " each for the first time; no other Player was disturbed"
        )
        return Row(name, most, "ms", "", None, None, how)


def _ready(runtime: Runtime, key: str, begin: Callable[[], object]) -> None:
    begin()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        select.select([runtime.fileno()], [], [], 1)
        for event in runtime.drain():
            if event["event"] == "player" and event["key"] == key and event["state"] == "ready":
                return
    raise RuntimeError(f"{key} was not ready within a minute")


def flooded(name: str) -> Row:
    """A neighbour's calls while a Player floods the bus, beside the same calls in quiet."""
    with stage() as (runtime, folder):
        place = Path(folder) / "flooder"
        place.mkdir()
        flooding = echo_launch(place)
        (place / "echo" / "player.py").write_text(FLOODER)
        call(runtime, 1)
        token = 1

        def work() -> float:
            nonlocal token
            began = time.perf_counter()
            for _ in range(CALLS):
                token += 1
                call(runtime, token)
            return (time.perf_counter() - began) / CALLS

        def ours() -> float:
            nonlocal token
            key = f"flooder-{uuid.uuid4()}"
            runtime.register_player(key, flooding)
            token += 1
            body: dict[str, Any] = {
                "function": "flood",
                "params": {},
                "inputs": {},
                "context": {"run": "", "node": key, "project": None, "attempt": 1},
            }
            runtime.call_player(token, key, body, 60.0)
            await_event(runtime, lambda e: e["event"] == "progress", key)
            took = work()
            runtime.unregister_player(key)
            return took

        how = (
            "one call at a time from Python while a Player writes progress as fast as its socket takes them, against"
            " the same calls in quiet, in turn; 1.11 is 90 % of the throughput"
        )
        return compare(name, ours, "no flood", work, unit="µs", scale=1e6, how=how, repeats=7)


ROWS: dict[str, Callable[[str], Row]] = {
    "stage.kill -9 of one of 50 Players": recovery,
    "stage.neighbour of a flood": flooded,
}
