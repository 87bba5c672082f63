"""Finds the cheapest steps that make a Player's inputs: typed planning over the AND/OR graph of Players and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from conductor.draft import Draft, Output, Typing, gathers, required_inputs
from pit_native import PlanIndex, ReadyPlans
from symphony.types.players import FunctionSpec

NEVER, ALWAYS, ASK = 0, 1, 2
"""Whether a Player may be a step or a goal: no, yes, or as the caller says when it is first within reach."""


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
        places = {port_type: place for place, port_type in enumerate(self.wanted)}
        wants = [
            [places[spec.inputs[port]] for port in required]
            for spec, required in zip(functions, self.required, strict=True)
        ]
        fed = [[places[port_type] for port_type in types] for types in self.feeds]
        self.native = PlanIndex(wants, fed, [gathers(port_type) for port_type in self.wanted])

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
    step_costs: np.ndarray[Any, np.dtype[np.float64]],
    usable: np.ndarray[Any, np.dtype[np.uint8]],
    ask: Callable[[int], bool],
) -> ReadyPlans:
    """The cheapest way to every Player that can be reached from a draft, by the native search (Knuth 1977).

    `step_costs` are by Player, and so is `usable`, with `NEVER`, `ALWAYS` and `ASK`: those are asked for.
    """
    there = [node.function for node in draft.nodes]
    fed = {port_type for function in there for port_type in index.feeds[function]}
    open_inputs = [
        (function, _open_inputs(draft, functions[function], index.required[function]))
        for function in {function for port_type in fed for function, _ in index.wanted[port_type]}
    ]
    return index.native.plan(step_costs, usable, ask, there, open_inputs)


def _open_inputs(draft: Draft, spec: FunctionSpec, required: Sequence[str]) -> list[int]:
    """The required inputs that the draft does not feed, by their places, each input taking an output of its own."""
    used: list[Output] = []
    missing = []
    for place, port in enumerate(required):
        found = draft.providers(spec.inputs[port], () if gathers(spec.inputs[port]) else used)
        if found:
            used.append(found[0][1])
        else:
            missing.append(place)
    return missing
