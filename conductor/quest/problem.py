"""A level in numbers: types as bits, what each function needs and gives, and the masks of what may be chosen."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from conductor.quest.level import Level

FAILURE_SECONDS = 30.0
"""What a certain failure is held to cost, in seconds: a declared failure probability p weighs -30 ln(1 - p)."""

MOST_STEPS = 24
"""A plan has at most so many functions, as a composition has nodes."""


@dataclass(slots=True)
class Relaxed:
    """The cheapest way to each bit, taken alone: its price, and the function that gives it last."""

    price: dict[int, float] = field(default_factory=dict)
    giver: dict[int, int] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)
    """Function to the price of it with all before it; without an entry it is out of reach."""


class Problem:
    """The numbers of a level. Bits stand for the types that a port or the goal wants.

    `weights` is what A* minimises: declared seconds, and what declared failures cost.
    """

    def __init__(self, level: Level) -> None:
        lattice = level.lattice()
        wanted = dict.fromkeys([*level.goal, *(t for f in level.functions for t in f.inputs.values())])
        self.level = level
        self.bits = {name: place for place, name in enumerate(wanted)}
        below: dict[str, int] = {}

        def made(name: str) -> int:
            known = below.get(name)
            if known is None:
                known = 0
                for target, bit in self.bits.items():
                    if lattice.is_below(name, target):
                        known |= 1 << bit
                below[name] = known
            return known

        def joined(names: Sequence[str]) -> int:
            found = 0
            for name in names:
                found |= made(name)
            return found

        self.needs = [
            sum({1 << self.bits[t] for t in function.inputs.values()}) for function in level.functions
        ]
        self.gives = [joined(list(function.outputs.values())) for function in level.functions]
        self.have = joined(level.have)
        self.goal = sum({1 << self.bits[t] for t in level.goal})
        self.made = made
        self.costs = [f.cost for f in level.functions]
        self.seconds = [f.mean for f in level.functions]
        self.weights = [f.mean - FAILURE_SECONDS * math.log(1.0 - min(f.fail, 0.99)) for f in level.functions]
        self.pool = self._useful()
        self.takers: dict[int, list[int]] = {}
        for function in self.pool:
            for bit in ones(self.needs[function]):
                self.takers.setdefault(bit, []).append(function)

    def _useful(self) -> list[int]:
        """Functions that can ever run and lead to the goal: of a large library most do not matter."""
        state, reached = self.have, set[int]()
        grown = True
        while grown:
            new = [f for f, need in enumerate(self.needs) if f not in reached and not need & ~state]
            reached.update(new)
            for function in new:
                state |= self.gives[function]
            grown = bool(new)
        wanted, found = self.goal, set[int]()
        grown = True
        while grown:
            new = [f for f in reached if f not in found and self.gives[f] & wanted]
            found.update(new)
            for function in new:
                wanted |= self.needs[function]
            grown = bool(new)
        return sorted(found)

    def relax(self, state: int, prices: Sequence[float], *, adding: bool) -> Relaxed:
        """The price of every bit from `state`, by Knuth's generalisation of Dijkstra's algorithm.

        A function's price is its own and that of its inputs: their sum when `adding` (never less than a
        real plan of its own needs), else the dearest of them (never more than any real plan).
        """
        found = Relaxed()
        open_bits = {f: self.needs[f] & ~state for f in self.pool}
        before = dict.fromkeys(self.pool, 0.0)
        queue = [(prices[f], f) for f, need in open_bits.items() if not need]
        heapq.heapify(queue)
        seen = state
        while queue:
            price, function = heapq.heappop(queue)
            found.done[function] = price
            fresh = self.gives[function] & ~seen
            if not fresh:
                continue
            seen |= fresh
            for bit in ones(fresh):
                found.price[bit], found.giver[bit] = price, function
                for taker in self.takers.get(bit, ()):
                    before[taker] = before[taker] + price if adding else max(before[taker], price)
                    open_bits[taker] &= ~(1 << bit)
                    if not open_bits[taker]:
                        heapq.heappush(queue, (before[taker] + prices[taker], taker))
        return found

    def plan(self, state: int, relaxed: Relaxed) -> list[int] | None:
        """The functions that `relaxed` would add for the goal, in order, each once; None when out of reach."""
        steps: list[int] = []

        def add(bit: int) -> None:
            giver = relaxed.giver[bit]
            if giver in steps:
                return
            for needed in ones(self.needs[giver] & ~state):
                add(needed)
            steps.append(giver)

        for bit in ones(self.goal & ~state):
            if bit not in relaxed.giver:
                return None
            add(bit)
        return steps

    def lower_bound(self, state: int, prices: Sequence[float]) -> float:
        """No plan from `state` to the goal has a smaller price: the dearest goal alone (h-max); inf if none has."""
        missing = self.goal & ~state
        if not missing:
            return 0.0
        price = self.relax(state, prices, adding=False).price
        return max(price.get(bit, math.inf) for bit in ones(missing))

    def relevant(self, state: int) -> list[int]:
        """Functions that can run now and give something new that an open goal, or a step towards one, wants."""
        wanted, found = self.goal & ~state, set[int]()
        grown = True
        while grown:
            grown = False
            for function in self.pool:
                if function not in found and self.gives[function] & wanted & ~state:
                    found.add(function)
                    wanted |= self.needs[function] & ~state
                    grown = True
        return [f for f in sorted(found) if not self.needs[f] & ~state]

    def allowed(self, state: int, spent: float, steps: int) -> list[int]:
        """The masks: what may be chosen in a state. Empty when the goal is reached or out of reach.

        A function is allowed when it can run, leads towards an open goal, and leaves enough of the budget
        and of the steps for a plan that is known; where no plan is known that fits, when it at least may
        leave enough.
        """
        budget = self.level.budget + 1e-9
        if not self.goal & ~state or steps >= MOST_STEPS:
            return []
        known = self._known_plan(state)
        if known is None:
            return []
        price, length = known
        choices = self.relevant(state)
        safe = []
        for function in choices:
            left = spent + self.costs[function]
            if left + price <= budget and steps + 1 + length <= MOST_STEPS:
                safe.append(function)
            elif left <= budget:
                after = self._known_plan(state | self.gives[function])
                if after and left + after[0] <= budget and steps + 1 + after[1] <= MOST_STEPS:
                    safe.append(function)
        if safe or self.level.budget == math.inf:
            return safe
        return [
            f
            for f in choices
            if spent + self.costs[f] + self.lower_bound(state | self.gives[f], self.costs) <= budget
        ]

    def _known_plan(self, state: int) -> tuple[float, int] | None:
        """Cost and length of a plan that is cheap, though not always the cheapest."""
        plan = self.plan(state, self.relax(state, self.costs, adding=True))
        return None if plan is None else (sum(self.costs[f] for f in plan), len(plan))


def ones(bits: int) -> list[int]:
    """The places of the bits that are set."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
