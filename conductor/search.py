"""Finds the cheapest steps that make a Player's inputs: typed planning over the AND/OR graph of Players and types."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
        self.sources = [index for index, required in enumerate(self.required) if not required]
        """Players that need no step before them."""
        makers: dict[str, list[int]] = {}
        for index, spec in enumerate(functions):
            for made in set(spec.outputs.values()):
                makers.setdefault(made, []).append(index)
        self.wanted: dict[str, list[tuple[int, str]]] = {}
        """For each type the required inputs of it: Player and port."""
        for index, spec in enumerate(functions):
            for port in self.required[index]:
                self.wanted.setdefault(spec.inputs[port], []).append((index, port))
        self.feeds: list[list[str]] = [[] for _ in functions]
        """For each Player the types of inputs, each once, that what it makes may feed."""
        for port_type in self.wanted:
            sources = {i for made, by in makers.items() if typing.feeds(made, port_type) for i in by}
            for source in sources:
                self.feeds[source].append(port_type)

    @cached_property
    def consumers(self) -> list[list[tuple[int, str]]]:
        """For each Player the inputs of others that what it makes may feed: Player and port."""
        return [
            [end for port_type in fed for end in self.wanted[port_type] if end[0] != maker]
            for maker, fed in enumerate(self.feeds)
        ]


def cheapest_plans(
    functions: Sequence[FunctionSpec],
    index: TypeIndex,
    draft: Draft,
    step_costs: Sequence[float],
    usable: Callable[[int], bool],
) -> Plans:
    """Knuth's generalisation of Dijkstra's algorithm (1977): the cost of a Player is its own and that of
    the cheapest feeder of each input. Players that are not `usable` are neither steps nor goals.

    An input takes the first Player that is popped and may feed it, so that those of one type wait in one list,
    which that Player empties: inputs are looked at once, not once for each Player that could feed them.
    """
    plans = Plans()
    costs = list(step_costs)
    there = {node.function for node in draft.nodes}
    fed = {port_type for port_type in index.wanted if draft.nodes and draft.providers(port_type)}
    chosen: dict[int, dict[str, int]] = {}
    """The feeder of each input that the draft does not feed, -1 while there is none."""
    served = []
    for function in {function for port_type in fed for function, _ in index.wanted[port_type]}:
        open_ports = _open_ports(draft, functions[function], index.required[function])
        chosen[function] = dict.fromkeys(open_ports, -1)
        if not open_ports:
            served.append(function)
    queue = [(costs[function], function) for function in (*index.sources, *served) if usable(function)]
    heapq.heapify(queue)
    waiting: dict[str, list[tuple[int, str]]] = {}
    while queue:
        cost, function = heapq.heappop(queue)
        if function in plans.cost:
            continue
        plans.expansions += 1
        plans.cost[function] = cost
        plans.feeders[function] = list(chosen[function].values()) if function in chosen else []
        if function in there:
            # What it makes feeds the draft's inputs already; an input that is open wants another maker.
            continue
        for port_type in index.feeds[function]:
            ends = waiting.get(port_type, index.wanted[port_type])
            if not ends:
                continue
            left = waiting[port_type] = []
            for end in ends:
                consumer, port = end
                inputs = chosen.get(consumer)
                if inputs is None:
                    inputs = chosen[consumer] = dict.fromkeys(index.required[consumer], -1)
                if inputs.get(port) != -1:
                    continue  # the draft feeds it
                # Two inputs of one Player that want the same are not fed by the same step, and none by itself.
                if consumer == function or (
                    function in inputs.values() and not gathers(functions[consumer].inputs[port])
                ):
                    left.append(end)
                    continue
                inputs[port] = function
                costs[consumer] += cost
                if -1 not in inputs.values() and usable(consumer):
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
