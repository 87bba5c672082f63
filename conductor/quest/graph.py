"""A plan as a graph, whether it is valid, and what happens when it is played."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conductor.quest.level import Level, Truth
from symphony.types.port_types import TypeLattice


@dataclass(slots=True)
class Graph:
    """Functions in an order in which every edge points forward; `edges` are (source, output, target, input)."""

    functions: list[int]
    edges: list[tuple[int, str, int, str]]

    def to_json(self, level: Level) -> dict[str, Any]:
        """Nodes and edges as the contracts have them."""
        nodes = [
            {"id": f"n{place + 1}", "function": level.functions[f].id}
            for place, f in enumerate(self.functions)
        ]
        edges = [{"from": f"n{s + 1}.{o}", "to": f"n{t + 1}.{i}"} for s, o, t, i in self.edges]
        return {"nodes": nodes, "edges": edges}


class Wiring:
    """Connects functions one by one: each input takes what is there, else the result that is declared to come first."""

    def __init__(self, level: Level, lattice: TypeLattice) -> None:
        self.level, self._lattice = level, lattice
        self.graph = Graph([], [])
        self.ends: list[float] = []
        """When each node is declared to end, in seconds from the start."""

    def provider(self, wanted: str) -> tuple[int, str] | None:
        """The node and output that feeds a type first; None when the level has it, or when nothing makes it."""
        if any(self._lattice.is_below(t, wanted) for t in self.level.have):
            return None
        found = [
            (self.ends[place], place, port)
            for place, function in enumerate(self.graph.functions)
            for port, made in self.level.functions[function].outputs.items()
            if self._lattice.is_below(made, wanted)
        ]
        return min(found)[1:] if found else None

    def begin(self, function: int) -> float:
        """When a function could begin if it were added now, in seconds."""
        sources = (self.provider(t) for t in self.level.functions[function].inputs.values())
        return max((self.ends[s[0]] for s in sources if s is not None), default=0.0)

    def add(self, function: int) -> None:
        """Appends a node with its edges."""
        place, begin = len(self.graph.functions), 0.0
        for port, wanted in self.level.functions[function].inputs.items():
            source = self.provider(wanted)
            if source is not None:
                self.graph.edges.append((*source, place, port))
                begin = max(begin, self.ends[source[0]])
        self.graph.functions.append(function)
        self.ends.append(begin + self.level.functions[function].mean)


def graph_of(level: Level, plan: Sequence[int]) -> Graph:
    """The graph of functions added in this order."""
    wiring = Wiring(level, level.lattice())
    for function in plan:
        wiring.add(function)
    return wiring.graph


def invalidities(level: Level, graph: Graph) -> list[str]:
    """What makes a graph invalid, judged from the level alone: open inputs, wrong types, edges that point back."""
    lattice = level.lattice()
    found = []
    fed = {(t, i) for _, _, t, i in graph.edges}
    for source, output, target, port in graph.edges:
        made = level.functions[graph.functions[source]].outputs.get(output)
        wanted = level.functions[graph.functions[target]].inputs.get(port)
        if source >= target:
            found.append(f"edge from node {source + 1} to node {target + 1} points back")
        if made is None or wanted is None or not lattice.is_below(made, wanted):
            found.append(f"edge from {made} to {wanted}")
    for place, function in enumerate(graph.functions):
        for port, wanted in level.functions[function].inputs.items():
            there = any(lattice.is_below(t, wanted) for t in level.have)
            if not there and (place, port) not in fed:
                found.append(f"input {port} of node {place + 1} is open")
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a graph went: whether all goals were made within the budget, how long it took, and how long one by one."""

    success: bool
    makespan: float
    sequential: float
    failed: tuple[str, ...] = ()


def play(level: Level, graph: Graph, draw: int = 0) -> Outcome:
    """Plays a graph with every branch at once; what fails and how long it takes is drawn.

    A draw belongs to the level, the function and `draw`, never to the player: two graphs that use the same
    function meet the same luck, so that they can be compared in pairs.
    """
    sources: list[list[int]] = [[] for _ in graph.functions]
    for source, _, target, _ in graph.edges:
        sources[target].append(source)
    ends: list[float] = []
    failed = []
    total = 0.0
    for place, index in enumerate(graph.functions):
        function = level.functions[index]
        truth = level.truth.get(function.id, Truth(1.0, function.fail))
        dice = random.Random(f"{level.id}\x00{function.id}\x00{draw}")
        if dice.random() < truth.fail:
            failed.append(function.id)
        seconds = truth.slower * max(0.1 * function.mean, dice.gauss(function.mean, function.deviation))
        ends.append(max((ends[s] for s in sources[place]), default=0.0) + seconds)
        total += seconds
    success = not failed and reaches(level, graph)
    return Outcome(success, max(ends, default=0.0), total, tuple(failed))


def reaches(level: Level, graph: Graph) -> bool:
    """Whether a graph is valid, makes every goal and stays within the budget: all but luck."""
    lattice = level.lattice()
    made = {*level.have, *(t for f in graph.functions for t in level.functions[f].outputs.values())}
    reached = all(any(lattice.is_below(t, goal) for t in made) for goal in level.goal)
    paid = sum(level.functions[f].cost for f in graph.functions)
    return reached and paid <= level.budget + 1e-9 and not invalidities(level, graph)


def chance(level: Level, graph: Graph) -> float:
    """How likely a graph is to succeed in truth: what the mean of very many plays would be."""
    if not reaches(level, graph):
        return 0.0
    found = 1.0
    for index in graph.functions:
        function = level.functions[index]
        found *= 1.0 - level.truth.get(function.id, Truth(1.0, function.fail)).fail
    return found
