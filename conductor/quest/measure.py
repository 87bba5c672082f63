"""Lets agents play levels and says how they did, with intervals, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from conductor.quest.agents import Agent, Result, played
from conductor.quest.episode import QuestTable
from conductor.quest.level import Level

DRAWS = 4_000
"""Of the bootstrap."""

COMPARED = ("behaviour_cloning", "a_star", "greedy")
"""Those beside whom every other agent is put, level by level."""


def play_all(
    agents: dict[str, Agent], tables: Iterable[QuestTable]
) -> tuple[list[Level], dict[str, list[Result]]]:
    """Every agent on every level; the world's luck in a level is the same for all of them."""
    levels: list[Level] = []
    results: dict[str, list[Result]] = {name: [] for name in agents}
    for table in tables:
        levels.append(table.level)
        for name, agent in agents.items():
            table.learned = None
            results[name].append(played(name, agent, table.level, table))
    return levels, results


def lines_of(levels: Sequence[Level], results: dict[str, list[Result]]) -> list[dict[str, Any]]:
    """The lines of the contracts: what each agent made of each level."""
    return [
        {
            "id": level.id,
            "agent": name,
            **result.graph.to_json(level),
            "success": result.outcome.success,
            "makespan": round(result.makespan, 4),
            "expansions": result.expansions,
            "ms": round(result.ms, 3),
        }
        for name, found in results.items()
        for level, result in zip(levels, found, strict=True)
    ]


def summary(results: dict[str, list[Result]], seed: int) -> dict[str, Any]:
    """For each agent its shares and means, and in `ci` the 95 % intervals.

    `makespan` is over the levels that the agent solved. In `ci`, `success - X` is the paired difference to
    agent X, and `makespan / X` the ratio of summed makespans over the levels that both solved.
    """
    dice = np.random.default_rng(seed)
    return {name: _row(name, found, results, dice) for name, found in results.items()}


def _row(
    name: str, found: list[Result], results: dict[str, list[Result]], dice: np.random.Generator
) -> dict[str, Any]:
    success = np.array([r.outcome.success for r in found], dtype=np.float64)
    makespan = np.array([r.makespan for r in found])
    picks = dice.integers(len(found), size=(DRAWS, len(found)))
    ci: dict[str, list[float]] = {"success": _interval(success[picks].mean(axis=1))}
    solved = success > 0
    for other in COMPARED:
        if other == name or other not in results:
            continue
        theirs = np.array([r.outcome.success for r in results[other]], dtype=np.float64)
        ci[f"success - {other}"] = _interval((success - theirs)[picks].mean(axis=1))
        both = solved & (theirs > 0)
        if both.any():
            times = np.array([r.makespan for r in results[other]])
            ours, others = (np.where(both, t, 0.0)[picks].sum(axis=1) for t in (makespan, times))
            ci[f"makespan / {other}"] = _interval(ours[others > 0] / others[others > 0])
    return {
        "n": len(found),
        "success": round(float(success.mean()), 4),
        "valid": round(float(np.mean([r.valid for r in found])), 4),
        "makespan": round(float(makespan[solved].mean()), 4) if solved.any() else None,
        "expansions": round(float(np.mean([r.expansions for r in found])), 2),
        "ms": round(float(np.median([r.ms for r in found])), 3),
        "ci": ci,
    }


def _interval(means: Any) -> list[float]:
    return [round(float(q), 4) for q in np.quantile(means, (0.025, 0.975))]
