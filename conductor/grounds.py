"""What a project must be for a Player to do anything there, such as a git repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from conductor.context import ProjectFacts
from conductor.search import TypeIndex
from symphony.types.players import PROJECT_FACTS, FunctionSpec

CLEAR = 0.45
"""From this score on a Player that lacks its ground is what a clause asks for."""


def barred(
    functions: Sequence[FunctionSpec], index: TypeIndex, project: ProjectFacts | None
) -> dict[int, str]:
    """The Players that can do nothing in a project, each with the fact that it or its only sources lack.

    Of a project that nobody described nothing is known, and no Player is barred.
    """
    if project is None:
        return {}
    lacks = {key: not project.holds(key) for key in PROJECT_FACTS}
    found = {
        place: next(key for key in spec.requires if lacks.get(key))
        for place, spec in enumerate(functions)
        if any(lacks.get(key) for key in spec.requires)
    }
    return _with_followers(functions, index, found) if found else {}


def _with_followers(
    functions: Sequence[FunctionSpec], index: TypeIndex, found: dict[int, str]
) -> dict[int, str]:
    """The same with those that need what only barred Players make."""
    makers: dict[tuple[int, str], list[int]] = {}
    for maker, consumers in enumerate(index.consumers):
        if functions[maker].available:
            for consumer in consumers:
                makers.setdefault(consumer, []).append(maker)
    while True:
        more = {
            consumer: found[by[0]]
            for (consumer, _), by in makers.items()
            if consumer not in found and all(maker in found for maker in by)
        }
        if not more:
            return found
        found |= more


def lacked(scores: np.ndarray[Any, Any], usable: np.ndarray[Any, Any], barred: Mapping[int, str]) -> str:
    """The fact that the Player lacks which fits a text best, by its scores; empty when another serves it."""
    if not barred:
        return ""
    best = max(barred, key=lambda function: float(scores[function]))
    rest = float(scores[usable].max(initial=0.0))
    return barred[best] if scores[best] >= CLEAR and scores[best] > rest else ""


def told(fact: str, clauses: Collection[str]) -> str:
    """What is missing for these clauses, and what to do, in one line."""
    what, remedy = PROJECT_FACTS[fact]
    return f"{what} for {' and '.join(f'“{clause}”' for clause in clauses)}: {remedy}"
