"""A level: a library of typed functions, what there is, what is wanted, and a budget. Read, checked, written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symphony.errors import BadInput
from symphony.types.port_types import TypeLattice


@dataclass(frozen=True, slots=True)
class Function:
    """A function as declared: latencies in seconds, `fail` a probability, `cost` in units of the budget."""

    id: str
    name: str
    description: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    mean: float
    deviation: float
    fail: float
    cost: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What a function is really like: its declared latency times `slower`, and the probability that it fails."""

    slower: float
    fail: float


@dataclass(slots=True)
class Level:
    """One level. `truth` maps function ids to what is not declared; a function without is as declared."""

    id: str
    prompt: str
    functions: list[Function]
    supertypes: dict[str, tuple[str, ...]]
    have: tuple[str, ...]
    goal: tuple[str, ...]
    budget: float
    truth: dict[str, Truth] = field(default_factory=dict)
    family: str = ""

    def lattice(self) -> TypeLattice:
        """The level's own types: only what the level declares stands below something else."""
        return TypeLattice(self.supertypes)

    def to_json(self) -> dict[str, Any]:
        """The document of the contracts; what is not declared is not in it."""
        return {
            "id": self.id,
            "prompt": self.prompt,
            "functions": [
                {
                    "id": f.id,
                    "name": f.name,
                    "description": f.description,
                    "inputs": dict(f.inputs),
                    "outputs": dict(f.outputs),
                    "latency": [f.mean, f.deviation],
                    "fail": f.fail,
                    "cost": f.cost,
                }
                for f in self.functions
            ],
            "supertypes": {name: list(above) for name, above in self.supertypes.items()},
            "have": list(self.have),
            "goal": list(self.goal),
            "budget": self.budget,
        }


def _fault(place: str, what: str) -> BadInput:
    return BadInput(f"{place} {what}", remedy="see the form of a level in docs/function-quest.md")


def _number(value: Any, place: str, low: float, high: float = float("inf")) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _fault(place, f"is {value!r}, not a number from {low:g} to {high:g}")
    return float(value)


def _names(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise _fault(place, "is no list of names")
    return tuple(value)


def _ports(value: Any, place: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
        raise _fault(place, "does not map ports to types")
    return {str(port): made for port, made in value.items()}


def _function(raw: Any, place: str) -> Function:
    if not isinstance(raw, dict) or not isinstance(raw.get("id"), str) or not raw["id"]:
        raise _fault(place, "has no id")
    latency = raw.get("latency", [1.0, 0.0])
    if not isinstance(latency, list) or len(latency) != 2:
        raise _fault(f"{place} latency", "is no pair of mean and deviation")
    return Function(
        id=raw["id"],
        name=str(raw.get("name", raw["id"])),
        description=str(raw.get("description", "")),
        inputs=_ports(raw.get("inputs", {}), f"{place} inputs"),
        outputs=_ports(raw.get("outputs", {}), f"{place} outputs"),
        mean=_number(latency[0], f"{place} latency", 0.0),
        deviation=_number(latency[1], f"{place} latency", 0.0),
        fail=_number(raw.get("fail", 0.0), f"{place} fail", 0.0, 1.0),
        cost=_number(raw.get("cost", 0.0), f"{place} cost", 0.0),
    )


def level_from(raw: Any, place: str = "the level") -> Level:
    """A level from its document. Raises BadInput that names the place and the fault."""
    if not isinstance(raw, dict):
        raise _fault(place, "is no object")
    name = str(raw.get("id", ""))
    if not name:
        raise _fault(place, "has no id")
    place = f"level {name}:"
    listed = raw.get("functions")
    if not isinstance(listed, list) or not listed:
        raise _fault(place, "has no functions")
    functions = [_function(f, f"{place} function {n + 1}") for n, f in enumerate(listed)]
    if len({f.id for f in functions}) != len(functions):
        raise _fault(place, "has two functions of one id")
    supertypes = raw.get("supertypes", {})
    if not isinstance(supertypes, dict):
        raise _fault(f"{place} supertypes", "maps no types")
    goal = _names(raw.get("goal"), f"{place} goal")
    if not goal:
        raise _fault(place, "wants nothing")
    budget = raw.get("budget")
    return Level(
        id=name,
        prompt=str(raw.get("prompt", "")),
        functions=functions,
        supertypes={str(t): _names(above, f"{place} supertypes") for t, above in supertypes.items()},
        have=_names(raw.get("have", []), f"{place} have"),
        goal=goal,
        budget=float("inf") if budget is None else _number(budget, f"{place} budget", 0.0),
    )


def read_levels(file: Path) -> list[Level]:
    """Levels from JSON lines, or from one JSON list. Raises BadInput with the line."""
    text = file.read_text(encoding="utf-8")
    try:
        if text.lstrip().startswith("["):
            return [level_from(raw, f"{file}: level {n + 1}") for n, raw in enumerate(json.loads(text))]
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        return [level_from(json.loads(line), f"{file}:{n}") for n, line in lines]
    except json.JSONDecodeError as error:
        raise BadInput(f"{file} is no JSON ({error})", remedy="give one level a line") from error


def write_levels(file: Path, levels: Iterable[Level]) -> None:
    """One level a line."""
    lines = (json.dumps(level.to_json(), ensure_ascii=False) for level in levels)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
