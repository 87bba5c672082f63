"""Counters and timings of what the host does, cheap enough to be always on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

KEPT = 1024
"""Latest observations of a timing from which its percentiles are computed."""


class Metrics:
    """A registry of counters and timings by name. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, float] = {}
        self._timings: dict[str, _Timing] = {}

    def count(self, name: str, amount: float = 1.0) -> None:
        """Adds to a counter."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0.0) + amount

    def observe(self, name: str, seconds: float) -> None:
        """Notes one duration in seconds."""
        with self._lock:
            self._timings.setdefault(name, _Timing()).add(seconds)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Notes how long the block took, also when it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - began)

    def snapshot(self) -> dict[str, Any]:
        """`{"counters": {name: n}, "timings": {name: {"count", "average", "p50", "p99", "max"}}}`, in s."""
        with self._lock:
            return {
                "counters": dict(self._counters),
                "timings": {name: timing.summary() for name, timing in self._timings.items()},
            }


class _Timing:
    def __init__(self) -> None:
        self._count = 0
        self._total = 0.0
        self._max = 0.0
        self._latest: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        self._count += 1
        self._total += seconds
        self._max = max(self._max, seconds)
        self._latest.append(seconds)

    def summary(self) -> dict[str, float]:
        ordered = sorted(self._latest)
        return {
            "count": self._count,
            "average": self._total / self._count,
            "p50": percentile(ordered, 0.50),
            "p99": percentile(ordered, 0.99),
            "max": self._max,
        }


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of values in rising order; 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
