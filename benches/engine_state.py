"""The engine with state: what is kept of a run, what it costs, and what is spared by it."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benches.engine_host import append, bytes_in, host, plan, play, start_steps
from benches.measure import Row, compare, seconds
from benches.stage import await_event

GROWING = 1000
REPEATS = 3


def line(at: int) -> str:
    """What a node adds to the state."""
    return f"node {at:4} has added this line\n"


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder for one measurement. A search index may still be merged when its store has closed."""
    return tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)


def _grow_ours() -> tuple[float, float, float]:
    """Seconds, bytes of journal and artifacts, bytes of the search index."""
    with temporary() as folder, host(folder) as runtime:
        start_steps(runtime, folder)
        nodes = [append("n0", line(0), {"value": ""})]
        nodes += [append(f"n{i}", line(i), {"node": f"n{i - 1}", "port": "text"}) for i in range(1, GROWING)]
        run = str(uuid.uuid4())
        directory = Path(folder, "runs", run)
        directory.mkdir(parents=True)
        whole = plan(run, str(directory), nodes, [])
        took = seconds(lambda: play(runtime, whole))
        text = runtime.outputs(run, f"n{GROWING - 1}")["text"]
        assert text == "".join(map(line, range(GROWING))), len(text)
        index = bytes_in(Path(folder, "store", "index"))
        return took, bytes_in(directory) + bytes_in(Path(folder, "store")) - index, index


def _add(at: int, state: dict[str, str]) -> dict[str, str]:
    return {"text": state["text"] + line(at)}


def _langgraph(folder: str) -> Callable[[], str]:
    """The same chain in LangGraph, with its SQLite checkpointer; answers the last state."""
    import sqlite3
    from typing import TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import StateGraph

    # Annotations of this module are texts, which LangGraph could not resolve here.
    state = TypedDict("state", {"text": str})  # noqa: UP013
    graph = StateGraph(state)
    for i in range(GROWING):
        graph.add_node(f"n{i}", functools.partial(_add, i))
        if i:
            graph.add_edge(f"n{i - 1}", f"n{i}")
    graph.set_entry_point("n0")
    database = sqlite3.connect(f"{folder}/peer.sqlite", check_same_thread=False)
    compiled = graph.compile(checkpointer=SqliteSaver(database))

    def run() -> str:
        config: Any = {"configurable": {"thread_id": "one"}, "recursion_limit": GROWING + 10}
        text: str = compiled.invoke({"text": ""}, config, durability="sync")["text"]
        database.close()
        return text

    return run


def _grow_theirs() -> tuple[float, float]:
    with temporary() as folder:
        run = _langgraph(folder)
        texts: list[str] = []
        took = seconds(lambda: texts.append(run()))
        assert texts == ["".join(map(line, range(GROWING)))]
        return took, bytes_in(Path(folder))


@functools.cache
def _growing() -> dict[str, float]:
    """Both arms in turn; the two rows about them share the runs."""
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(_grow_ours())
        theirs.append(_grow_theirs())
    return {
        "seconds": statistics.median(took for took, _, _ in ours),
        "bytes": statistics.median(size for _, size, _ in ours),
        "index": statistics.median(index for _, _, index in ours),
        "peer seconds": statistics.median(took for took, _ in theirs),
        "peer bytes": statistics.median(size for _, size in theirs),
    }


HOW_GROWING = (
    f"a chain of {GROWING:,} nodes, each output the former's and one line of 30 characters, every output kept and on "
    "the disk before the next node begins; ours calls a sandboxed Player, the peer a function in its own process, "
    f"durability sync; {REPEATS} runs of each in turn"
)


def growing_time(name: str) -> Row:
    """A node of a chain whose state grows, durable, beside LangGraph with its SQLite checkpointer."""
    found = _growing()
    ours, theirs = (found[key] / GROWING * 1e6 for key in ("seconds", "peer seconds"))
    return Row(name, ours, "µs", "LangGraph + SQLite", theirs, ours / theirs, HOW_GROWING)


