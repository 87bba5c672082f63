"""Proposes a template of `workflows.yaml` where the whole prompt asks for it more clearly than for any Player."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conductor.assignment import scope_of
from conductor.context import Composition
from conductor.document import value_text
from conductor.episode import Episode
from conductor.params.fill import fill
from conductor.retrieval import Catalogue, Embed
from symphony.melody.templates import Template
from symphony.melody.validation import validate

FITS = 0.75
"""From this score on a template is what the prompt asks for, if no Player comes closer."""


class Shelf:
    """The templates, with the vectors of their texts.

    Args:
        templates: by name.
        embed, cache_dir, encoder_version: as of `Catalogue`.
    """

    def __init__(
        self,
        templates: Mapping[str, Template],
        embed: Embed | None,
        cache_dir: Path | None,
        encoder_version: str,
    ) -> None:
        self._templates = dict(templates)
        specs = [template.spec(name) for name, template in self._templates.items()]
        self._catalogue = Catalogue(specs, embed, cache_dir=cache_dir, encoder_version=encoder_version)

    def propose(self, episode: Episode) -> Composition | None:
        """A template's Melody for the prompt; None when none is meant, lacks a value, or would not be valid."""
        if not self._templates:
            return None
        vectors = episode.vectors[:1] if episode.vectors is not None else None
        scores = self._catalogue.scores(episode.texts[:1], vectors)[0]
        best = int(scores.argmax())
        closest = max(float(episode.whole[episode.usable].max(initial=0.0)), FITS)
        if scores[best] < closest:
            return None
        name = list(self._templates)[best]
        filled = fill(self._catalogue.functions[best], scope_of(episode))
        if filled.missing:
            return None
        melody = self._templates[name].melody(name, filled.params)
        known = {s.player: s for s in episode.table.functions if s.available}
        if any(f.severity == "error" for f in validate(melody, known, episode.table.typing.lattice)):
            return None
        return Composition(
            True, *self._told(episode, name, melody.to_document(), filled.params, float(scores[best]))
        )

    def _told(
        self, episode: Episode, name: str, document: dict[str, Any], params: Mapping[str, Any], score: float
    ) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
        document["metadata"] = {"author": "conductor", "template": name}
        document["description"] = " ".join(episode.prompt.split())[:500]
        given = ", ".join(f"{key} = {value_text(value)}" for key, value in params.items())
        why = f"a step of the template {name}, which “{self._templates[name].description}”"
        why += f"; from the prompt: {given}" if given else ""
        lines = [
            {"node": node["id"], "why": why, "confidence": round(min(1.0, score), 3)}
            for node in document["nodes"]
        ]
        seconds = {s.player: s.seconds for s in episode.table.functions}
        if (means := episode.context.means) is not None:
            seconds = {s.player: means.seconds(s) for s in episode.table.functions}
        return document, lines, round(_longest(document, seconds), 3)


def _longest(document: Mapping[str, Any], seconds: Mapping[str, float]) -> float:
    """The longest path through a document in seconds."""
    before: dict[str, set[str]] = {node["id"]: set() for node in document["nodes"]}
    for edge in document["edges"]:
        before[edge["to"].partition(".")[0]].add(edge["from"].partition(".")[0])
    own = {node["id"]: seconds.get(node["player"].partition("@")[0], 0.0) for node in document["nodes"]}
    ends: dict[str, float] = {}
    while len(ends) < len(before):
        for node, sources in before.items():
            if node not in ends and sources <= ends.keys():
                ends[node] = own[node] + max((ends[s] for s in sources), default=0.0)
    return max(ends.values(), default=0.0)
