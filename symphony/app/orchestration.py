"""Joins the Conductor's decisions with what they are made from: policies, models, what was measured, this machine."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from conductor.needs import Means, Measured
from conductor.playing import (
    Decision,
    Experience,
    Failure,
    Step,
    Tries,
    after_failure,
    ahead,
    strategy_of,
    verdict_of,
)
from symphony.config import Configuration
from symphony.config.documents import Documents
from symphony.config.files import write_atomically
from symphony.config.home import Home
from symphony.config.orchestration import LocalModel, Models, Policies
from symphony.engine.figures import Figures
from symphony.engine.history import History
from symphony.engine.record import RunRecord
from symphony.errors import SymphonyError
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.templates import Template, Workflows

log = logging.getLogger(__name__)

Json = dict[str, Any]

LATEST = 500
"""Runs whose results are looked at for their quality."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a run says of its Players and models: the quality of what they made, and what they lost."""

    has_ended: bool
    made: tuple[tuple[str, float], ...]
    models: tuple[tuple[str, float], ...]
    lost: tuple[str, ...]

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        players = {node.id: node.player for node in record.info.nodes}
        asked = {
            node["id"]: str(node["params"]["model"])
            for node in record.melody.get("nodes", [])
            if isinstance((node.get("params") or {}).get("model"), str)
        }
        known = [(r.get("node"), float(r["quality"])) for r in record.results if r.get("quality") is not None]
        return cls(
            record.info.status != "running",
            tuple((players[node], quality) for node, quality in known if node in players),
            tuple((asked[node], quality) for node, quality in known if node in asked),
            tuple(asked[one.id] for one in record.info.nodes if one.status == "failed" and one.id in asked),
        )


class Rules:
    """`policies.yaml`, `models.yaml` and `workflows.yaml` of a home and of the projects that are worked on."""

    def __init__(self, home: Home, configuration: Configuration) -> None:
        self._policies = Documents("policies.yaml", Policies, home.path)
        self._models = Documents("models.yaml", Models, home.path)
        self._workflows = Documents("workflows.yaml", Workflows, home.path)
        self._configuration = configuration

    def policies(self, project: Path | None) -> Policies:
        """Raises InvalidConfig with the place of what is wrong."""
        return self._policies.get(project)

    def models(self) -> Models:
        """Raises InvalidConfig with the place of what is wrong."""
        return self._models.get()

    def local_models(self) -> Mapping[str, LocalModel]:
        """How long models of the host live, by name. Raises InvalidConfig."""
        return self._models.get().local

    def templates(self, project: Path | None) -> Mapping[str, Template]:
        """The templates by name, the same object while nothing changes. Raises InvalidConfig."""
        return self._workflows.get(project).templates

    def means(self, project: Path | None) -> Means:
        """What a composition may count on where nothing was measured yet. Raises InvalidConfig."""
        return Means(
            policies=self.policies(project),
            models=self.models(),
            node_timeout=self._configuration.get("engine.node_timeout"),
        )


