"""The DAG Tracker and the Arbitration Engine, beside the graph libraries of the field."""

from __future__ import annotations

import array
import random
import subprocess
import sys
import threading
from collections.abc import Callable

import networkx
import rustworkx

from benches.measure import Row, compare, seconds
from pit_native import ArbitrationEngine, DagTracker

NODES, EDGES = 10_000, 50_000


def graph(nodes: int, edges: int) -> tuple[list[str], list[tuple[str, str]], list[tuple[int, int]]]:
    """A random graph without cycles, the same each time: names, pairs of names, pairs of positions."""
    rng = random.Random(7)
    names = [f"n{i}" for i in range(nodes)]
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < edges:
        a, b = sorted(rng.sample(range(nodes), 2))
        pairs.add((a, b))
    positions = sorted(pairs)
    return names, [(names[a], names[b]) for a, b in positions], positions


def _rustworkx(names: list[str], positions: list[tuple[int, int]]) -> rustworkx.PyDiGraph:
    built = rustworkx.PyDiGraph()
    built.add_nodes_from(names)
    built.add_edges_from_no_data(positions)
    return built


def build(name: str) -> Row:
    """Validate, build and sort from Python tuples of names, all findings included."""
    names, pairs, _ = graph(NODES, EDGES)

    def ours() -> float:
        def work() -> None:
            findings, dag = DagTracker.check(names, pairs)
            assert dag is not None, findings
            dag.topological_order()

        return seconds(work)

    def theirs() -> float:
        def work() -> None:
            built = networkx.DiGraph()
            built.add_nodes_from(names)
            built.add_edges_from(pairs)
            list(networkx.topological_sort(built))

        return seconds(work)

    how = "10,000 nodes, 50,000 edges, names as text; ours names all findings, networkx the first"
    return compare(name, ours, "networkx", theirs, unit="ms", scale=1e3, how=how)


def build_positions(name: str) -> Row:
    """Validate, build and sort from tuples of positions, the form that rustworkx takes."""
    _, _, positions = graph(NODES, EDGES)

    def ours() -> float:
        def work() -> None:
            findings, dag = DagTracker.check(NODES, positions)
            assert dag is not None, findings
            dag.topological_order()

        return seconds(work)

    nodes = list(range(NODES))

    def theirs() -> float:
        return seconds(lambda: rustworkx.topological_sort(_rustworkx(nodes, positions)))

    how = "10,000 nodes, 50,000 tuples of positions; ours names all findings, the peer looks for cycles only"
    return compare(name, ours, "rustworkx from tuples", theirs, unit="ms", scale=1e3, how=how)


def build_buffer(name: str) -> Row:
    """The same from a flat buffer of integers; rustworkx has no such door."""
    _, _, positions = graph(NODES, EDGES)
    flat = array.array("i", [end for pair in positions for end in pair])

    def ours() -> float:
        return seconds(lambda: DagTracker(NODES, flat).topological_order())

    nodes = list(range(NODES))

    def theirs() -> float:
        return seconds(lambda: rustworkx.topological_sort(_rustworkx(nodes, positions)))

    how = "ours takes 100,000 integers in one buffer, the peer tuples"
    return compare(name, ours, "rustworkx from tuples", theirs, unit="ms", scale=1e3, how=how)


def drain(name: str) -> Row:
    """Ready set: every one of 10,000 nodes completed, one call a node."""
    names, pairs, positions = graph(NODES, EDGES)

    def ours() -> float:
        dag = DagTracker(names, pairs)

        def work() -> None:
            todo = dag.ready()
            complete = dag.complete
            while todo:
                todo.extend(complete(todo.pop()))

        return seconds(work) / NODES

    def theirs() -> float:
        sorter = rustworkx.TopologicalSorter(_rustworkx(names, positions))

        def work() -> None:
            todo = sorter.get_ready()
            while todo:
                sorter.done(todo.pop())
                todo.extend(sorter.get_ready())

        return seconds(work) / NODES

    how = "a node, full drain of 10,000, one at a time in both"
    return compare(name, ours, "rustworkx TopologicalSorter", theirs, unit="µs", scale=1e6, how=how)


