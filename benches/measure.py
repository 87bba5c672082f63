"""How a row is measured: arms alternate A B A B, at least eleven repeats, the ratio of medians."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

REPEATS = 11


@dataclass(slots=True)
class Row:
    """One line of `bench.json`. `ratio` is ours divided by the peer's: below 1 is better."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    how: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, without the garbage collector's interference."""
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    finally:
        gc.enable()


def compare(
    name: str,
    ours: Callable[[], float],
    peer: str,
    theirs: Callable[[], float] | None,
    *,
    unit: str,
    scale: float,
    how: str,
    repeats: int = REPEATS,
) -> Row:
    """Measures both arms in turn. An arm answers seconds an operation; `scale` turns them into `unit`."""
    ours()
    if theirs is not None:
        theirs()
    mine: list[float] = []
    other: list[float] = []
    for _ in range(repeats):
        mine.append(ours())
        if theirs is not None:
            other.append(theirs())
    value = statistics.median(mine) * scale
    if theirs is None:
        return Row(name, value, unit, peer, None, None, how)
    peer_value = statistics.median(other) * scale
    return Row(name, value, unit, peer, peer_value, value / peer_value, how)
