"""Methods about runs: starting, watching, stopping, resuming."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from symphony.app.nested import all_nodes
from symphony.app.services import Services
from symphony.engine.figures import Figures
from symphony.engine.record import RunRecord
from symphony.errors import BadInput, PermissionDenied
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.formats import from_document
from symphony.melody.model import Node
from symphony.stage.permissions import Grants
from symphony.types.port_types import PROJECT

Json = dict[str, Any]


class RunMethods:
    """What plays now and what was played."""

    services: Services

    async def execute_melody(
        self,
        melody: str | Json,
        *,
        project: str | None = None,
        prompt: str = "",
        agreed: bool = False,
        resume: str | None = None,
    ) -> Json:
        """Starts a run, or goes on with `resume` under an edited Melody."""
        services = self.services
        parsed, from_prompt = await services.repertoire.playable(melody)
        nodes = await asyncio.to_thread(all_nodes, parsed, services.melodies.show)
        questions = self._ask_first(nodes, () if not agreed else None)
        place = services.project(project)
        self._needs_project(nodes, place)
        catalogue = services.catalogue()
        if resume is not None:
            record = services.history.get(resume)
            await self._prepare(record)
            record.agreed = questions
            run = services.engine.resume(record, parsed, catalogue.players, catalogue.lattice)
        else:
            run = services.engine.play(
                parsed,
                catalogue.players,
                catalogue.lattice,
                project=place,
                prompt=prompt or from_prompt,
                agreed=questions,
            )
        services.learning.begun(run, parsed.to_document())
        word = "Played" if resume is None else "Went on with"
        services.actions.note("run", run, f"{word} {parsed.name}")
        return {"run": run}

    async def list_runs(self, limit: int = 50) -> Json:
        """The newest runs first."""
        return {"runs": [record.info.to_json() for record in self.services.history.newest(limit)]}

    async def get_run(self, run: str) -> Json:
        """One run with its Melody and results."""
        record = self.services.history.get(run)
        waiting = self.services.engine.control.questions(record.info.id)
        asked = {node["id"]: (node.get("params") or {}).get("message") for node in record.melody["nodes"]}
        questions = [{"node": node, "message": asked.get(node) or ""} for node in waiting]
        changes = await self.services.changes.listed(record.info.id)
        return {**record.to_json(), "questions": questions, "changes": changes}

    async def cancel_run(self, run: str) -> Json:
        """Stops a run in order."""
        record = self.services.history.get(run)
        if record.info.status != "running":
            raise BadInput(f"The run {record.info.id} does not play; it is {record.info.status}")
        self.services.actions.note("run", record.info.id, f"Cancelled {record.info.name}")
        self.services.engine.cancel(record.info.id)
        await self.services.engine.ended(record.info.id)
        return {"run": record.info.id}

    async def resume_run(self, run: str, *, agreed: bool = False) -> Json:
        """Goes on with a run that did not end well. Asks again for what was not agreed to when it was
        started, such as a program that a saved melody runs by now.
        """
        services = self.services
        record = services.history.get(run)
        catalogue = services.catalogue()
        melody = from_document(record.melody)
        nodes = await asyncio.to_thread(all_nodes, melody, services.melodies.show)
        record.agreed = self._ask_first(nodes, record.agreed if not agreed else None)
        await self._prepare(record)
        resumed = services.engine.resume(record, melody, catalogue.players, catalogue.lattice)
        services.actions.note("run", resumed, f"Went on with {melody.name}")
        return {"run": resumed}

    async def _prepare(self, record: RunRecord) -> None:
        info = record.info
        if info.id in self.services.engine.playing():
            return  # it will be refused
        unfinished = [node.id for node in info.nodes if node.status != "succeeded"]
        project = Path(info.project) if info.project else None
        await self.services.trees.prepare(info.id, project, unfinished)

    async def answer(self, run: str, node: str, approved: bool, comment: str = "") -> Json:
        """A person's answer to an `approve` node."""
        record = self.services.history.get(run)
        self.services.engine.control.answer(record.info.id, node, approved, comment)
        word = "Approved" if approved else "Refused"
        self.services.actions.note("run", record.info.id, f"{word} {node} of {record.info.name}")
        return {"run": record.info.id, "node": node}

    def watch(self, run: str | None = None) -> AsyncIterator[Json]:
        """Events of one run or of everything."""
        if run is not None:
            run = self.services.history.get(run).info.id
        return self.services.hub.watch(run)

    async def task_logs(self, run: str, node: str | None = None, limit: int = 500) -> Json:
        """The log of a run or of one of its nodes."""
        from symphony.telemetry import read_logs

        whole = self.services.history.get(run).info.id
        await asyncio.to_thread(self.services.pit.runtime.flush_log)
        logs = await asyncio.to_thread(
            lambda: list(read_logs(self.services.home, run=whole, node=node, limit=limit))
        )
        return {"logs": logs}

    async def metrics(self, run: str | None = None) -> Json:
        """What the nodes of one run took, or those of all runs: throughput, times (seconds), CPU, memory."""
        engine, pit = self.services.engine, self.services.pit
        figures = Figures([self.services.history.get(run).info]) if run else engine.figures
        return {
            **figures.to_json(),
            "components": self.services.meters.snapshot(),
            "players": pit.player_states(),
            "models": pit.model_states(),
            "resources": pit.resources(),
        }

    def _ask_first(self, nodes: list[tuple[str, Node]], agreed: Sequence[str] | None) -> list[str]:
        """A Player that may start any program asks before each play. `agreed` is what was agreed to before,
        None for everything; answers all that there was to agree to.
        """
        questions = []
        for place, node in nodes:
            if node.extension == CONTROL:
                continue
            member = self.services.roster.member(node.extension)
            if "exec:*" in Grants(member.granted):
                command = node.params.get("command")
                shown = shlex.join(map(str, command)) if isinstance(command, list) else "a program"
                questions.append({"node": place, "message": f"{member.name} wants to run: {shown}"})
        asked = [f"{question['node']}: {question['message']}" for question in questions]
        if agreed is not None and not set(asked) <= set(agreed):
            raise PermissionDenied(
                "This Melody runs programs of your choice in the sandbox",
                code="consent_needed",
                remedy="agree to it first",
                findings=questions,
            )
        return asked

    def _needs_project(self, nodes: list[tuple[str, Node]], project: Path | None) -> None:
        players = self.services.catalogue().players
        for place, node in nodes:
            spec = players.get(node.player_name)
            wants = spec is not None and any(
                kind == PROJECT and port not in spec.optional for port, kind in spec.inputs.items()
            )
            if project is None and wants:
                raise BadInput(
                    f"Node {place} works on a project, and none is open",
                    remedy="open a folder or give --project",
                )
