"""A real Melody as a level: make what it makes, from the Players that are installed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conductor.draft import required_inputs
from conductor.quest.level import Function, Level, Truth
from conductor.quest.problem import Problem
from symphony.errors import BadInput
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice

SLACK = 1.25
"""The budget: so many times what the Melody's own Players cost."""
DECLARED_FAILURE = 0.01
"""Manifests declare no failures; what has been measured is the level's truth."""


def level_of(
    melody: Mapping[str, Any],
    players: Mapping[str, FunctionSpec],
    lattice: TypeLattice,
    *,
    name: str,
    prompt: str = "",
    measured: Mapping[str, tuple[float, float]] | None = None,
) -> Level:
    """The level whose goal is every type that flows in a Melody or comes out of it.

    Args:
        melody: a `symphony.melody/1` document.
        players: all that are installed, by name: those that the Melody does not use distract.
        lattice: their types.
        name: the level's id.
        prompt: what the Melody was made for; without it the Melody's own description or name.
        measured: seconds of a Player's calls, and the share that failed.

    Raises BadInput when none of the Melody's Players is installed, or when types alone do not lead to what it makes.
    """
    own = {
        str(n["id"]): str(n["player"]).partition("@")[0] for n in melody.get("nodes", ()) if n.get("player")
    }
    used = {
        id: players[player]
        for id, player in own.items()
        if player in players and not _is_control(players[player])
    }
    if not used:
        raise BadInput(f"None of the Players of {name} is installed", remedy="install its extensions first")
    goal = _made(melody, used)
    functions = [_function(spec) for spec in players.values() if not _is_control(spec)]
    truth = {
        player: Truth(max(0.05, seconds) / max(0.05, players[player].seconds), failed)
        for player, (seconds, failed) in (measured or {}).items()
        if player in players
    }
    costs = {f.id: f.cost for f in functions}
    budget = SLACK * sum(costs[spec.player] for spec in used.values())
    words = prompt or str(melody.get("description") or melody.get("name") or name)
    above = {kind: tuple(ups) for kind, ups in lattice.direct().items()}
    level = Level(name, words, functions, above, (PROJECT,), goal, float("inf"), truth)
    problem = Problem(level)
    cheapest = problem.plan(problem.have, problem.relax(problem.have, problem.costs, adding=True))
    if cheapest is None:
        raise BadInput(
            f"{name} makes {', '.join(goal)}, which types alone do not lead to",
            remedy="choose a Melody whose Players take what others make",
        )
    level.budget = round(max(budget, sum(problem.costs[f] for f in cheapest)) + 0.05, 1)
    return level


def _is_control(spec: FunctionSpec) -> bool:
    return spec.kind not in ("operator", "instrument")


def _made(melody: Mapping[str, Any], used: Mapping[str, FunctionSpec]) -> tuple[str, ...]:
    """The types of the outputs that an edge takes further, and of all that nobody takes."""
    taken: dict[str, set[str]] = {}
    for edge in melody.get("edges", ()):
        if edge.get("kind", "data") == "data":
            node, _, port = str(edge["from"]).partition(".")
            taken.setdefault(node, set()).add(port)
    found: dict[str, None] = {}
    for id, spec in used.items():
        for port, kind in spec.outputs.items():
            if kind != PROJECT and (id not in taken or port in taken[id]):
                found[kind] = None
    return tuple(found)


def _function(spec: FunctionSpec) -> Function:
    """A Player as it declares itself. What it may do without is not asked for; effects and models cost more."""
    return Function(
        id=spec.player,
        name=spec.function,
        description=spec.description,
        inputs={port: spec.inputs[port] for port in required_inputs(spec)},
        outputs=dict(spec.outputs),
        mean=spec.seconds,
        deviation=round(0.15 * spec.seconds, 4),
        fail=DECLARED_FAILURE,
        cost=1.0 + 3.0 * spec.effects + 1.0 * (spec.kind == "instrument"),
    )
