"""Who plays levels: the policies, and the plain players beside which they are always shown."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from conductor.composer import Chooser, by_chance, by_policy
from conductor.composer import play as compose_until_stop
from conductor.policy import Policy
from conductor.quest.episode import QuestEpisode, QuestTable
from conductor.quest.graph import Graph, Outcome, Wiring, invalidities, play
from conductor.quest.level import Level
from conductor.quest.problem import MOST_STEPS
from conductor.quest.search import a_star
from conductor.retrieval import Embed


@dataclass(slots=True)
class Result:
    """What an agent made of a level. `makespan` of an agent that plays one step after the other is their sum."""

    graph: Graph
    outcome: Outcome
    makespan: float
    expansions: int
    ms: float
    valid: bool


Agent = Callable[[QuestTable], tuple[Graph, int]]
"""Answers with a graph and how many states it kept."""


def composing(chooser: Chooser, policy: Policy | None = None) -> Agent:
    """Plays the episode as the host composes, under all masks."""

    def agent(table: QuestTable) -> tuple[Graph, int]:
        if policy is not None and table.learned is None and table.reduced is not None:
            table.learned = policy.learned_keys(table.reduced)
        episode = QuestEpisode(table)
        decisions = compose_until_stop(episode, chooser)
        return episode.wiring.graph, len(decisions)

    return agent


def searching(table: QuestTable) -> tuple[Graph, int]:
    """A* over what is declared."""
    found = a_star(table.problem)
    wiring = Wiring(table.level, table.typing.lattice)
    for function in found.plan or ():
        wiring.add(function)
    return wiring.graph, found.expansions


def myopic(order: Callable[[QuestTable, int], float], *, only_useful: bool) -> Agent:
    """Adds the next function by `order` as long as a goal is open and the budget is not overdrawn.

    It sees what can run and gives something new; with `only_useful` also which functions a goal can use. It
    does not look ahead.
    """

    def agent(table: QuestTable) -> tuple[Graph, int]:
        problem, wiring = table.problem, Wiring(table.level, table.typing.lattice)
        state, spent, kept = problem.have, 0.0, 0
        while problem.goal & ~state and kept < MOST_STEPS:
            runnable = [
                f for f, need in enumerate(problem.needs) if not need & ~state and problem.gives[f] & ~state
            ]
            choices = problem.relevant(state) if only_useful else runnable
            choices = [f for f in choices if spent + problem.costs[f] <= table.level.budget + 1e-9]
            if not choices:
                break
            chosen = min(choices, key=lambda f: order(table, f))
            wiring.add(chosen)
            state |= problem.gives[chosen]
            spent += problem.costs[chosen]
            kept += 1
        return wiring.graph, kept

    return agent


def by_likeness(table: QuestTable, function: int) -> float:
    """The closest description to the prompt first."""
    return -float(table.likeness[function])


def by_seconds(table: QuestTable, function: int) -> float:
    """The quickest useful function first."""
    return table.problem.seconds[function]


def at_random(seed: int) -> Agent:
    """Any function whose inputs are there, or the end, with equal chances and no mask."""

    def agent(table: QuestTable) -> tuple[Graph, int]:
        dice = random.Random(f"{seed} {table.level.id}")
        problem, wiring = table.problem, Wiring(table.level, table.typing.lattice)
        state, kept = problem.have, 0
        while kept < MOST_STEPS:
            runnable = [f for f, need in enumerate(problem.needs) if not need & ~state]
            chosen = dice.choice([*runnable, -1])
            if chosen < 0:
                break
            wiring.add(chosen)
            state |= problem.gives[chosen]
            kept += 1
        return wiring.graph, kept

    return agent


SEQUENTIAL = frozenset(("greedy", "cosine", "random"))
"""These play one step after the other."""


def agents(policies: dict[str, Policy], seed: int) -> dict[str, Agent]:
    """All agents of the contracts, by name; a policy that is not given is left out."""
    found: dict[str, Agent] = {
        name: composing(by_policy(policy), policy) for name, policy in policies.items()
    }
    return found | {
        "uniform_masked": composing(by_chance(seed)),
        "cosine": myopic(by_likeness, only_useful=False),
        "random": at_random(seed),
        "greedy": myopic(by_seconds, only_useful=True),
        "a_star": searching,
    }


def played(name: str, agent: Agent, level: Level, table: QuestTable, draw: int = 0) -> Result:
    """Lets an agent play a level, and the world answer."""
    began = time.perf_counter()
    graph, expansions = agent(table)
    ms = 1000.0 * (time.perf_counter() - began)
    outcome = play(level, graph, draw)
    makespan = outcome.sequential if name in SEQUENTIAL else outcome.makespan
    return Result(graph, outcome, makespan, expansions, ms, not invalidities(level, graph))


def table_for(level: Level, embed: Embed | None, policy: Policy | None) -> QuestTable:
    """The table of a level as seen through a policy's directions."""
    return QuestTable(level, embed, policy.project if policy is not None else None)
