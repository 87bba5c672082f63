"""Finds the cheapest steps that make a Player's inputs: typed planning over the AND/OR graph of Players and types."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from conductor.draft import Draft, Output, Typing, gathers, required_inputs
from symphony.types.players import FunctionSpec


@dataclass(slots=True)
class Plans:
    """The cheapest way to every Player that can be reached from a draft.

    `cost` maps a Player's index to the cost of it with all steps before it; `feeders` to the Players
    that must be added for its inputs, one for each input that the draft cannot serve. `expansions`
    counts the states that the search popped.
    """

    cost: dict[int, float] = field(default_factory=dict)
    feeders: dict[int, list[int]] = field(default_factory=dict)
    expansions: int = 0
    _steps: dict[int, list[int]] = field(default_factory=dict)

    def steps(self, function: int) -> list[int]:
        """The Players to add before `function`, in order, each once."""
        known = self._steps.get(function)
        if known is not None:
            return known
        ordered: list[int] = []
        for feeder in self.feeders.get(function, ()):
            ordered += [step for step in (*self.steps(feeder), feeder) if step not in ordered]
        self._steps[function] = ordered
        return ordered


class TypeIndex:
    """For every required input of every Player: which Players make something that may feed it."""

    def __init__(self, functions: Sequence[FunctionSpec], typing: Typing) -> None:
        self.required = [required_inputs(spec) for spec in functions]
        makers: dict[str, list[int]] = {}
        for index, spec in enumerate(functions):
            for made in set(spec.outputs.values()):
                makers.setdefault(made, []).append(index)
        self.consumers: list[list[tuple[int, str]]] = [[] for _ in functions]
        wanted: dict[str, list[tuple[int, str]]] = {}
        for index, spec in enumerate(functions):
            for port in self.required[index]:
                wanted.setdefault(spec.inputs[port], []).append((index, port))
        for port_type, ports in wanted.items():
            sources = {i for made, by in makers.items() if typing.feeds(made, port_type) for i in by}
            for source in sources:
                self.consumers[source] += [(i, p) for i, p in ports if i != source]


def cheapest_plans(
    functions: Sequence[FunctionSpec],
    index: TypeIndex,
    draft: Draft,
    step_costs: Sequence[float],
    usable: Callable[[int], bool],
) -> Plans:
    """Knuth's generalisation of Dijkstra's algorithm (1977): the cost of a Player is its own and that of
    the cheapest feeder of each input. Players that are not `usable` are neither steps nor goals.
    """
    plans = Plans()
    chosen: list[dict[str, int]] = []
    costs = list(step_costs)
    queue: list[tuple[float, int]] = []
    there = {node.function for node in draft.nodes}
    for function, required in enumerate(index.required):
        open_ports = _open_ports(draft, functions[function], required) if draft.nodes else required
        chosen.append(dict.fromkeys(open_ports, -1))
        if not open_ports and usable(function):
            heapq.heappush(queue, (costs[function], function))
    while queue:
        cost, function = heapq.heappop(queue)
        if function in plans.cost:
            continue
        plans.expansions += 1
        plans.cost[function] = cost
        plans.feeders[function] = [f for f in chosen[function].values() if f >= 0]
        if function in there:
            # What it makes feeds the draft's inputs already; an input that is open wants another maker.
            continue
        for consumer, port in index.consumers[function]:
            if consumer in plans.cost or chosen[consumer].get(port) != -1:
                continue
            # Two inputs of one Player that want the same are not fed by the same step.
            if function in chosen[consumer].values() and not gathers(functions[consumer].inputs[port]):
                continue
            chosen[consumer][port] = function
            costs[consumer] += cost
            if -1 not in chosen[consumer].values() and usable(consumer):
                heapq.heappush(queue, (costs[consumer], consumer))
    return plans


def _open_ports(draft: Draft, spec: FunctionSpec, required: Sequence[str]) -> list[str]:
    """The required inputs that the draft does not feed, each input taking an output of its own."""
    used: list[Output] = []
    missing = []
    for port in required:
        found = draft.providers(spec.inputs[port], () if gathers(spec.inputs[port]) else used)
        if found:
            used.append(found[0][1])
        else:
            missing.append(port)
    return missing
