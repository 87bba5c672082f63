"""The engine beside the schedulers of the field: overhead, journal, resume, Player processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benches.measure import Row, compare, seconds
from benches.stage import await_event, echo_launch, stage
from pit_native import Runtime

Plan = dict[str, Any]


def plan(run: str, directory: str, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> Plan:
    """A plan as `symphony.engine.plan` makes it, of the fewest words."""
    return {
        "run": run, "dir": directory, "name": "x", "project": None, "nodes": nodes, "edges": edges, "meta": {},
    }  # fmt: skip


def passes(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`count` nodes that do nothing, in pairs."""
    nodes = [{"id": f"n{i}", "kind": "pass", "outputs": {}, "inputs": {}} for i in range(count)]
    edges = [{"kind": "control", "from": f"n{i}", "to": f"n{i + 1}"} for i in range(0, count - 1, 2)]
    return nodes, edges


def play(runtime: Runtime, whole: Plan) -> None:
    """Plays a plan to its end."""
    runtime.start(whole)
    await_event(runtime, lambda e: e["event"] == "run" and e["state"] != "running")


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


def langgraph(name: str) -> Row:
    """1,000 nodes with a durable journal, beside LangGraph with its SQLite checkpointer."""
    import operator
    import sqlite3
    from typing import Annotated, TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import StateGraph

    # Annotations of this module are texts, which LangGraph could not resolve here.
    state = TypedDict("state", {"seen": Annotated[list[int], operator.add]})  # noqa: UP013
    count = 100
    graph = StateGraph(state)
    for i in range(count):
        graph.add_node(f"n{i}", lambda _: {"seen": [1]})
        if i:
            graph.add_edge(f"n{i - 1}", f"n{i}")
    graph.set_entry_point("n0")

    with stage() as (runtime, folder):
        database = sqlite3.connect(f"{folder}/peer.sqlite", check_same_thread=False)
        compiled = graph.compile(checkpointer=SqliteSaver(database))

        def ours() -> float:
            run = str(uuid.uuid4())
            Path(folder, run).mkdir()
            nodes, _ = passes(count)
            edges = [{"kind": "control", "from": f"n{i}", "to": f"n{i + 1}"} for i in range(count - 1)]
            whole = plan(run, f"{folder}/{run}", nodes, edges)
            return seconds(lambda: play(runtime, whole)) / count

        def theirs() -> float:
            config = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": count + 10}
            return seconds(lambda: compiled.invoke({"seen": []}, config)) / count

        how = f"a chain of {count} nodes, each step durable; the peer's state grows by one number a node"
        row = compare(name, ours, "LangGraph + SQLite", theirs, unit="µs", scale=1e6, how=how)
        database.close()
        return row


def journal_size(name: str) -> Row:
    """What the journal of 1,000 nodes takes on the disk."""
    with stage() as (runtime, folder):
        run = str(uuid.uuid4())
        Path(folder, run).mkdir()
        nodes, edges = passes(1000)
        play(runtime, plan(run, f"{folder}/{run}", nodes, edges))
        size = sum(p.stat().st_size for p in Path(folder, run).rglob("*") if p.is_file()) / 1e6
    how = "1,000 pass-through nodes; the aim is 5 MB, LangGraph with growing state took 75 MB on the same machine"
    return Row(name, size, "MB", "the aim", 5.0, size / 5.0, how)


