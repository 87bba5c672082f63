"""The Grand Stage under load: a Player that says much, Players that are killed, and one that floods the bus."""

from __future__ import annotations

import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack

from benches.measure import Row, compare
from benches.stage import await_event, call, call_body, echo_launch, stage
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


TALKER = """
from symphony.sdk import player


@player.function
def talk(ctx, text, count):
    for _ in range(count):
        ctx.output(text)
    return {}


player.serve()
"""
MESSAGES = 20_000
WRITER = """
import socket, struct, sys, msgpack
s = socket.socket(socket.AF_UNIX); s.connect({path!r})
while s.recv(1):
    for _ in range({count}):
        out = msgpack.packb({{"text": "x" * 64}}); s.sendall(struct.pack("<I", len(out)) + out)
"""


@contextmanager
def _python_writer(folder: str) -> Iterator[Callable[[], float]]:
    """Seconds a message from a Python process that packs and sends to one that reads and unpacks."""
    path = f"{folder}/writer.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = subprocess.Popen([sys.executable, "-c", WRITER.format(path=path, count=MESSAGES)])
        connection, _ = listener.accept()
    with connection, connection.makefile("rb") as file:

        def read() -> float:
            began = time.perf_counter()
            connection.sendall(b".")
            for _ in range(MESSAGES):
                msgpack.unpackb(file.read(struct.unpack("<I", file.read(4))[0]))
            return (time.perf_counter() - began) / MESSAGES

        yield read
    process.wait()


def one_way(name: str) -> Row:
    """Pieces that a sandboxed Player sends one after another, until Python has been told of each."""
    with stage() as (runtime, folder), _python_writer(folder) as theirs:
        (Path(folder) / "echo" / "player.py").write_text(TALKER)
        token = 0

        def ours() -> float:
            nonlocal token
            token += 1
            inputs = {"text": "x" * 64, "count": MESSAGES if token > 1 else 1}
            began = time.perf_counter()
            runtime.call_player(token, "echo", call_body("talk", inputs), 60.0)
            told, is_done = 0, False
            while not is_done:
                select.select([runtime.fileno()], [], [], 30)
                for event in runtime.drain(1024):
                    told += event["event"] == "output"
                    is_done |= event["event"] == "call_done"
            if told != inputs["count"]:
                raise RuntimeError(f"{told} messages of {inputs['count']} came")
            return (time.perf_counter() - began) / told

        how = (
            f"one of {MESSAGES:,} pieces of 64 bytes that a function sends with the SDK, validated, counted against the"
            " rate and told to Python as events; the peer packs, sends, reads and unpacks; promised: 100,000/s"
        )
        return compare(name, ours, "Python socket + msgpack", theirs, unit="µs", scale=1e6, how=how)


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
            await_event(runtime, lambda e: e["event"] == "progress" and e["node"] == key, key)
            flooder = Path(f"/proc/{runtime.player_states()[key]['pid']}")
            took = work()
            runtime.unregister_player(key)
            # It takes no order while it floods and is ended after a moment; until then nothing is quiet.
            while flooder.exists():
                time.sleep(0.01)
            return took

        how = (
            "one call at a time from Python while a Player writes progress as fast as its socket takes them, against"
            " the same calls in quiet, in turn; 1.11 is 90 % of the throughput"
        )
        return compare(name, ours, "no flood", work, unit="µs", scale=1e6, how=how, repeats=7)


ROWS: dict[str, Callable[[str], Row]] = {
    "stage.messages one way": one_way,
    "stage.kill -9 of one of 50 Players": recovery,
    "stage.neighbour of a flood": flooded,
}
