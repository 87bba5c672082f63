"""Methods about melodies: composing, validating, keeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from symphony.app.learning.service import MARK
from symphony.app.offline import composition_json
from symphony.app.project import ProjectView, look_at
from symphony.app.proposing import is_wanted, propose
from symphony.app.services import Services
from symphony.errors import NotPossible
from symphony.melody.formats import from_document

if TYPE_CHECKING:
    from conductor import Composition

Json = dict[str, Any]

WHY = "why"
"""Under which the metadata of a Melody say why its steps are there, by node."""


EXAMPLES = 4
"""How many ways to ask for a Player are told with it: those that its manifest names first."""


class MelodyMethods:
    """Drafts live in memory until they are saved or played; saved melodies in the Polyphony Store."""

    services: Services

    async def submit_prompt(
        self, prompt: str, project: str | None = None, answers: Mapping[str, str] | None = None
    ) -> Json:
        """Composes a Melody and keeps it as a draft. `answers` as of `HostPort.submit_prompt`."""
        work = partial(self.services.planner.compose, answers=answers)
        return await self._composed(work, prompt, project, is_new=True)

    async def revise_melody(self, melody: str | Json, prompt: str, project: str | None = None) -> Json:
        """Changes a draft or a document as the prompt wants it; what was there stays a draft, too."""
        document = await self.get_melody(melody) if isinstance(melody, str) else melody
        from_document(document)
        before = str((document.get("metadata") or {}).get(MARK, ""))
        return await self._composed(partial(self.services.planner.revise, document), prompt, project, before)

    async def _composed(
        self,
        work: Callable[[str, ProjectView | None], Composition],
        prompt: str,
        project: str | None,
        corrects: str = "",
        *,
        is_new: bool = False,
    ) -> Json:
        """The answer of a composition that the planner makes in a thread; its Melody is kept as a draft.

        `corrects` is the mark of the composition that this one changes; of a new one the language model may
        propose another, where the user allows that.
        """
        services = self.services
        if not services.configuration.get("conductor.enabled"):
            raise NotPossible(
                "The Conductor is switched off (conductor.enabled is false)",
                remedy="run `symphony config set conductor.enabled true`, or play a saved Melody",
            )
        place = services.project(project)
        view = services.view
        if place is not None and (view is None or view.path != place):
            view = await asyncio.to_thread(look_at, place)
        with services.meters.timed("conductor", "compose"):
            composition = await asyncio.to_thread(work, prompt, view)
        await asyncio.to_thread(services.learning.composed, prompt, composition, corrects)
        answer = composition_json(composition, services.configuration.get("conductor.confidence"))
        if is_new and is_wanted(services.configuration, answer):
            answer = await propose(services.configuration, services.planner.offer, prompt, view) or answer
        if answer["possible"]:
            _explain(answer)
            answer["draft"] = services.repertoire.keep_draft(answer["melody"], prompt)
        return answer

    async def validate_melody(self, melody: Json) -> Json:
        """Every finding at once."""
        findings = self.services.repertoire.findings(from_document(melody))
        return {"valid": not any(f["severity"] == "error" for f in findings), "findings": findings}

    async def save_melody(self, melody: str | Json, name: str, description: str = "") -> Json:
        """Puts a draft or a document into the Polyphony Store under a name."""
        document = await self.get_melody(melody) if isinstance(melody, str) else melody
        parsed = from_document(
            {**document, "name": name, "description": description or document.get("description", "")}
        )
        melodies = self.services.melodies
        before = await asyncio.to_thread(melodies.kept, name) or await asyncio.to_thread(
            melodies.kept, parsed.id or ""
        )
        said = f"{'Changed' if before else 'Saved'} the Melody {name}"
        async with self.services.actions.record("melody", before.get("id", ""), said) as doing:
            saved = await asyncio.to_thread(melodies.save, parsed)
            doing.subject = saved.id or ""
        self.services.hub.emit({"event": "melodies"})
        return {"id": saved.id, "name": saved.name, "version": saved.version}

    async def list_melodies(self, query: str = "") -> Json:
        """Saved melodies, all or those that match."""
        store = self.services.melodies
        rows = await asyncio.to_thread(store.search, query) if query else await asyncio.to_thread(store.list)
        return {"melodies": [row if isinstance(row, dict) else row.to_json() for row in rows]}

    async def get_melody(self, melody: str) -> Json:
        """A draft or a saved Melody as a document."""
        return await self.services.repertoire.document(melody)

    async def delete_melody(self, melody: str) -> Json:
        """Removes a saved Melody."""
        melodies = self.services.melodies
        found = await asyncio.to_thread(melodies.show, melody)
        said = f"Deleted the Melody {found.name}"
        async with self.services.actions.record("melody", found.id or "", said):
            await asyncio.to_thread(melodies.delete, found.id or "")
        self.services.hub.emit({"event": "melodies"})
        return {"deleted": melody}

    async def available_nodes(self) -> Json:
        """Every Player that a Melody can call now."""
        return {
            "nodes": [
                {
                    "player": spec.player,
                    "kind": spec.kind,
                    "description": spec.description,
                    "inputs": dict(spec.inputs),
                    "outputs": dict(spec.outputs),
                    "optional": sorted(spec.optional),
                    "examples": list(spec.examples[:EXAMPLES]),
                    "params": {
                        name: {
                            "type": p.type,
                            "description": p.description,
                            "default": p.default,
                            "required": p.required,
                            "choices": list(p.choices),
                        }
                        for name, p in spec.params.items()
                    },
                }
                for spec in self.services.catalogue().players.values()
            ]
        }


def _explain(answer: Json) -> None:
    """Writes into the Melody why each of its steps is there, so that its runs can tell."""
    melody = answer["melody"]
    metadata = melody.get("metadata") or {}
    said = {**(metadata.get(WHY) or {}), **{one["node"]: one["why"] for one in answer["explanations"]}}
    there = {node["id"] for node in melody["nodes"]}
    melody["metadata"] = {**metadata, WHY: {node: why for node, why in said.items() if node in there}}