def growing_bytes(name: str) -> Row:
    """What that chain leaves on the disk."""
    found = _growing()
    ours, theirs = (found[key] / 1e6 for key in ("bytes", "peer bytes"))
    how = (
        f"{HOW_GROWING}; journal and artifacts against the database; the search index, which the peer has not, "
        f"takes {found['index'] / 1e6:.1f} MB more; aim 5 MB"
    )
    return Row(name, ours, "MB", "LangGraph + SQLite", theirs, ours / theirs, how)


def keeping(count: int) -> list[dict[str, Any]]:
    """`count` nodes in pairs that keep what they get, the second of a pair also what the first made; then one
    that waits for a person."""
    nodes: list[dict[str, Any]] = []
    for i in range(count):
        inputs: dict[str, Any] = {"own": {"value": f"what node {i} was given"}}
        if i % 2:
            inputs["other"] = {"node": f"n{i - 1}", "port": "own"}
        outputs = dict.fromkeys(inputs, "text/plain")
        nodes.append({"id": f"n{i}", "kind": "pass", "inputs": inputs, "outputs": outputs})
    last = {
        "id": "last",
        "kind": "control",
        "player": "symphony/control#approve",
        "outputs": {},
        "inputs": {},
    }
    return [*nodes, last]


VICTIM = """
import sys, time
from benches.engine_host import host, plan
from benches.engine_state import keeping
folder, count = sys.argv[1], int(sys.argv[2])
with host(folder) as runtime:
    runtime.start(plan("r", folder + "/run", keeping(count), []))
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
    count = 10_000

    def ours() -> float:
        with temporary() as folder:
            Path(folder, "run").mkdir()
            command = [sys.executable, "-c", VICTIM, folder, str(count)]
            victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert victim.stdout is not None
            assert victim.stdout.readline().strip() == "played"
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            whole = plan("r", folder + "/run", keeping(count), [])
            began = time.perf_counter()
            with host(folder) as runtime:
                answer = runtime.resume(folder + "/run", whole)
                await_event(runtime, lambda e: e["event"] == "control")
                took = time.perf_counter() - began
                assert (len(answer["kept"]), answer["left"]) == (count, 1), (
                    len(answer["kept"]),
                    answer["left"],
                )
                runtime.cancel("r")
                return took

    how = (
        "SIGKILL after 10,000 nodes with 15,000 artifacts; the store opened, the journal read, the graph rebuilt, "
        "every finished node kept and told, until the one that is left asks its question; aim 1 s"
    )
    return compare(name, ours, "the aim: 1 s", lambda: 1.0, unit="ms", scale=1e3, how=how, repeats=5)


EDITED = 1000
CHAIN = 10
AT = 504
"""The node whose parameter is changed; five of its chain come after it."""


def _edited(runtime: Any, folder: str, turn: int) -> tuple[float, float, list[str]]:
    """Plays the melody with the parameter of one node at `turn`: seconds to the last decision, seconds of the
    whole run, and which nodes ran."""
    run = str(uuid.uuid4())
    Path(folder, "runs", run).mkdir(parents=True)
    nodes = []
    for i in range(EDITED):
        text = {"node": f"n{i - 1}", "port": "text"} if i % CHAIN else {"value": f"x{i}\n"}
        words = f"turn {turn}\n" if i == AT else line(i)
        nodes.append(append(f"n{i}", words, text, cache_key=f"append-{words}"))
    whole = {**plan(run, f"{folder}/runs/{run}", nodes, []), "melody": "edited"}
    ran: list[str] = []
    decided = 0.0

    def ended(event: dict[str, Any]) -> bool:
        nonlocal decided
        if event["event"] == "node" and event["state"] == "succeeded":
            if event.get("cached"):
                decided = max(decided, event["at"])
            else:
                ran.append(event["node"])
        return bool(event["event"] == "run" and event["state"] != "running")

    began = time.perf_counter()
    runtime.start(whole)
    started = time.perf_counter() - began
    await_event(runtime, ended)
    return started + decided, time.perf_counter() - began, ran


@functools.cache
def _edits() -> tuple[float, float]:
    """Medians of both times over eleven edits, each in a host of its own."""
    decisions, runs = [], []
    with temporary() as folder:
        for turn in range(12):
            with host(folder) as runtime:
                start_steps(runtime, folder)
                decided, took, ran = _edited(runtime, folder, turn)
            if turn == 0:
                assert len(ran) == EDITED, len(ran)
                continue
            assert sorted(ran) == [f"n{i}" for i in range(AT, AT - AT % CHAIN + CHAIN)], ran
            decisions.append(decided)
            runs.append(took)
    return statistics.median(decisions), statistics.median(runs)


HOW_EDITED = (
    "1,000 nodes in chains of ten with an artifact each, played before by a host that has ended since; one parameter "
    "is changed, that node and the five that come after it run, exactly these, and 994 are answered from the cache; "
    "11 edits"
)


def edit_decided(name: str) -> Row:
    """One parameter of 1,000 nodes changed: until it is decided what must run."""
    took = _edits()[0] * 1e3
    how = f"{HOW_EDITED}; from the plan in Python, the cache opened and read, to the last of the 994 answers"
    return Row(name, took, "ms", "the aim", 10.0, took / 10.0, how)


def edit_played(name: str) -> Row:
    """The same until the run has ended."""
    took = _edits()[1] * 1e3
    how = f"{HOW_EDITED}; until the run's end is told, with the six calls and their artifacts on the disk"
    return Row(name, took, "ms", "none", None, None, how)


MEMORY = """
import sys
from benches.engine_state import fan, growth_of
names = [f"n{i}" for i in range(100_000)]
if sys.argv[1] == "ours":
    from benches.engine_host import plan, play
    from benches.stage import stage
    with stage() as (runtime, folder):
        nodes = [{"id": name, "kind": "pass", "outputs": {}, "inputs": {}} for name in names]
        edges = [{"kind": "control", "from": names[i], "to": names[j]} for i, j in fan()]
        whole = plan("r", "", nodes, edges)
        print(growth_of(lambda: play(runtime, whole)))
