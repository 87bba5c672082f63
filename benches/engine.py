"""The engine beside the schedulers of the field: overhead, journal, resume, Player processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benches import engine_state
from benches.engine_host import passes, plan, play, start_steps
from benches.measure import Row, compare, seconds
from benches.stage import await_event, echo_launch, stage


def _overhead(name: str, count: int, *, journal: bool) -> Row:
    from dask.threaded import get

    with stage() as (runtime, folder):
        nodes, edges = passes(count)

        def ours() -> float:
            run = str(uuid.uuid4())
            directory = f"{folder}/{run}" if journal else ""
            if journal:
                Path(directory).mkdir()
            whole = plan(run, directory, nodes, edges)
            return seconds(lambda: play(runtime, whole)) / count

        graph = {f"n{i}": (lambda *_: None, f"n{i - 1}") if i % 2 else (lambda: None,) for i in range(count)}

        def theirs() -> float:
            return seconds(lambda: get(graph, list(graph))) / count

        kept = "journal written and synced" if journal else "no journal in either"
        how = f"{count:,} pass-through nodes in pairs, events drained in Python; {kept}"
        repeats = 11 if count <= 10_000 else 3
        return compare(name, ours, "Dask threaded", theirs, unit="µs", scale=1e6, how=how, repeats=repeats)


def player_nodes(name: str) -> Row:
    """10,000 calls of two sandboxed Player processes, beside a process pool of two."""
    count = 10_000
    with stage() as (runtime, folder), ProcessPoolExecutor(2) as pool:
        keys = ["steps-1", "steps-2"]
        for key in keys:
            start_steps(runtime, folder, key)
        nodes = [
            {
                "id": f"n{i}",
                "kind": "operator",
                "key": keys[i % 2],
                "player": "bench/steps#nothing",
                "function": "nothing",
                "params": {},
                "inputs": {"text": {"value": "x"}},
                "outputs": {},
            }
            for i in range(count)
        ]

        def ours() -> float:
            whole = plan(str(uuid.uuid4()), "", nodes, [])
            return seconds(lambda: play(runtime, whole)) / count

        def theirs() -> float:
            return seconds(lambda: list(pool.map(_nothing, ["x"] * count))) / count

        how = (
            "10,000 nodes that take a text and give nothing, two sandboxed processes, authenticated sockets, every "
            "node's states told to Python; the peer forks, chunksize 1"
        )
        return compare(name, ours, "ProcessPoolExecutor(2)", theirs, unit="µs", scale=1e6, how=how, repeats=3)


def _nothing(_text: str) -> None:
    return None


def prewarming(name: str) -> Row:
    """Four cold Players one after the other, each busy for a while: who waits for a process?"""
    with stage() as (runtime, folder):
        shares, warm, kept = [], 0.0, 0.0
        for turn in range(5):
            before = runtime.stats()["players"]["waits"]
            nodes: list[dict[str, Any]] = []
            for i in range(4):
                key = f"step-{turn}-{i}"
                runtime.register_player(key, echo_launch(Path(folder)))
                source = {"node": f"s{i - 1}", "port": "text"} if i else {"value": "x"}
                nodes.append(
                    {
                        "id": f"s{i}",
                        "kind": "operator",
                        "key": key,
                        "player": "bench/echo#nap",
                        "function": "nap",
                        "params": {},
                        "inputs": {"text": source},
                        "outputs": {"text": "text"},
                        "seconds": 0.3,
                    }
                )
            starts: dict[str, float] = {}

            def is_end(event: dict[str, Any], starts: dict[str, float] = starts) -> bool:
                if event["event"] == "node" and "started" in event:
                    starts[event["node"]] = event["started"]
                return bool(event["event"] == "run" and event["state"] != "running")

            began = time.time()
            runtime.start(plan(str(uuid.uuid4()), "", nodes, []))
            ended = await_event(runtime, is_end)
            assert ended["state"] == "succeeded", ended
            states = runtime.player_states()
            for i in range(1, 4):
                start = began + starts[f"s{i}"]
                warm += max(0.0, start - states[f"step-{turn}-{i}"]["since"])
                kept += start - began
            shares.append(1 - (runtime.stats()["players"]["waits"] - before - 1) / 3)
    share = sum(shares) / len(shares)
    how = (
        "calls after the first that found their Player ready, five melodies of four cold Players that take 0.3 s each; "
        f"these were warm for {warm:.1f} s before their use, {kept:.1f} s where all are kept warm from the run's start"
    )
    return Row(name, share, "share", "the aim", 0.95, share / 0.95, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "engine.no-op node": lambda name: _overhead(name, 1000, journal=False),
    "engine.no-op node of 100,000": lambda name: _overhead(name, 100_000, journal=False),
    "engine.no-op node, journal": lambda name: _overhead(name, 1000, journal=True),
    "engine.no-op node in a Player": player_nodes,
    "pool.prewarmed for a melody": prewarming,
    **engine_state.ROWS,
}
