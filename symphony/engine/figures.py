"""Figures of what nodes took, by Player: streaming sketches that are rebuilt from the history of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from symphony.types.runs import NodeRun, RunInfo

Json = dict[str, Any]

_GROWTH = math.log(1.02)
"""Each bucket of a sketch ends 2 % above the one before, so a quantile is right within 1 %."""
_SMALLEST = 1e-6
"""Seconds below which durations are not told apart."""


@dataclass(slots=True)
class Sketch:
    """The distribution of non-negative values in constant space.

    Method: DDSketch (Masson, Rim, Lee, VLDB 2019), with logarithmic buckets.
    """

    count: int = 0
    total: float = 0.0
    _buckets: dict[int, int] = field(default_factory=dict)

    def add(self, value: float) -> None:
        """Takes one value in."""
        self.count += 1
        self.total += value
        bucket = math.ceil(math.log(max(value, _SMALLEST)) / _GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def quantile(self, share: float) -> float:
        """The value below which this share of all values lies, within 1 %; 0 for none."""
        left = share * (self.count - 1)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left < 0:
                return math.exp((bucket - 0.5) * _GROWTH)
        return 0.0

    def summary(self) -> Json:
        """`{"average", "p50", "p99"}`."""
        average = self.total / self.count if self.count else 0.0
        return {"average": average, "p50": self.quantile(0.5), "p99": self.quantile(0.99)}


@dataclass(slots=True)
class PlayerFigures:
    """What the nodes of one Player took; times in seconds, memory in bytes."""

    seconds: Sketch = field(default_factory=Sketch)
    queue: Sketch = field(default_factory=Sketch)
    cpu: Sketch = field(default_factory=Sketch)
    peak_memory: int = 0
    gpu_share: float | None = None
    failed: int = 0
    cached: int = 0

    def add(self, node: NodeRun) -> None:
        """Takes an ended node in."""
        if node.cached:
            self.cached += 1
            return
        if node.status == "failed":
            self.failed += 1
        if node.started is None or node.ended is None:
            return
        if node.status == "succeeded":
            self.seconds.add(max(node.ended - node.started, 0.0))
        if node.queue_seconds is not None:
            self.queue.add(node.queue_seconds)
        if node.cpu_seconds is not None:
            self.cpu.add(node.cpu_seconds)
        self.peak_memory = max(self.peak_memory, node.peak_memory or 0)
        if node.gpu_share is not None:
            self.gpu_share = max(self.gpu_share or 0.0, node.gpu_share)

    def to_json(self) -> Json:
        """The figures as `getMetrics` shows them."""
        return {
            "nodes": self.seconds.count,
            "failed": self.failed,
            "cached": self.cached,
            **self.seconds.summary(),
            "queue": self.queue.summary(),
            "cpu_seconds": self.cpu.summary(),
            "peak_memory": self.peak_memory or None,
            "gpu_share": self.gpu_share,
        }


class Figures:
    """The figures of all runs, or of some."""

    def __init__(self, runs: Iterable[RunInfo] = ()) -> None:
        self._all = PlayerFigures()
        self._players: dict[str, PlayerFigures] = {}
        self._busy = 0.0
        for run in runs:
            self.add(run)

    def add(self, run: RunInfo) -> None:
        """Takes an ended run in, or one as it stands."""
        self._busy += run.seconds
        for node in run.nodes:
            if node.ended is None or node.status in ("skipped", "cancelled"):
                continue
            self._all.add(node)
            player = node.fallback or node.player
            figures = self._players.get(player)
            if figures is None:
                figures = self._players[player] = PlayerFigures()
            figures.add(node)

    def expected_seconds(self, player: str) -> float | None:
        """How long a node of this Player took on average; None when none has played."""
        figures = self._players.get(player)
        if figures is None or not figures.seconds.count:
            return None
        return figures.seconds.total / figures.seconds.count

    def to_json(self) -> Json:
        """`{"throughput": nodes a second of playing, "nodes", "average", "p50", "p99", …, "by_player": {…}}`."""
        done = self._all.seconds.count
        return {
            "throughput": done / self._busy if self._busy else 0.0,
            **self._all.to_json(),
            "by_player": {name: figures.to_json() for name, figures in sorted(self._players.items())},
        }
