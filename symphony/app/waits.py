"""What ready nodes wait for, in the arbiter's words: looked up when it may have changed, told as a node's change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from symphony.engine.record import RunRecord
from symphony.engine.telling import Emit
from symphony.melody.control import EXTENSION as CONTROL

Json = dict[str, Any]

LOOK_AFTER = 0.1
"""Seconds. A wait that nobody would notice is not told."""
SHARE = 0.02
"""The share of the host's time that looking may take: many waits are looked at less often."""
MOST = 256
"""Requests that are explained at a time, the oldest first; the others wait for their turn."""


class Waits:
    """Follows the engine's events. `explain` answers at most so many waits, as `ArbitrationEngine.explain`;
    `record` finds a run that plays. Belongs to the host's loop.
    """

    def __init__(
        self, explain: Callable[[int], list[Json]], record: Callable[[str], RunRecord], emit: Emit
    ) -> None:
        self._explain = explain
        self._record = record
        self._emit = emit
        self._candidates: set[tuple[str, str]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pause = LOOK_AFTER

    def follow(self, event: Json) -> None:
        """Any change of a node may change what others wait for."""
        if event["event"] == "workflowComplete":
            run = event["run"]["id"]
            self._candidates = {place for place in self._candidates if place[0] != run}
        elif event["event"] == "taskProgress":
            place = (event["run"], event["node"]["id"])
            if _may_wait(event["node"]):
                self._candidates.add(place)
            else:
                self._candidates.discard(place)
            if self._candidates and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._pause, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._candidates:
            return
        began = time.perf_counter()
        words: dict[tuple[str, str], str] = {}
        for wait in self._explain(MOST):
            run, _, inner = wait["owner"].partition("/")
            if inner:  # a nested run: its node of the run that people see waits
                words.setdefault((run, inner.partition("/")[0]), f"{wait['label']} {wait['text']}")
            else:
                words[run, wait["label"]] = wait["text"]
        for run, node_id in list(self._candidates):
            node = self._record(run).node(node_id)
            found = words.get((run, node_id), "")
            if node.waits_for != found:
                node.waits_for = found
                self._emit({"event": "taskProgress", "run": run, "node": node.to_json()})
        self._pause = max(LOOK_AFTER, (time.perf_counter() - began) / SHARE)


def _may_wait(node: Json) -> bool:
    """Whether it is ready, or plays others that may be."""
    if node["status"] == "ready":
        return True
    return node["status"] == "running" and str(node["player"]).startswith(f"{CONTROL}#")