def drain_batches(name: str) -> Row:
    """The same drain by whole ready sets."""
    names, pairs, positions = graph(NODES, EDGES)

    def ours() -> float:
        dag = DagTracker(names, pairs)

        def work() -> None:
            todo = dag.ready()
            while todo:
                todo = dag.complete_many(todo)

        return seconds(work) / NODES

    def theirs() -> float:
        sorter = rustworkx.TopologicalSorter(_rustworkx(names, positions))

        def work() -> None:
            while todo := sorter.get_ready():
                sorter.done(todo)

        return seconds(work) / NODES

    how = "a node, full drain of 10,000 by ready sets in both"
    return compare(name, ours, "rustworkx TopologicalSorter", theirs, unit="µs", scale=1e6, how=how)


GROWTH = """
import random, sys
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
rng = random.Random(7)
nodes, edges = 100_000, 500_000
pairs = []
for _ in range(edges):
    a, b = rng.sample(range(nodes), 2)
    pairs.append((min(a, b), max(a, b)))
if sys.argv[1] == "ours":
    from pit_native import DagTracker
    before = peak()
    dag = DagTracker(nodes, pairs)
else:
    import networkx
    before = peak()
    dag = networkx.DiGraph()
    dag.add_nodes_from(range(nodes))
    dag.add_edges_from(pairs)
print(peak() - before)
"""


def memory(name: str) -> Row:
    """What a graph of 100,000 nodes and 500,000 edges takes."""

    def grown(arm: str) -> float:
        done = subprocess.run([sys.executable, "-c", GROWTH, arm], capture_output=True, text=True, check=True)
        return float(done.stdout)

    how = "growth of peak resident memory while it is built, each in a fresh process"
    return compare(
        name,
        lambda: grown("ours"),
        "networkx",
        lambda: grown("peer"),
        unit="MiB",
        scale=1,
        how=how,
        repeats=3,
    )


def grant(name: str) -> Row:
    """An uncontended grant and its release."""
    engine = ArbitrationEngine({"cpu": 8, "memory": 16 << 30})
    need = {"cpu": 1.0, "memory": 1 << 20}
    count = 20_000

    def ours() -> float:
        def loop() -> None:
            for _ in range(count):
                engine.release(engine.request("owner", need, priority=5))

        return seconds(loop) / count

    semaphores = threading.Semaphore(8), threading.Semaphore(8)

    def theirs() -> float:
        def loop() -> None:
            for _ in range(count):
                for one in semaphores:
                    one.acquire()
                for one in semaphores:
                    one.release()

        return seconds(loop) / count

    how = "request and release of two resources; the peer takes two semaphores and knows neither owner nor fairness"
    return compare(name, ours, "two threading.Semaphores", theirs, unit="µs", scale=1e6, how=how)


def fairness(name: str) -> Row:
    """Jain's index over what four owners of unequal hunger were granted while they competed."""
    engine = ArbitrationEngine({"cpu": 4, "memory": 64})
    rng = random.Random(3)
    held = []
    for owner, count in (("a", 400), ("b", 800), ("c", 1600), ("d", 200)):
        for _ in range(count):
            grant = engine.request(owner, {"cpu": 1, "memory": rng.choice((1, 8))})
            if grant is not None:
                held.append(grant)
    served: dict[str, int] = {}
    for _ in range(600):
        grant = held.pop(rng.randrange(len(held)))
        given = engine.release(grant)
        held.extend(given)
        for one in given:
            served[one.owner] = served.get(one.owner, 0) + 1
    index = float(engine.fairness()["jain"])
    counts = list(served.values()) + [0] * (4 - len(served))
    first_come = [400, 200, 0, 0]
    peer = sum(first_come) ** 2 / (4 * sum(c * c for c in first_come))
    how = f"600 grants among four owners who all wait ({sorted(counts)}); first come first served would give the peer's"
    return Row(name, index, "", "first come, first served (computed)", peer, index / peer, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "dag.validate+build+sort 10k/50k": build,
    "dag.validate+build+sort positions": build_positions,
    "dag.build+sort flat buffer": build_buffer,
    "dag.drain 10k": drain,
    "dag.drain 10k by sets": drain_batches,
    "dag.memory 100k/500k": memory,
    "arbitration.request+release": grant,
    "arbitration.fairness": fairness,
}
