"""The Pit as components of the bootstrap: store, arbiter and stale manager side by side, then the run loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.engine.plan import PLACES
from symphony.errors import EnvironmentLacks
from symphony.ports.component import HealthStatus, Status


class Pit:
    """The five native modules. `store`, `stale`, `arbiter` and `runtime` are there once their phase is over."""

    def __init__(self, home: Home, configuration: Configuration, launcher: Path) -> None:
        self._home = home
        self._configuration = configuration
        self._launcher = launcher
        self.store: ArtifactStore = _unstarted()
        self.stale: StaleManager = _unstarted()
        self.arbiter: ArbitrationEngine = _unstarted()
        self.runtime: Runtime = _unstarted()
        self.counts_nodes = False
        """Whether the arbiter hands out places for nodes, as `engine.max_parallel` says."""
        self.components = [
            PitModule("artifact store", self._open_store, self._close_store, self._store_health),
            PitModule("arbitration engine", self._open_arbiter, _nothing, self._arbiter_health),
            PitModule("stale manager", self._open_stale, _nothing, self._stale_health),
        ]
        self.run_loop = PitModule("run loop", self._open_runtime, self._close_runtime, self._runtime_health)
        """The Pool Manager and the DAG Tracker live in here; it needs the other three."""

    def register_artifacts(self) -> None:
        """Tells the Stale Manager of everything that was kept by earlier hosts."""
        for artifact in self.store.list(limit=1_000_000):
            self.stale.register(artifact["id"], artifact["bytes"], artifact["created"], artifact["quality"])

    def player_states(self) -> dict[str, Any]:
        """The Pool Manager's entries."""
        return dict(self.runtime.player_states())

    def resources(self) -> dict[str, Any]:
        """What the Arbitration Engine has granted of each resource."""
        amounts = self.arbiter.fairness()["resources"]
        return {
            name: {"used": amount["capacity"] - amount["free"], "total": amount["capacity"]}
            for name, amount in amounts.items()
            if amount["capacity"]
        }

    # --- artifact store --------------------------------------------------------------------------
    def _open_store(self) -> None:
        self.store = ArtifactStore(str(self._home.store))

    def _close_store(self) -> None:
        self.store.close()

    def _store_health(self) -> tuple[Status, str]:
        stats = self.store.stats()
        return "ok", f"{stats.get('artifacts', 0)} artifacts"

    # --- arbitration engine ----------------------------------------------------------------------
    def _open_arbiter(self) -> None:
        get = self._configuration.get
        capacities = {"cpu": get("pit.arbitration.cpu"), "memory": get("pit.arbitration.memory"), "gpu": 0}
        most = get("engine.max_parallel")
        if most:
            capacities[PLACES] = float(most)
            self.counts_nodes = True
        self.arbiter = ArbitrationEngine(capacities)

    def _arbiter_health(self) -> tuple[Status, str]:
        self.arbiter.fairness()
        return "ok", ""

    # --- stale manager ---------------------------------------------------------------------------
    def _open_stale(self) -> None:
        get = self._configuration.get
        self.stale = StaleManager(
            {
                "active_days": get("pit.stale.active_days"),
                "archive_days": get("pit.stale.archive_days"),
                "delete_days": get("pit.stale.delete_days") or None,
            }
        )

    def _stale_health(self) -> tuple[Status, str]:
        self.stale.plan(time.time())
        return "ok", ""

    # --- run loop ----------------------------------------------------------------------------------
    def _open_runtime(self) -> None:
        if not self._launcher.exists():
            raise EnvironmentLacks(
                f"The sandbox launcher {self._launcher} is missing", remedy="run `make build`"
            )
        self._home.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.runtime = Runtime(
            self.store,
            self.stale,
            self.arbiter,
            launcher=str(self._launcher),
            sockets=str(self._home.sockets),
            capacity=self._configuration.get("pit.pool.capacity"),
        )

    def _close_runtime(self) -> None:
        self.runtime.stop(5.0)

    def _runtime_health(self) -> tuple[Status, str]:
        states = self.runtime.player_states().values()
        ready = sum(s["state"] in ("ready", "active") for s in states)
        return "ok", f"{ready} Players ready"


class PitModule:
    """A native module under the bootstrap; what it does may block, so it runs in a thread."""

    def __init__(
        self,
        name: str,
        opening: Callable[[], None],
        closing: Callable[[], None],
        looking: Callable[[], tuple[Status, str]],
    ) -> None:
        self.name = name
        self._opening = opening
        self._closing = closing
        self._looking = looking

    async def start(self) -> None:
        """Opens the module."""
        await asyncio.to_thread(self._opening)

    async def stop(self) -> None:
        """Closes it."""
        await asyncio.to_thread(self._closing)

    async def health_check(self) -> HealthStatus:
        """Asks the module something that it can only answer when it works."""
        status, detail = await asyncio.to_thread(self._looking)
        return HealthStatus(self.name, status, detail, "")


def _nothing() -> None:
    """These modules hold nothing that must be closed."""


def _unstarted() -> Any:
    return _Unstarted()


class _Unstarted:
    def __getattr__(self, name: str) -> Any:
        raise EnvironmentLacks(f"The host has not started, so {name} cannot be used", remedy="start it first")
