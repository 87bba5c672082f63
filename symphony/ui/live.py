"""Events of runs on their way to the page: gathered, so that many changes of a node travel as one."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.ui.state import Json

Notification = tuple[str, dict[str, Any]]


class Feed:
    """What one connection has yet to be told of the runs that it watches.

    `taskProgress` keeps only the latest state of each node; `metricsUpdate` only the latest of each run.
    Errors and ends are all kept, in order.
    """

    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.waiting = asyncio.Event()
        self._nodes: dict[str, dict[str, Json]] = {}
        self._metrics: dict[str, Json] = {}
        self._rest: list[Notification] = []

    def push(self, event: Json) -> None:
        """Takes an event of the host; events of runs that are not watched are dropped."""
        kind, run = event.get("event"), event.get("run")
        run_id = run.get("id") if isinstance(run, dict) else run
        if run_id not in self.runs or not isinstance(run_id, str):
            return
        body = {name: value for name, value in event.items() if name != "event"}
        if kind == "taskProgress":
            node = event["node"]
            self._nodes.setdefault(run_id, {})[node["id"]] = node
        elif kind == "metricsUpdate":
            self._metrics[run_id] = body
        elif kind in ("taskError", "workflowComplete"):
            self._rest.append((kind, body))
        else:
            return
        self.waiting.set()

    def drain(self) -> list[Notification]:
        """What is to be sent now: states first, so that an end finds them all."""
        self.waiting.clear()
        out: list[Notification] = [
            ("taskProgress", {"run": run, "nodes": list(nodes.values())})
            for run, nodes in self._nodes.items()
        ]
        out += [("metricsUpdate", body) for body in self._metrics.values()]
        out += self._rest
        self._nodes, self._metrics, self._rest = {}, {}, []
        return out