else:
    import networkx
    pairs = [(names[i], names[j]) for i, j in fan()]
    graph = networkx.DiGraph()
    print(growth_of(lambda: (graph.add_nodes_from(names), graph.add_edges_from(pairs))))
"""


def fan() -> Iterator[tuple[int, int]]:
    """498,000 edges among 100,000 nodes, none backwards; one by one, so that they leave no room behind."""
    steps = (1, 3, 19, 211, 2003)
    return ((i, i + step) for i in range(100_000) for step in steps if i + step < 100_000)


def growth_of(work: Callable[[], object]) -> float:
    """How much resident memory work takes at its peak beyond what was resident before, in MiB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def planned_memory(name: str) -> Row:
    """A Melody of 100,000 nodes planned and tracked."""

    def grown(arm: str) -> float:
        done = subprocess.run([sys.executable, "-c", MEMORY, arm], capture_output=True, text=True, check=True)
        return float(done.stdout)

    how = (
        "growth of the peak of resident memory while a melody of 100,000 nodes and 498,000 edges is read, planned and "
        "played to its end, beyond the plan in Python; the peer only holds the graph; aim 100 MiB"
    )
    ours, theirs = grown("ours"), grown("theirs")
    return Row(name, ours, "MiB", "networkx", theirs, ours / theirs, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "engine.node, durable, growing state": growing_time,
    "engine.journal of 1,000 nodes": growing_bytes,
    "engine.resume 10,000 nodes": resume,
    "engine.edit among 1,000 nodes, decided": edit_decided,
    "engine.edit among 1,000 nodes, played": edit_played,
    "engine.memory 100,000 nodes": planned_memory,
}
