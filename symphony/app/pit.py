"""The Pit as components of the bootstrap: its five modules side by side, and the bus that Players connect to."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.app.habits import Habits
from symphony.app.limits import graphics_share
from symphony.app.parts import Part, nothing
from symphony.app.store_keys import StoreKeys
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.engine.plan import MODEL_SLOTS, PLACES
from symphony.errors import EnvironmentLacks
from symphony.ports.component import Status
from symphony.tiers.settings import policy
from symphony.types.port_types import TypeLattice

LOADED = ("ready", "active")
"""States of the Pool Manager's entries that can be used at once."""

Health = tuple[Status, str, str]

_BUS = ("frame", "payload", "depth", "values", "rate", "requests", "unanswered", "buffer_size")
"""The settings `stage.bus` that the bus takes as they stand."""


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
        self._habits: Habits = _unstarted()
        self.counts_nodes = False
        """Whether the arbiter hands out places for nodes, as `engine.max_parallel` says."""
        store = Part("artifact store", self._open_store, self._close_store, self._store_health)
        arbiter = Part("arbitration engine", self._open_arbiter, nothing, self._arbiter_health)
        stale = Part("stale manager", self._open_stale, nothing, self._stale_health)

        async def others() -> None:
            await asyncio.gather(*(part.opened.wait() for part in (store, arbiter, stale)))

        dag = Part("dag tracker", self._open_runtime, self._close_runtime, self._runtime_health, others)
        pool = Part("pool manager", nothing, nothing, self._pool_health, dag.opened.wait)
        self.modules = [pool, dag, store, arbiter, stale]
        """They start side by side. DAG Tracker and Pool Manager live in the run loop, which begins as soon
        as the three that it works with are there."""
        self.bus = Part("stage bus", self._open_bus, nothing, self._bus_health)
        """Where Players connect: each gets a socket of its own in here."""

    def register_artifacts(self) -> None:
        """Tells the Stale Manager of everything that was kept by earlier hosts."""
        # Where those are whose bytes are away, the first plan finds out.
        self.stale.register_all(self.store, {}, share=1.0)

    def declare_types(self, declarations: Iterable[Mapping[str, Iterable[str]]]) -> None:
        """Has outputs held against what extensions declare of their types; of two declarations the first counts."""
        lattice = TypeLattice()
        for declared in declarations:
            lattice.declare(declared)
        self.runtime.declare_types([(name, list(above)) for name, above in lattice.direct().items()])

    def player_states(self) -> dict[str, Any]:
        """The Pool Manager's entries that are Players."""
        return dict(self.runtime.player_states())

    def model_states(self) -> dict[str, Any]:
        """Those of them that are local models."""
        return dict(self.runtime.model_states())

    def pool_figures(self) -> dict[str, Any]:
        """The Pool Manager's numbers, and the shares that follow: of calls that found their Player warm, and of
        Players that were expected among those that prompts used; None before the first.
        """
        figures = dict(self.runtime.stats()["players"])
        calls, foreseen = figures["allocations"], figures["predicted_hits"]
        used = foreseen + figures["predicted_misses"]
        figures["warm_share"] = max(0.0, 1 - figures["waits"] / calls) if calls else None
        figures["predicted_share"] = foreseen / used if used else None
        return figures

    def expected_extensions(self) -> list[str]:
        """Extensions whose Players should be warm now, the likeliest first."""
        if not self._configuration.get("pit.pool.predict"):
            return []
        return list(dict.fromkeys(key.partition("@")[0] for key, _ in self.runtime.wanted()))

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
        get = self._configuration.get
        keys = StoreKeys(self._home, get("pit.store.encryption"), get("pit.store.passphrase_file"))
        self.store = keys.open()
        keys.reencrypt(self.store)

    def _close_store(self) -> None:
        self.store.close()

    def _store_health(self) -> Health:
        stats = self.store.stats()
        sealed = ", encrypted" if self.store.encryption()["is_on"] else ""
        return "ok", f"{stats.get('artifacts', 0)} artifacts{sealed}", ""

    # --- arbitration engine ----------------------------------------------------------------------
    def _open_arbiter(self) -> None:
        get = self._configuration.get
        capacities = {name: get(f"pit.arbitration.{name}") for name in ("cpu", "memory")}
        capacities["gpu"] = graphics_share(self._configuration)
        capacities[MODEL_SLOTS] = float(get("pit.arbitration.model_slots"))
        most = get("engine.max_parallel")
        if most:
            capacities[PLACES] = float(most)
            self.counts_nodes = True
        self.arbiter = ArbitrationEngine(capacities, strategy=get("pit.arbitration.strategy"))

    def choose(self, strategy: str) -> None:
        """Lets the arbitration engine choose by another strategy from now on, among those that wait, too."""
        self.arbiter.set_strategy(strategy)

    def _arbiter_health(self) -> Health:
        state = self.arbiter.fairness()
        cpu = state["resources"]["cpu"]
        words = f"{cpu['free']:g} of {cpu['capacity']:g} cores free, {state['waiting']} waiting"
        waits = self.arbiter.explain()
        if waits:
            words += f"; {waits[0]['label']} {waits[0]['text']}"
        return "ok", words, ""

    # --- stale manager ---------------------------------------------------------------------------
    def _open_stale(self) -> None:
        self.stale = StaleManager(policy(self._configuration.get))

    def take_policy(self) -> None:
        """Plans by the settings of now. Raises InvalidConfig for those that make no sense."""
        stale = StaleManager(policy(self._configuration.get))
        stale.register_all(self.store, {}, share=1.0)
        self.stale = stale

    def _stale_health(self) -> Health:
        return "ok", f"{len(self.stale.plan(time.time()))} artifacts are due", ""

    # --- stage bus ---------------------------------------------------------------------------------
    def _open_bus(self) -> None:
        if not self._launcher.exists():
            raise EnvironmentLacks(
                f"The sandbox launcher {self._launcher} is missing", remedy="run `make build`"
            )
        self._home.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._home.sockets.glob(
            "*.sock"
        ):  # of a host that was killed: this one has the home's lock
            left.unlink(missing_ok=True)

    def _bus_health(self) -> Health:
        if not os.access(self._home.sockets, os.W_OK):
            return "failed", f"{self._home.sockets} cannot be written", "restart the host"
        sessions = sum(s["pid"] is not None for s in self.runtime.player_states().values())
        return "ok", f"{sessions} Players connected", ""

    # --- run loop: DAG Tracker and Pool Manager ------------------------------------------------------
    def _open_runtime(self) -> None:
        self.runtime = Runtime(
            self.store,
            self.stale,
            self.arbiter,
            launcher=str(self._launcher),
            sockets=str(self._home.sockets),
            capacity=self._configuration.get("pit.pool.capacity"),
            memory=self._configuration.get("pit.pool.memory"),
            predict=self._configuration.get("pit.pool.predict"),
            log={
                "folder": str(self._home.logs),
                "level": self._configuration.get("logging.level"),
                "max_bytes": self._configuration.get("logging.max_bytes"),
                "backups": self._configuration.get("logging.backups"),
            },
            bus={name: self._configuration.get(f"stage.bus.{name}") for name in _BUS},
        )
        self._habits = Habits(self._home.path / "habits", self.runtime)
        self._habits.open()

    def _close_runtime(self) -> None:
        self._habits.close()
        self.runtime.stop(5.0)

    def _runtime_health(self) -> Health:
        return "ok", f"{self.runtime.stats()['playing']} runs play", ""

    def _pool_health(self) -> Health:
        states = self.runtime.player_states().values()
        ready = sum(s["state"] in LOADED for s in states)
        words = f"{ready} of {len(states)} Players ready"
        for model, known in self.model_states().items():
            size = f", {known['memory'] / 2**20:.0f} MiB" if known["state"] in LOADED else ""
            words += f"; {model} {known['state']}{size}"
        given_up = [f"{s['extension']}: {s['reason']}" for s in states if s["given_up"]]
        if given_up:
            return "degraded", f"{words}; given up: {'; '.join(given_up)}", "see `symphony logs`"
        if self._habits.trouble:
            return "degraded", f"{words}; {self._habits.trouble}", "nothing, unless it happens again"
        return "ok", words, ""


def _unstarted() -> Any:
    return _Unstarted()


class _Unstarted:
    def __getattr__(self, name: str) -> Any:
        raise EnvironmentLacks(f"The host has not started, so {name} cannot be used", remedy="start it first")
