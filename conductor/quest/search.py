"""Typed A* over what has been made so far: the baseline, the teacher, and par."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from conductor.quest.problem import Problem

MOST_EXPANSIONS = 6_000
MOST_STATES = 50_000
"""States that are looked at before the search gives up: in a large library each has many followers."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plan in order, its weight, and how many states were popped; `plan` is None when there is none."""

    plan: tuple[int, ...] | None
    weight: float
    expansions: int
    is_optimal: bool


def a_star(
    problem: Problem,
    state: int | None = None,
    spent: float = 0.0,
    steps: int = 0,
    most: int = MOST_EXPANSIONS,
) -> Found:
    """The plan of least declared weight among those that the masks allow (Hart, Nilsson and Raphael, 1968).

    A state is what there is of each type; of two ways to it the one that is neither lighter nor cheaper is
    dropped. The heuristic is h-max: the dearest open goal, each function's inputs at the price of the
    dearest, which no plan can undercut. Beyond `most` states the greedy completion of the best one is given.
    """
    start = problem.have if state is None else state
    first = problem.lower_bound(start, problem.weights)
    if math.isinf(first):
        return Found(None, math.inf, 0, True)
    queue: list[tuple[float, int, int, float, float, tuple[int, ...]]] = [(first, 0, start, 0.0, spent, ())]
    kept: dict[int, list[tuple[float, float]]] = {start: [(0.0, spent)]}
    bounds: dict[int, float] = {start: first}
    tie = expansions = 0
    best: tuple[int, float, tuple[int, ...]] = (start, spent, ())
    while queue:
        _, _, here, weight, paid, plan = heapq.heappop(queue)
        if (weight, paid) not in kept[here]:
            continue
        expansions += 1
        if not problem.goal & ~here:
            return Found(plan, weight, expansions, True)
        if expansions >= most or len(bounds) > MOST_STATES:
            break
        best = (here, paid, plan)
        for function in problem.allowed(here, paid, steps + len(plan)):
            after = here | problem.gives[function]
            heavier, dearer = weight + problem.weights[function], paid + problem.costs[function]
            ways = kept.setdefault(after, [])
            if any(w <= heavier and p <= dearer for w, p in ways):
                continue
            ways[:] = [(w, p) for w, p in ways if not (heavier <= w and dearer <= p)]
            ways.append((heavier, dearer))
            bound = bounds.get(after)
            if bound is None:
                bound = bounds[after] = problem.lower_bound(after, problem.weights)
            if not math.isinf(bound):
                tie += 1
                heapq.heappush(queue, (heavier + bound, tie, after, heavier, dearer, (*plan, function)))
    else:
        return Found(None, math.inf, expansions, True)
    here, paid, plan = best
    whole = (*plan, *_completion(problem, here, paid))
    return Found(whole, sum(problem.weights[f] for f in whole), expansions, False)


def _completion(problem: Problem, state: int, spent: float) -> list[int]:
    """A plan from `state` that needs no search: the light one when it fits the budget, else the cheap one."""
    light, cheap = (
        problem.plan(state, problem.relax(state, prices, adding=True)) or []
        for prices in (problem.weights, problem.costs)
    )
    fits = spent + sum(problem.costs[f] for f in light) <= problem.level.budget + 1e-9
    return light if fits else cheap
