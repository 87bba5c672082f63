"""Counters and timings of the host's components, each only while its `metrics_enabled` is true."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from symphony.config import Configuration
from symphony.telemetry import Metrics


class Meters:
    """Names are `SECTION.WHAT`, such as `conductor.compose`. Sections are those of the configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._metrics = Metrics()
        self._figures: dict[str, Callable[[], dict[str, Any]]] = {}

    def count(self, section: str, what: str) -> None:
        """One more of something."""
        if self._is_on(section):
            self._metrics.count(f"{section}.{what}")

    def observe(self, section: str, what: str, seconds: float) -> None:
        """How long something took."""
        if self._is_on(section):
            self._metrics.observe(f"{section}.{what}", seconds)

    @contextlib.contextmanager
    def timed(self, section: str, what: str) -> Iterator[None]:
        """Notes how long the block took."""
        if self._is_on(section):
            with self._metrics.timed(f"{section}.{what}"):
                yield
        else:
            yield

    def attach(self, section: str, figures: Callable[[], dict[str, Any]]) -> None:
        """Has the numbers that a component keeps itself asked for with each snapshot."""
        self._figures[section] = figures

    def follow(self, event: dict[str, Any]) -> None:
        """Counts what an event of the engine tells."""
        if event["event"] == "workflowComplete":
            run = event["run"]
            self.count("engine", f"run.{run['status']}")
            self.observe("engine", "run", run["seconds"])
        elif event["event"] == "taskProgress":
            node = event["node"]
            if node["ended"] is not None and node["started"] is not None:
                self.count("engine", f"node.{node['status']}")
                self.observe("engine", "node", node["ended"] - node["started"])

    def snapshot(self) -> dict[str, Any]:
        """`{"counters": {name: n}, "timings": {name: {"count", "average", "p50", "p99", "max"}}, "figures":
        {section: {name: value}}}`.
        """
        figures = {section: ask() for section, ask in self._figures.items() if self._is_on(section)}
        return {**self._metrics.snapshot(), "figures": figures}

    def _is_on(self, section: str) -> bool:
        return bool(self._configuration.get(f"{section}.metrics_enabled"))
