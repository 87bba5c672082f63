"""Turns a finished draft into a Melody document with explanations and a predicted duration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conductor.assignment import assign
from conductor.draft import Draft, DraftNode, gathers
from conductor.episode import Episode
from conductor.needs import Means, model_for, needs_of
from conductor.params.fill import Filled
from conductor.words import WORD, content_words, fold

FORMAT = "symphony.melody/1"
_NAME_LENGTH = 48

USUAL = 0.5
"""So likely by past requests, a Player is explained by them, too."""


def node_names(nodes: Sequence[DraftNode], taken: Sequence[str] = ()) -> list[str]:
    """An id for each node: its function's name, or that of its result where it gathers; numbered when repeated.

    Ids that are `taken` already are not given again.
    """
    names: list[str] = []
    for node in nodes:
        base = node.spec.function
        if any(gathers(t) for t in node.spec.inputs.values()) and len(node.spec.outputs) == 1:
            base = next(iter(node.spec.outputs))
        base = base.replace("_", "-")
        name, number = base, 2
        while name in names or name in taken:
            name, number = f"{base}-{number}", number + 1
        names.append(name)
    return names


def melody_name(prompt: str) -> str:
    """A short name from the prompt's words, such as `files-change-most-hardest`."""
    words = content_words(prompt) or [fold(w) for w in WORD.findall(prompt)] or ["melody"]
    name = ""
    for word in words:
        plain = "".join(c for c in word if c.isascii() and c.isalnum())
        if plain and len(name) + len(plain) < _NAME_LENGTH:
            name += ("-" if name else "") + plain
    return name or "melody"


def melody_of(
    episode: Episode, seconds: Mapping[str, float]
) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
    """The document, the explanations, and the seconds that the critical path is expected to take.

    `seconds` are durations observed for Players; the manifests' hold for the others.
    """
    draft = episode.draft
    names = node_names(draft.nodes)
    filled = assign(episode)
    nodes, edges = [], []
    for name, node, parameters in zip(names, draft.nodes, filled, strict=True):
        nodes.append(node_entry(name, node, parameters.params, episode.context.means))
        for port, sources in node.inputs.items():
            edges += [{"kind": "data", "from": f"{names[s]}.{o}", "to": f"{name}.{port}"} for s, o in sources]
    melody = {
        "format": FORMAT,
        "name": melody_name(episode.prompt),
        "version": "1.0.0",
        "description": episode.prompt.strip()[:500],
        "metadata": {"author": "conductor", "tags": _tags(draft)},
        "nodes": nodes,
        "edges": edges,
    }
    explanations = [explain(episode, place, names, filled[place]) for place in range(len(names))]
    means = episode.context.means
    if means is not None:
        seconds = {**{n.spec.player: means.seconds(n.spec) for n in draft.nodes}, **seconds}
    return melody, explanations, critical_seconds(draft.nodes, seconds)


def node_entry(name: str, node: DraftNode, params: Mapping[str, Any], means: Means | None) -> dict[str, Any]:
    """A node as the document writes it; with `means` also the model it asks and what it may take."""
    given = dict(params)
    if means is not None and (model := model_for(node.spec, given, means)) is not None:
        given["model"] = model
    needs = needs_of(node.spec, given, means) if means is not None else {}
    return {"id": name, "kind": node.spec.kind, "player": node.spec.player, "params": given, **needs}


def _tags(draft: Draft) -> list[str]:
    """The extensions that take part."""
    return sorted({node.spec.extension.partition("/")[2] for node in draft.nodes})


def critical_seconds(nodes: Sequence[DraftNode], observed: Mapping[str, float]) -> float:
    """The longest path through a draft's nodes in seconds; those that do not depend on each other run at once."""
    ends: list[float] = []
    for node in nodes:
        begin = max((ends[s] for sources in node.inputs.values() for s, _ in sources), default=0.0)
        ends.append(begin + observed.get(node.spec.player, node.spec.seconds))
    return round(max(ends, default=0.0), 3)


def explain(episode: Episode, place: int, names: Sequence[str], filled: Filled) -> dict[str, Any]:
    """Why a node is there, in one or two sentences."""
    node = episode.draft.nodes[place]
    if node.chosen:
        clause, vector = _own_words(episode, place)
        like = episode.table.catalogue.closest_text(node.function, vector, clause)
        why = f"“{_short(clause)}” comes closest to “{_short(like)}”"
        if episode.remembered[node.function] >= USUAL:
            why = f"requests like this one were served by it; {why}"
    else:
        why = _reason_of_step(episode.draft, place, names)
    given = ", ".join(f"{k} = {value_text(v)}" for k, v in filled.params.items())
    if given:
        why += f"; from the prompt: {given}"
    return {"node": names[place], "why": why, "confidence": round(float(node.confidence), 3)}


def _own_words(episode: Episode, place: int) -> tuple[str, Any]:
    """The clause that a node serves, with its sentence vector."""
    node = episode.draft.nodes[place]
    if 0 <= node.clause < len(episode.clauses):
        vector = episode.vectors[1 + node.clause] if episode.vectors is not None else None
        return episode.clauses[node.clause].text, vector
    return episode.prompt, episode.vectors[0] if episode.vectors is not None else None


def _reason_of_step(draft: Draft, place: int, names: Sequence[str]) -> str:
    """What a step that nobody asked for is needed for."""
    for later, node in enumerate(draft.nodes):
        for port, sources in node.inputs.items():
            for source, output in sources:
                if source == place:
                    made = draft.nodes[place].spec.outputs[output]
                    return f"makes {made} for the input {port} of {names[later]}"
    return "adds what the steps beside it lack"


def _short(text: str, length: int = 90) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def value_text(value: Any) -> str:
    """A parameter's value in a sentence, not too long."""
    return _short(" ".join(map(str, value)) if isinstance(value, list) else str(value), 60)
