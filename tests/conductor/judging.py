"""Reads the natural prompts and says what is wrong with a composition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conductor import Composition
from conductor.evaluate.prompts import faults as faults
from symphony.melody.model import Melody
from symphony.melody.validation import validate
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice, element_type

Line = dict[str, Any]


def prompts(pattern: str = "prompts*.jsonl") -> list[Line]:
    """The lines of `prompts.jsonl` (seen while the Conductor was tuned), `prompts_fresh.jsonl` (written
    later, tuned on from then) and `prompts_sealed.jsonl` (written before the last training, never tuned on);
    those of `unseen.jsonl`, looked at once, stand apart. Of `natural_*.jsonl`, written before the tuning that
    followed, `natural_dev` was tuned on; `natural_sealed` and `natural_last` were scored once, then mended.
    `natural_dev7` and `natural_sealed7` are halves of a later set; the second was scored once, then looked at.
    `natural_dev8` and `natural_sealed8` are halves of one that was written, by somebody who saw the Players' names and
    parameters alone, to be far from their words; the second was scored once.
    """
    files = sorted(Path(__file__).parent.glob(pattern))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def invalidities(
    melody: dict[str, Any], catalogue: Mapping[str, FunctionSpec], lattice: TypeLattice
) -> list[str]:
    """What makes a Melody invalid: by the check before it plays, and by one apart from the composer's types."""
    findings = validate(Melody.model_validate(melody), catalogue, lattice)
    found = [finding.message for finding in findings if finding.severity == "error"]
    specs = {node["id"]: catalogue.get(node["player"]) for node in melody["nodes"]}
    if len(specs) != len(melody["nodes"]):
        found.append("an id stands there twice")
    fed: dict[tuple[str, str], int] = {}
    after: dict[str, set[str]] = {name: set() for name in specs}
    for edge in melody["edges"]:
        (source, _, output), (target, _, port) = edge["from"].partition("."), edge["to"].partition(".")
        first, second = specs.get(source), specs.get(target)
        if first is None or second is None or output not in first.outputs or port not in second.inputs:
            found.append(f"{edge} joins what does not exist")
            continue
        made, wanted = first.outputs[output], second.inputs[port]
        inner = element_type(wanted)
        if not (lattice.is_below(made, wanted) or (inner and lattice.is_below(made, inner))):
            found.append(f"{edge} feeds {made} to {wanted}")
        fed[target, port] = fed.get((target, port), 0) + 1
        if fed[target, port] > 1 and inner is None:
            found.append(f"{target}.{port} has two sources")
        after[source].add(target)
    for name, spec in specs.items():
        if spec is None:
            found.append(f"{name} has no Player")
            continue
        for port, wanted in spec.inputs.items():
            if wanted != PROJECT and port not in spec.optional and (name, port) not in fed:
                found.append(f"{name}.{port} is not connected")
        node = next(n for n in melody["nodes"] if n["id"] == name)
        found += [f"{name} has no parameter {p}" for p in node["params"] if p not in spec.params]
        for p, parameter in spec.params.items():
            if parameter.required and p not in node["params"] and parameter.default is None:
                found.append(f"{name} lacks the parameter {p}")
            if parameter.choices and node["params"].get(p, parameter.choices[0]) not in parameter.choices:
                found.append(f"{name}.{p} is none of the choices")
    if _has_cycle(after):
        found.append("there is a cycle")
    return found


def _has_cycle(after: dict[str, set[str]]) -> bool:
    done: set[str] = set()
    while len(done) < len(after):
        ready = [n for n in after if n not in done and all(t in done for t in after[n])]
        if not ready:
            return True
        done.update(ready)
    return False


def revisions() -> list[Line]:
    """The lines of `revisions.jsonl`: a prompt, what is said then, and what that may change and nothing else."""
    file = Path(__file__).parent / "revisions.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def revision_faults(line: Line, before: dict[str, Any], revised: Composition) -> list[str]:
    """Why a revision is not the smallest change that its prompt asks for; empty when it is."""
    if revised.possible != line.get("possible", True):
        return [f"possible is {revised.possible}: {revised.missing}"]
    if revised.melody is None:
        return []
    old = {node["player"]: node["params"] for node in before["nodes"]}
    new = {node["player"]: node["params"] for node in revised.melody["nodes"]}
    added, gone = set(new) - set(old), set(old) - set(new)
    wanted = line.get("added", [])
    found = [f"lacks {' or '.join(a)}" for a in wanted if not set(a) & added]
    steps = [player for player in added if not any(player in a for a in wanted)]
    if len(steps) > len(wanted):
        found.append(f"adds what nobody asked for: {steps}")
    if gone != set(line.get("removed", [])):
        found.append(f"takes out {sorted(gone)}")
    asked = line.get("params", {})
    for key, value in asked.items():
        player, _, name = key.rpartition(".")
        if new.get(player, {}).get(name) != value:
            found.append(f"{key} is {new.get(player, {}).get(name)}, not {value}")
    for player in set(old) & set(new):
        for name in old[player].keys() | new[player].keys():
            if (
                name != "title"
                and f"{player}.{name}" not in asked
                and old[player].get(name) != new[player].get(name)
            ):
                found.append(f"sets {player}.{name} unasked: {new[player].get(name)}")
    return found
