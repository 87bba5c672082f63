"""The Pool Manager, against what a Python programmer would otherwise use."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable
from os import kill
from pathlib import Path

from benches.measure import Row, compare, seconds
from benches.stage import await_event, echo_launch, stage
from pit_native import PoolManager

ROUNDS = 200_000
NAME = "symphony/git"


class PythonPool:
    """The peer: a dictionary of free lists under a lock."""

    def __init__(self, names: list[str]) -> None:
        self.free: dict[str, list[object]] = {name: [object()] for name in names}
        self.lock = threading.Lock()

    def allocate(self, name: str) -> object:
        with self.lock:
            return self.free[name].pop()

    def release(self, name: str, thing: object) -> None:
        with self.lock:
            self.free[name].append(thing)


def loaded(names: list[str], capacity: int = 128) -> PoolManager:
    """A pool whose entries are ready."""
    pool = PoolManager(capacity=capacity)
    for name in names:
        pool.register(name, lambda _: object())
        pool.release(pool.allocate(name, 5))
    return pool


def _ours(pool: PoolManager) -> float:
    take, give = pool.allocate, pool.release

    def loop() -> None:
        for _ in range(ROUNDS):
            give(take(NAME, 5))

    return seconds(loop) / ROUNDS


def allocate(name: str) -> Row:
    """`allocate` + `release` of a Ready entry, from Python."""
    pool, python = loaded([NAME]), PythonPool([NAME])

    def theirs() -> float:
        take, give = python.allocate, python.release

        def loop() -> None:
            for _ in range(ROUNDS):
                give(NAME, take(NAME))

        return seconds(loop) / ROUNDS

    how = f"{ROUNDS} pairs in a Python loop, its overhead in both arms; peer: dict and list under a lock"
    return compare(
        name, lambda: _ours(pool), "pure-Python pool with a lock", theirs, unit="ns", scale=1e9, how=how
    )


def allocate_bare(name: str) -> Row:
    """The same pair beside a pool that no second thread may touch."""
    pool = loaded([NAME])
    free: dict[str, list[object]] = {NAME: [object()]}

    def theirs() -> float:
        def loop() -> None:
            for _ in range(ROUNDS):
                thing = free[NAME].pop()
                free[NAME].append(thing)

        return seconds(loop) / ROUNDS

    how = (
        "a pair; the peer takes from a list and puts back, in line and for one thread alone, without states, limits, "
        "statistics, or handles that are refused after their release; ours is two calls and makes a handle"
    )
    return compare(name, lambda: _ours(pool), "dict and list in line", theirs, unit="ns", scale=1e9, how=how)


def call(name: str) -> Row:
    """What a call across the bridge costs at least: the state of an entry, one look-up by name."""
    pool = loaded([NAME])
    known = {NAME}

    def ours() -> float:
        ask = pool.state

        def loop() -> None:
            for _ in range(ROUNDS):
                ask(NAME)

        return seconds(loop) / ROUNDS

    def theirs() -> float:
        ask = known.__contains__

        def loop() -> None:
            for _ in range(ROUNDS):
                ask(NAME)

        return seconds(loop) / ROUNDS

    how = "one argument, a look-up by text in both; the peer is a METH_O of CPython; the document promises 10 µs"
    return compare(name, ours, "set.__contains__", theirs, unit="ns", scale=1e9, how=how)


def allocate_ttl(name: str) -> Row:
    """The same pair beside what is often taken for it: a cache whose entries expire."""
    from cachetools import TTLCache

    pool = loaded([NAME])
    cache: TTLCache[str, object] = TTLCache(128, ttl=300.0)
    cache[NAME] = object()

    def theirs() -> float:
        def loop() -> None:
            for _ in range(ROUNDS // 4):
                cache[NAME]
                cache[NAME]

        return seconds(loop) / (ROUNDS // 4)

    how = "a pair; the peer does two look-ups in a TTLCache, and neither counts nor limits anything"
    return compare(
        name, lambda: _ours(pool), "cachetools.TTLCache, two look-ups", theirs, unit="ns", scale=1e9, how=how
    )


def beside_busy_thread(name: str) -> Row:
    """The 99th percentile of a pair while another Python thread computes, beside the same when idle."""
    pool = loaded([NAME])
    take, give = pool.allocate, pool.release
    clock = time.perf_counter_ns

    def p99() -> float:
        times = []
        for _ in range(20_000):
            began = clock()
            give(take(NAME, 5))
            times.append(clock() - began)
        return statistics.quantiles(times, n=100)[98] / 1e9

    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    def busy() -> float:
        stop.clear()
        thread = threading.Thread(target=compute)
        thread.start()
        try:
            return p99()
        finally:
            stop.set()
            thread.join()

    how = "p99 of 20,000 pairs; the GIL is held throughout a pair, so a busy thread cannot come between"
    return compare(name, busy, "the same without a busy thread", p99, unit="ns", scale=1e9, how=how)


def hundred(name: str) -> Row:
    """A hundred entries active at once: all taken, then all given back."""
    names = [f"player-{i}" for i in range(100)]
    pool, python = loaded(names), PythonPool(names)

    def ours() -> float:
        def work() -> None:
            for handle in [pool.allocate(n, 5) for n in names]:
                pool.release(handle)

        return seconds(work)

    def theirs() -> float:
        def work() -> None:
            for n, thing in [(n, python.allocate(n)) for n in names]:
                python.release(n, thing)

        return seconds(work)

    how = "100 entries held at once, then released"
    return compare(name, ours, "pure-Python pool with a lock", theirs, unit="µs", scale=1e6, how=how)


def dead_player(name: str) -> Row:
    """From `kill -9` of an idle Player until the host knows."""
    with stage() as (runtime, folder):
        launch = echo_launch(Path(folder))
        turn = 0

        def ours() -> float:
            nonlocal turn
            turn += 1
            key = f"victim-{turn}"
            runtime.register_player(key, launch)
            runtime.prewarm([key])
            await_event(
                runtime, lambda e: e["event"] == "player" and e["key"] == key and e["state"] == "ready"
            )
            victim = runtime.player_states()[key]["pid"]
            began = time.perf_counter()
            kill(victim, signal.SIGKILL)
            await_event(
                runtime, lambda e: e["event"] == "player" and e["key"] == key and e["state"] != "ready"
            )
            took = time.perf_counter() - began
            runtime.unregister_player(key)
            return took

        how = "SIGKILL of a real, idle, sandboxed Player to the event; the promise is one second"
        return compare(name, ours, "the document: 1,000 ms", lambda: 1.0, unit="ms", scale=1e3, how=how)


ROWS: dict[str, Callable[[str], Row]] = {
    "pool.allocate+release": allocate,
    "pool.allocate+release, one thread": allocate_bare,
    "pool.allocate+release, TTL cache": allocate_ttl,
    "bridge.call": call,
    "pool.p99 beside a busy thread": beside_busy_thread,
    "pool.100 active at once": hundred,
    "pool.dead Player found": dead_player,
}
