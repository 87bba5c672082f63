"""A configured language model as one more proposer: what it is asked, and what of its answer is a valid Melody.

It is never needed, and nothing that it says is believed: its plan passes the validator that every Melody
passes, may name only Players that were offered to it, and set only parameters that these have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from conductor.document import melody_name
from symphony.melody.model import Melody
from symphony.melody.validation import validate
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

MOST_NODES = 24
MOST_PLAYERS = 40
"""Players that are offered; the ones that fit the prompt best."""
LONGEST_ANSWER = 64_000
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)

_TASK = """You plan work for a developer as a graph of tools. Answer with one JSON object and nothing else:
{"nodes": [{"id": "log", "player": "publisher/extension#function", "params": {}}],
 "edges": [{"from": "log.commits", "to": "chart.items"}]}
Use only the tools below. Every input without `?` needs an edge from an output of the same type or one below it;
inputs of type project need none. Parameters marked ! must be set. If the tools cannot do what is asked, answer
{"nodes": []}."""


def messages_for(
    prompt: str, functions: Sequence[FunctionSpec], files: Sequence[str]
) -> list[dict[str, str]]:
    """The chat that asks for a plan. `functions` are offered best first, `files` are names in the project."""
    tools = "\n".join(_line(spec) for spec in functions[:MOST_PLAYERS])
    known = ", ".join(files[:60])
    return [
        {"role": "system", "content": f"{_TASK}\n\nTools:\n{tools}"},
        {"role": "user", "content": f"Files of the project: {known}\n\nTask: {prompt}" if known else prompt},
    ]


def melody_from(
    answer: str, prompt: str, functions: Sequence[FunctionSpec], lattice: TypeLattice
) -> dict[str, Any] | str:
    """The Melody of a model's answer as a document, or why there is none, in a few words."""
    plan = _parsed(answer)
    if plan is None:
        return "it is no JSON object"
    nodes, edges = plan.get("nodes"), plan.get("edges") or []
    if not isinstance(nodes, list) or not nodes:
        return "it has no step"
    if len(nodes) > MOST_NODES:
        return f"it has more than {MOST_NODES} steps"
    offered = {spec.player: spec for spec in functions[:MOST_PLAYERS]}
    try:
        document = {
            "name": melody_name(prompt),
            "description": prompt[:500],
            "metadata": {"author": "language model"},
            "nodes": [_node(node, offered) for node in nodes],
            "edges": [_edge(edge) for edge in edges],
        }
        melody = Melody.model_validate(document)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return f"it is no Melody: {first}"
    wrong = [f.message for f in validate(melody, offered, lattice) if f.severity == "error"]
    return wrong[0] if wrong else melody.to_document()


def _node(node: Mapping[str, Any], offered: Mapping[str, FunctionSpec]) -> dict[str, Any]:
    """A step with the kind that its Player has. Raises ValueError for what was not offered."""
    spec = offered.get(str(node["player"]))
    if spec is None:
        raise ValueError(f"{node['player']!s:.100} was not offered")
    params = dict(node.get("params") or {})
    for name, value in params.items():
        param = spec.params.get(name)
        if param is None:
            raise ValueError(f"{spec.player} has no parameter {name:.60}")
        if param.choices and value not in param.choices:
            raise ValueError(f"{name} of {spec.player} is one of {', '.join(map(str, param.choices))}")
    missing = [n for n, p in spec.params.items() if p.required and n not in params and p.default is None]
    if missing:
        raise ValueError(f"{spec.player} needs the parameter {missing[0]}")
    return {"id": str(node["id"]), "kind": spec.kind, "player": spec.player, "params": params}


def _edge(edge: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "data", "from": str(edge["from"]), "to": str(edge["to"])}


def _parsed(answer: str) -> dict[str, Any] | None:
    """The JSON object of an answer, bare or in a fence."""
    text = answer[:LONGEST_ANSWER].strip()
    fenced = _FENCED.search(text)
    try:
        plan = json.loads(fenced.group(1) if fenced is not None else text)
    except (ValueError, RecursionError):
        return None
    return plan if isinstance(plan, dict) else None


def _line(spec: FunctionSpec) -> str:
    inputs = ", ".join(f"{n}{'?' if n in spec.optional else ''}: {t}" for n, t in spec.inputs.items())
    outputs = ", ".join(f"{n}: {t}" for n, t in spec.outputs.items())
    params = ", ".join(
        f"{n}{'!' if p.required else ''}: {'|'.join(map(str, p.choices)) or p.type}"
        for n, p in spec.params.items()
    )
    return f"- {spec.player}({inputs}) -> ({outputs}) [{params}] {spec.description}"
