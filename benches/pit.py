"""The Pit: pool, graph, arbitration, against what a Python programmer would otherwise use."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import networkx

from benches.measure import Row, compare, seconds
from pit_native import ArbitrationEngine, DagTracker, PoolManager

ROUNDS = 200_000


class PythonPool:
    """The peer: a dictionary of free lists under a lock."""

    def __init__(self) -> None:
        self.free: dict[str, list[object]] = {}
        self.lock = threading.Lock()

    def allocate(self, name: str) -> object:
        with self.lock:
            return self.free[name].pop()

    def release(self, name: str, thing: object) -> None:
        with self.lock:
            self.free[name].append(thing)


def allocate(name: str) -> Row:
    """`allocate` + `release` of a Ready entry, from Python."""
    pool = PoolManager(capacity=128)
    pool.register("symphony/git", lambda _: object())
    pool.release(pool.allocate("symphony/git", 5))
    python = PythonPool()
    python.free["symphony/git"] = [object()]

    def ours() -> float:
        take, give = pool.allocate, pool.release

        def loop() -> None:
            for _ in range(ROUNDS):
                give(take("symphony/git", 5))

        return seconds(loop) / ROUNDS

    def theirs() -> float:
        take, give = python.allocate, python.release

        def loop() -> None:
            for _ in range(ROUNDS):
                give("symphony/git", take("symphony/git"))

        return seconds(loop) / ROUNDS

    how = f"{ROUNDS} pairs in a Python loop, its overhead in both arms; peer: dict and list under a lock"
    return compare(name, ours, "pure-Python pool with a lock", theirs, unit="ns", scale=1e9, how=how)


def graph(nodes: int, edges: int) -> tuple[list[str], list[tuple[str, str]]]:
    """A random layered graph; the same each time."""
    rng = random.Random(7)
    names = [f"n{i}" for i in range(nodes)]
    pairs = set()
    while len(pairs) < edges:
        a, b = sorted(rng.sample(range(nodes), 2))
        pairs.add((names[a], names[b]))
    return names, sorted(pairs)


def build(name: str) -> Row:
    """Build and sort a graph of 10,000 nodes and 50,000 edges from Python lists."""
    names, pairs = graph(10_000, 50_000)

    def ours() -> float:
        return seconds(lambda: DagTracker(names, pairs).topological_order())

    def theirs() -> float:
        def work() -> None:
            built = networkx.DiGraph()
            built.add_nodes_from(names)
            built.add_edges_from(pairs)
            list(networkx.topological_sort(built))

        return seconds(work)

    return compare(
        name, ours, "networkx", theirs, unit="ms", scale=1e3, how="10,000 nodes, 50,000 edges, names as text"
    )


def drain(name: str) -> Row:
    """Ready set: start and complete every one of 10,000 nodes."""
    from graphlib import TopologicalSorter

    names, pairs = graph(10_000, 50_000)

    def ours() -> float:
        dag = DagTracker(names, pairs)

        def work() -> None:
            todo = list(dag.ready())
            while todo:
                node = todo.pop()
                dag.start(node)
                todo.extend(dag.complete(node))

        return seconds(work) / len(names)

    def theirs() -> float:
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for node in names:
            sorter.add(node)
        for source, target in pairs:
            sorter.add(target, source)
        sorter.prepare()

        def work() -> None:
            todo = list(sorter.get_ready())
            while todo:
                sorter.done(todo.pop())
                todo.extend(sorter.get_ready())

        return seconds(work) / len(names)

    return compare(name, ours, "graphlib", theirs, unit="µs", scale=1e6, how="a node, full drain of 10,000")


def grant(name: str) -> Row:
    """An uncontended grant and its release."""
    engine = ArbitrationEngine({"cpu": 8, "memory": 16 << 30})
    need = {"cpu": 1.0, "memory": 1 << 20}

    def ours() -> float:
        def loop() -> None:
            for _ in range(20_000):
                engine.release(engine.request("owner", need, priority=5))

        return seconds(loop) / 20_000

    semaphore = threading.Semaphore(8)

    def theirs() -> float:
        def loop() -> None:
            for _ in range(20_000):
                semaphore.acquire()
                semaphore.release()

        return seconds(loop) / 20_000

    return compare(
        name,
        ours,
        "threading.Semaphore",
        theirs,
        unit="µs",
        scale=1e6,
        how="request and release, two resources",
    )


ROWS: dict[str, Callable[[str], Row]] = {
    "pool.allocate+release": allocate,
    "dag.build+sort 10k/50k": build,
    "dag.drain 10k": drain,
    "arbitration.request+release": grant,
}
