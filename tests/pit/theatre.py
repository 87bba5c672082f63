"""A run loop with a real store and a real sandboxed Player, for the tests of this folder."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.stage.sandbox import player_spec

Json = dict[str, Any]
PLAYER = Path(__file__).with_name("player_for_tests.py")
LAUNCHER = Path(sys.executable).parent / "symphony-launcher"
PATIENCE = 60.0
MANIFEST = """
[extension]
name = "symphony/test"
version = "1.0.0"
type = "operator"
description = "For tests"
license = "MIT"
runtime = "python"
entry = "player.py"
"""


class Theatre:
    """One host's Pit. `events` keeps everything drained."""

    def __init__(self, home: Path, *, cpu: float = 8.0, threads: int = 2, **runtime: Any) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.store = ArtifactStore(str(home / "store"))
        self.stale = StaleManager({})
        self.arbiter = ArbitrationEngine({"cpu": cpu, "memory": float(8 << 30), "gpu": 0.0})
        self.runtime = Runtime(
            self.store,
            self.stale,
            self.arbiter,
            launcher=str(LAUNCHER),
            sockets=str(home),
            threads=threads,
            **runtime,
        )
        self.events: list[Json] = []
        self.answers: dict[str, Callable[[Json], Any]] = {}

    def close(self) -> None:
        """Ends the host in order."""
        self.runtime.stop(5.0)
        self.store.close()

    def register(self, key: str = "test", entry: Path = PLAYER, **launch: Any) -> None:
        """Makes the Player of the tests known."""
        folder = self.home / f"extension-{key}"
        folder.mkdir(exist_ok=True)
        (folder / "player.py").write_text(entry.read_text())
        (folder / "Symphony.toml").write_text(MANIFEST)
        spec = player_spec([], extension_dir=folder, memory=256 << 20)
        body = {"extension": "symphony/test", "version": "1.0.0", "spec": spec, "start_timeout": 30.0}
        self.runtime.register_player(key, {**body, **launch})

    def until(self, wanted: Callable[[Json], bool], start: int = 0) -> Json:
        """The first event from `start` on that is wanted; answers questions on the way."""
        deadline = time.monotonic() + PATIENCE
        at = start
        while True:
            while at < len(self.events):
                event = self.events[at]
                at += 1
                if wanted(event):
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain; {self.events[-20:]}"
            if select.select([self.runtime.fileno()], [], [], left)[0]:
                for event in self.runtime.drain():
                    self.events.append(event)
                    answer = self.answers.get(event["event"])
                    if answer is not None:
                        answer(event)

    def play(self, plan: Json) -> Json:
        """Starts a run and waits for its end: its last `run` event."""
        start = len(self.events)
        self.runtime.start(plan)
        return self.end(plan["run"], start)

    def end(self, run: str, start: int = 0) -> Json:
        """The event with which a run ended."""
        return self.until(
            lambda e: e["event"] == "run" and e["run"] == run and e["state"] != "running", start
        )

    def nodes(self, run: str) -> dict[str, Json]:
        """The last event of each node."""
        return {e["node"]: e for e in self.events if e["event"] == "node" and e["run"] == run}

    def plan(self, nodes: list[Json], edges: list[Json] | None = None, run: str = "run") -> Json:
        """A plan whose folder is in the home."""
        return {
            "run": run,
            "dir": str(self.home / "runs" / run),
            "name": "test",
            "project": None,
            "nodes": nodes,
            "edges": edges or [],
            "meta": {"project": "", "prompt": "do it"},
        }


def node(name: str, function: str, *, outputs: Json | None = None, **more: Any) -> Json:
    """A node that calls a function of the test Player."""
    inputs = {
        port: [source] if isinstance(source, dict) and "node" in source else source
        for port, source in more.pop("inputs", {}).items()
    }
    return {
        "id": name,
        "kind": "operator",
        "key": "test",
        "player": f"symphony/test#{function}",
        "function": function,
        "params": more.pop("params", {}),
        "inputs": inputs,
        "outputs": {"value": "json"} if outputs is None else outputs,
        "timeout": 30.0,
        "retry": {"attempts": 1, "backoff": "none", "delay": 0.0},
        "resources": {"cpu": 1.0, "memory": 1 << 20},
        **more,
    }


def source(name: str, port: str = "value") -> Json:
    """Where an input comes from."""
    return {"node": name, "port": port}