class Orchestration:
    """What a composition may count on, and the decisions while a Melody plays: `PlayDecisions` of the engine.

    Args:
        rules: the documents.
        file: where it is kept what other tries brought.
        arbiter: `fairness()` of the arbiter: `{"resources": {name: {"free", "capacity"}}}`.
        figures: what nodes took in all runs.
        history: the runs, for the quality of what they made.
        room: how many more Players the pool may hold; 0 where it shall make nothing ready ahead.
    """

    def __init__(
        self,
        rules: Rules,
        file: Path,
        arbiter: Callable[[], Json],
        figures: Callable[[], Figures],
        history: History,
        room: Callable[[], int],
    ) -> None:
        self.rules = rules
        self.taken: dict[str, Decision] = {}
        """The strategy of each run that plays."""
        self._file = file
        self._arbiter = arbiter
        self._figures = figures
        self._history = history
        self._outcomes: dict[str, _Outcome] = {}
        self._room = room
        self._is_new = False
        self._trying: dict[tuple[str, str], tuple[str, str]] = {}

    # --- what other tries brought --------------------------------------------------------------
    @cached_property
    def _experience(self) -> Experience:
        """What earlier hosts have seen; what is damaged is learned anew."""
        experience = Experience()
        try:
            for player, code, made, helped in json.loads(self._file.read_text("utf-8")):
                experience.tries[str(player), str(code)] = Tries(int(made), int(helped))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be read, so it is learned anew: %s", self._file, error)
        return experience

    def _keep(self) -> None:
        rows = [[p, c, t.made, t.helped] for (p, c), t in sorted(self._experience.tries.items()) if t.made]
        try:
            write_atomically(self._file, json.dumps(rows).encode())
        except SymphonyError as error:
            log.warning("What other tries brought cannot be kept: %s", error)

    # --- composing ------------------------------------------------------------------------------
    def means(self, project: Path | None) -> Means:
        """What a composition may count on now. Raises InvalidConfig."""
        plain = self.rules.means(project)
        free, capacity = self._machine()
        quality, by_model = self._qualities()
        return Means(
            policies=plain.policies,
            models=plain.models,
            measured=_measured(self._figures().to_json()["by_player"], quality),
            by_model=by_model,
            node_timeout=plain.node_timeout,
            free=free,
            capacity=capacity,
        )

    def _machine(self) -> tuple[dict[str, float], dict[str, float]]:
        resources = self._arbiter()["resources"]
        free = {name: float(one["free"]) for name, one in resources.items()}
        return free, {name: float(one["capacity"]) for name, one in resources.items()}

    def _qualities(self) -> tuple[dict[str, float], dict[str, Measured]]:
        """The mean quality of what Players made, and how models fared, in the latest runs."""
        latest = self._history.ids(LATEST)
        new = [run for run in latest if run not in self._outcomes]
        outcomes = {run: self._outcomes[run] for run in latest if run in self._outcomes}
        for record in self._history.each(new):
            outcomes[record.info.id] = _Outcome.of(record)
        # One that plays is looked at again.
        self._outcomes = {run: one for run, one in outcomes.items() if one.has_ended}
        made: dict[str, list[float]] = {}
        models: dict[str, list[float]] = {}
        lost: dict[str, int] = {}
        for one in outcomes.values():
            for player, quality in one.made:
                made.setdefault(player, []).append(quality)
            for model, quality in one.models:
                models.setdefault(model, []).append(quality)
            for model in one.lost:
                lost[model] = lost.get(model, 0) + 1
        by_model = {
            name: Measured(
                runs=len(models.get(name, [])), failed=lost.get(name, 0), quality=_mean(models.get(name, []))
            )
            for name in {*models, *lost}
        }
        return {player: sum(found) / len(found) for player, found in made.items()}, by_model

    # --- playing --------------------------------------------------------------------------------
    def shape(self, plan: Json, project: str | None) -> list[str]:
        """See PlayDecisions."""
        plan["ask_failure"] = True
        _, capacity = self._machine()
        measured = self._figures().to_json()["by_player"]
        steps = [_step(node, measured.get(node["player"], {})) for node in plan["nodes"]]
        decision = strategy_of(steps, self._policies(project), capacity)
        self.taken[plan["run"]] = decision
        log.info("%s: %s", decision.value, decision.why, extra={"component": "conductor", "run": plan["run"]})
        if decision.value == "sequential":
            for node in plan["nodes"]:
                if not _is_control(node):
                    node["locks"] = [*node["locks"], {"path": f"run:{plan['run']}", "mode": "write"}]
        keys = {node["id"]: node["key"] for node in plan["nodes"]}
        return ahead(steps, keys, self._room())

    def after_failure(self, plan: Json, failure: Json) -> Json:
        """See PlayDecisions."""
        node = next(n for n in plan["nodes"] if n["id"] == failure["node"])
        seen = Failure(
            node["player"],
            str(failure["error"].get("code", "failed")),
            int(failure["attempt"]),
            has_fallback=node["fallback"] is not None,
            has_effects=bool(node["effects"]),
        )
        decision = after_failure(seen, self._policies(plan["project"]), self._experience)
        answer = verdict_of(decision)
        at = {"component": "conductor", "run": plan["run"], "node": node["id"]}
        log.info("after %s: %s, %s", seen.code, answer["action"], decision.why, extra=at)
        self._end_try(plan["run"], node["id"], helped=False)
        if answer["action"] == "retry" or (answer["action"] == "default" and _tries_again(node, seen)):
            self._trying[plan["run"], node["id"]] = seen.player, seen.code
        return answer

    def after_node(self, run: str, node: str, state: str) -> None:
        """See PlayDecisions."""
        if state in ("cancelled", "skipped"):
            self._trying.pop((run, node), None)
        else:
            self._end_try(run, node, helped=state == "succeeded")

    def follow(self, event: Json) -> None:
        """Forgets a run that has ended, and keeps what its tries brought."""
        if event.get("event") != "workflowComplete":
            return
        self.taken.pop(event["run"]["id"], None)
        self._outcomes.pop(event["run"]["id"], None)  # one that was resumed ends anew
        if self._is_new:
            self._is_new = False
            asyncio.get_running_loop().run_in_executor(None, self._keep)

    def _end_try(self, run: str, node: str, *, helped: bool) -> None:
        kind = self._trying.pop((run, node), None)
        if kind is not None:
            tries = self._experience.of(*kind)
            tries.made += 1
            tries.helped += helped
            self._is_new = True

    def _policies(self, project: str | None) -> Policies:
        """The policies, or the plain ones while a file cannot be read: what plays is not stopped by a slip in it."""
        try:
            return self.rules.policies(Path(project) if project else None)
        except SymphonyError as error:
            log.warning("%s", error, extra={"component": "conductor"})
            return Policies()


def _tries_again(node: Json, seen: Failure) -> bool:
    """Whether the plan itself has another try."""
    return bool(seen.attempt < node["retry"]["attempts"])


def _is_control(node: Json) -> bool:
    return str(node["player"]).startswith(f"{CONTROL}#")


def _step(node: Json, measured: Json) -> Step:
    after = [
        source["node"]
        for sources in node["inputs"].values()
        if isinstance(sources, list)
        for source in sources
    ]
    seconds = float(measured.get("average") or 0.0)
    busy = float((measured.get("cpu_seconds") or {}).get("average") or 0.0) / seconds if seconds else 0.0
    return Step(
        node["id"],
        node["player"],
        after,
        memory=0 if _is_control(node) else int(node["resources"]["memory"]),
        cpu=float(node["resources"]["cpu"]),
        busy=min(1.0, busy),
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _measured(figures: Mapping[str, Json], quality: Mapping[str, float]) -> dict[str, Measured]:
    """The figures of Players in the form of the Conductor."""
    found = {}
    for player, one in figures.items():
        seconds = float(one["average"])
        cpu = float(one["cpu_seconds"]["average"])
        found[player] = Measured(
            runs=int(one["nodes"]),
            failed=int(one["failed"]),
            seconds=seconds,
            slow=float(one["p99"]),
            memory=int(one["peak_memory"] or 0),
            cpu=cpu / seconds if seconds else 0.0,
            quality=quality.get(player),
        )
    return found