def player_nodes(name: str) -> Row:
    """10,000 calls of two sandboxed Player processes, beside a process pool of two."""
    count = 10_000
    with stage() as (runtime, folder), ProcessPoolExecutor(2) as pool:
        keys = ["echo", "echo-2"]
        runtime.register_player("echo-2", echo_launch(Path(folder)))
        nodes = [
            {
                "id": f"n{i}",
                "kind": "operator",
                "key": keys[i % 2],
                "player": "bench/echo#echo",
                "function": "echo",
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
            return seconds(lambda: list(pool.map(_echo, ["x"] * count))) / count

        how = "10,000 nodes, two sandboxed processes, authenticated sockets; the peer forks, chunksize 1"
        return compare(name, ours, "ProcessPoolExecutor(2)", theirs, unit="µs", scale=1e6, how=how, repeats=3)


def _echo(text: str) -> str:
    return text


VICTIM = """
import sys, time
from benches.engine import passes, plan
from benches.stage import stage
from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.app.paths import launcher
folder, count = sys.argv[1], int(sys.argv[2])
store = ArtifactStore(folder + "/store")
runtime = Runtime(store, StaleManager({}), ArbitrationEngine({"cpu": 8.0}), launcher=str(launcher()), sockets=folder)
nodes, edges = passes(count)
nodes.append({"id": "last", "kind": "control", "player": "symphony/control#approve", "outputs": {}, "inputs": {}})
runtime.start(plan("r", folder + "/run", nodes, edges))
done = 0
while done < count:
    for event in runtime.drain(10_000):
        done += event["event"] == "node" and event["state"] == "succeeded"
    time.sleep(0.001)
print("played", flush=True)
time.sleep(600)
"""


def resume(name: str) -> Row:
    """A run of 10,000 finished nodes whose host was killed, until it stands again with none repeated."""
    from pit_native import ArbitrationEngine, ArtifactStore, StaleManager
    from symphony.app.paths import launcher

    count = 10_000

    def ours() -> float:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            Path(folder, "run").mkdir()
            victim = subprocess.Popen(
                [sys.executable, "-c", VICTIM, folder, str(count)], stdout=subprocess.PIPE, text=True
            )
            assert victim.stdout is not None
            assert victim.stdout.readline().strip() == "played"
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            store = ArtifactStore(folder + "/store")
            runtime = Runtime(
                store,
                StaleManager({}),
                ArbitrationEngine({"cpu": 8.0}),
                launcher=str(launcher()),
                sockets=folder,
            )
            nodes, edges = passes(count)
            last = {"id": "last", "kind": "control", "player": "symphony/control#approve"}
            nodes.append({**last, "outputs": {}, "inputs": {}})
            whole = plan("r", folder + "/run", nodes, edges)
            began = time.perf_counter()
            answer = runtime.resume(folder + "/run", whole)
            took = time.perf_counter() - began
            assert len(answer["kept"]) == count, len(answer["kept"])
            runtime.cancel("r")
            runtime.stop(5.0)
            store.close()
            return took

    how = "SIGKILL after 10,000 nodes; journal read, graph rebuilt, every finished node kept; aim 1 s"
    return compare(name, ours, "the aim: 1 s", lambda: 1.0, unit="ms", scale=1e3, how=how, repeats=5)


def edit(name: str) -> Row:
    """One parameter of 1,000 nodes changed and the melody played again: the others are answered from the cache."""
    count = 1000
    with stage() as (runtime, folder):

        def played(turn: int) -> float:
            run = str(uuid.uuid4())
            Path(folder, run).mkdir()
            nodes = [
                {
                    "id": f"n{i}",
                    "kind": "operator",
                    "key": "echo",
                    "player": "bench/echo#echo",
                    "function": "echo",
                    "params": {"turn": turn} if i == count - 1 else {},
                    "inputs": {
                        "text": {"node": f"n{i - 1}", "port": "text"} if i % 10 else {"value": f"x{i}"}
                    },
                    "outputs": {"text": "text"},
                    "cache_key": f"echo-{i}-{turn if i == count - 1 else 0}",
                }
                for i in range(count)
            ]
            whole = plan(run, f"{folder}/{run}", nodes, [])
            ran = 0

            def ended(event: dict[str, Any]) -> bool:
                nonlocal ran
                ran += event["event"] == "node" and event["state"] == "succeeded" and not event.get("cached")
                return event["event"] == "run" and event["state"] != "running"

            def work() -> None:
                runtime.start(whole)
                await_event(runtime, ended)

            took = seconds(work)
            assert ran == (count if turn == 0 else 1), ran
            return took

        played(0)
        turn = 0

        def ours() -> float:
            nonlocal turn
            turn += 1
            return played(turn)

        how = (
            "a run of 1,000 nodes in chains of ten, one parameter changed: 999 decided from the cache and told to "
            "Python, one called; the aim counts the decision alone"
        )
        return compare(name, ours, "the aim: 10 ms", lambda: 0.01, unit="ms", scale=1e3, how=how)


def prewarming(name: str) -> Row:
    """Four cold Players one after the other, each busy for a while: who waits for a process?"""
    with stage() as (runtime, folder):
        shares = []
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
            play(runtime, plan(str(uuid.uuid4()), "", nodes, []))
            shares.append(1 - (runtime.stats()["players"]["waits"] - before - 1) / 3)
    share = sum(shares) / len(shares)
    how = "calls after the first that found their Player ready, five melodies of four cold Players that take 0.3 s each"
    return Row(name, share, "share", "the aim", 0.95, share / 0.95, how)


def planned_memory(name: str) -> Row:
    """A Melody of 100,000 nodes planned and tracked."""
    code = (
        "from benches.engine import passes, plan, play, peak\n"
        "from benches.stage import stage\n"
        "with stage() as (runtime, folder):\n"
        "    nodes, edges = passes(100_000)\n"
        "    whole = plan('r', '', nodes, edges)\n"
        "    before = peak()\n"
        "    play(runtime, whole)\n"
        "    print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown = float(done.stdout)
    how = "growth of peak resident memory while 100,000 nodes are planned and played, beyond the Python plan"
    return Row(name, grown, "MiB", "the aim", 100.0, grown / 100.0, how)


def peak() -> float:
    """Peak resident memory of this process in MiB; `getrusage` would count its parent's before the exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


ROWS: dict[str, Callable[[str], Row]] = {
    "engine.no-op node": lambda name: _overhead(name, 1000, journal=False),
    "engine.no-op node of 100,000": lambda name: _overhead(name, 100_000, journal=False),
    "engine.no-op node, journal": lambda name: _overhead(name, 1000, journal=True),
    "engine.node, durable, beside LangGraph": langgraph,
    "engine.journal of 1,000 nodes": journal_size,
    "engine.no-op node in a Player": player_nodes,
    "engine.resume 10,000 nodes": resume,
    "engine.edit among 1,000 nodes": edit,
    "pool.prewarmed for a melody": prewarming,
    "engine.memory 100,000 nodes": planned_memory,
}
