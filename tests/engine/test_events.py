"""Whoever waits for the run loop is woken by all that it tells."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager


def test_a_state_alone_wakes_who_waits(tmp_path: Path) -> None:
    """A question wakes at once; a state may be told a moment later, with others, but is never left lying."""
    store = ArtifactStore(str(tmp_path / "store"))
    arbiter = ArbitrationEngine({"cpu": 1.0})
    runtime = Runtime(store, StaleManager({}), arbiter, launcher="none is started", sockets=str(tmp_path))

    def told() -> list[dict[str, Any]]:
        readable, _, _ = select.select([runtime.fileno()], [], [], 30)
        assert readable, "nobody was woken"
        return runtime.drain()

    node = {"id": "ask", "kind": "control", "player": "symphony/control#approve", "inputs": {}, "outputs": {}}
    runtime.start({"run": "r", "dir": "", "nodes": [node], "edges": []})
    events: list[dict[str, Any]] = []
    while not events or events[-1]["event"] != "control":
        events += told()
    assert runtime.decide(events[-1]["token"], {"waiting": True})
    assert [(event["event"], event["state"]) for event in told()] == [("node", "waiting")]
    runtime.stop()
    store.close()
