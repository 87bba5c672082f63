"""Function Quest as a composition: the host's episode with a goal of types and a budget in the place of clauses."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from conductor.draft import Draft, DraftNode, Typing
from conductor.episode import Episode
from conductor.policy import MATCH, MOST_CANDIDATES, STATE
from conductor.quest.graph import Wiring
from conductor.quest.level import Level
from conductor.quest.problem import Problem, ones
from conductor.retrieval import Embed, key_texts
from symphony.types.players import FunctionSpec

Array = np.ndarray[Any, np.dtype[np.float32]]


class QuestTable:
    """What stays the same while a level is played: its functions as Players, their vectors, the level in numbers."""

    def __init__(
        self, level: Level, embed: Embed | None, reduce: Callable[[Array], Array] | None = None
    ) -> None:
        self.level = level
        self.problem = Problem(level)
        self.functions = [
            FunctionSpec(
                player=f"quest/level#{f.name}",
                kind="operator",
                description=f.description,
                inputs=f.inputs,
                outputs=f.outputs,
                seconds=f.mean,
            )
            for f in level.functions
        ]
        self.typing = Typing(level.lattice())
        self.reduced: Array | None = None
        self.learned: Array | None = None
        self.likeness = np.zeros(len(self.functions), dtype=np.float32)
        self.prompt: Array | None = None
        plain = self.problem.plan(
            self.problem.have, self.problem.relax(self.problem.have, self.problem.weights, adding=True)
        )
        self.yardstick = max(0.1, sum(self.problem.seconds[f] for f in plain or ()))
        """Declared seconds of a plain plan one step after the other: latencies are measured by it."""
        if embed is not None:
            self._embed(embed, reduce)

    def _embed(self, embed: Embed, reduce: Callable[[Array], Array] | None) -> None:
        """Vectors of the prompt and of each function: the mean of its description and its name in words."""
        texts = [key_texts(spec)[:2] for spec in self.functions]
        vectors = embed([text for pair in texts for text in pair]).reshape(len(texts), 2, -1)
        means = vectors.sum(axis=1)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        prompt = embed([self.level.prompt or "make it"])
        self.likeness = (means @ prompt[0]).astype(np.float32)
        if reduce is not None:
            self.reduced, self.prompt = reduce(means), reduce(prompt)[0]


class QuestEpisode(Episode):
    """A level being played. The chooser, the networks and their widths are those of a composition.

    In the place of clauses stand the types still wanted, and in that of mentions the budget; so the facts
    about a candidate are others, and the policy that knows them has weights of its own. The episode ends
    when all goals are made: then there are no candidates.
    """

    def __init__(self, table: QuestTable) -> None:
        # Nothing of a prompt's clauses and mentions exists here: the base class' own start is not taken.
        self.table: Any = table
        self.level, self.problem = table.level, table.problem
        self.draft = Draft(table.typing, frozenset())
        self.said = None
        self.wiring = Wiring(table.level, table.typing.lattice)
        self.made = self.problem.have
        self.spent = 0.0
        self._look()

    def _look(self) -> None:
        """What the masks allow now, and the three plans that are cheap to find: by weight, by time, by cost."""
        problem, state = self.problem, self.made
        self._choices = problem.allowed(state, self.spent, len(self.draft.nodes))
        self._plans: list[list[int]] = []
        self._reach: list[float] = []
        if not self._choices:
            return
        for prices, adding in ((problem.weights, True), (problem.seconds, False), (problem.costs, True)):
            relaxed = problem.relax(state, prices, adding=adding)
            self._plans.append(problem.plan(state, relaxed) or [])
            missing = ones(problem.goal & ~state)
            self._reach.append(max((relaxed.price.get(bit, 0.0) for bit in missing), default=0.0))
        if len(self._choices) > MOST_CANDIDATES:
            self._choices = sorted(sorted(self._choices, key=self.urgency)[:MOST_CANDIDATES])

    def urgency(self, function: int) -> tuple[bool, float]:
        """Orders candidates where not all can be shown: those of a plan first, then by weight."""
        return all(function not in plan for plan in self._plans), self.problem.weights[function]

    def candidates(self) -> list[int]:
        """Functions that the masks allow: typed inputs at hand, useful for the goal, within the budget."""
        return self._choices

    def owed(self, candidates: Sequence[int]) -> list[int]:
        """As long as a goal is open something is owed."""
        return list(candidates)

    def step(self, function: int, confidence: float = 1.0) -> None:
        """Adds a function; each of its inputs takes what comes first."""
        place = len(self.draft.nodes)
        self.wiring.add(function)
        inputs: dict[str, list[tuple[int, str]]] = {}
        for source, output, target, port in self.wiring.graph.edges:
            if target == place:
                inputs[port] = [(source, output)]
        spec: FunctionSpec = self.table.functions[function]
        self.draft.nodes.append(DraftNode(function, spec, inputs, confidence=confidence))
        self.made |= self.problem.gives[function]
        self.spent += self.problem.costs[function]
        self._look()

    @property
    def is_won(self) -> bool:
        """Whether every goal is made."""
        return not self.problem.goal & ~self.made

    def matches(self, candidates: Sequence[int]) -> Array:
        """The 32 facts about each candidate, `[n, 32]`."""
        facts = np.zeros((len(candidates), MATCH), dtype=np.float32)
        if not candidates:
            return facts
        problem, chosen = self.problem, np.array(candidates)
        fresh = [problem.gives[f] & ~self.made for f in candidates]
        wanted = problem.goal & ~self.made
        left = max(1e-6, min(self.level.budget, 1e6) - self.spent)
        now = max(self.wiring.ends, default=0.0)
        likeness = self.table.likeness[chosen]
        facts[:, 0], facts[:, 1] = likeness, likeness - likeness.max()
        for column, plan in enumerate(self._plans):
            facts[:, 2 + column] = [f in plan for f in candidates]
            # A function that gives what one of the plan gives can stand in for it.
            gives = 0
            for planned in plan:
                gives |= problem.gives[planned]
            facts[:, 5 + column] = [bool(bits & gives) for bits in fresh]
        rivals: dict[int, list[int]] = {}
        for place, bits in enumerate(fresh):
            rivals.setdefault(bits, []).append(place)
        for column, values in enumerate(self._declared(chosen)):
            facts[:, 8 + column] = values
            for places in rivals.values():
                own = values[places]
                facts[places, 12 + column] = own - own.min()
                facts[places, 16 + column] = own == own.min()
        for row, function in enumerate(candidates):
            begin = self.wiring.begin(function)
            end = begin + problem.seconds[function]
            facts[row, 20] = len(ones(fresh[row] & wanted))
            facts[row, 21] = len(ones(fresh[row])) / 3.0
            facts[row, 22], facts[row, 23] = begin / 10.0, end / 10.0
            facts[row, 24] = max(0.0, end - now) / 10.0
            facts[row, 25] = len(rivals[fresh[row]]) / 4.0
            facts[row, 26] = min(5.0, problem.costs[function] / left)
            facts[row, 27] = len(ones(problem.needs[function])) / 3.0
        facts[:, 28] = len(candidates) / 20.0
        facts[:, 31] = 1.0
        return facts

    def _declared(self, chosen: Any) -> list[Array]:
        """Seconds, failure, cost and weight of the candidates, in comparable sizes."""
        problem = self.problem
        fails = np.array([self.level.functions[f].fail for f in chosen])
        seconds, costs, weights = (
            np.array(v)[chosen] for v in (problem.seconds, problem.costs, problem.weights)
        )
        parts = (np.log1p(seconds), 20.0 * fails, np.log1p(costs), np.log1p(weights))
        return [p.astype(np.float32) for p in parts]

    def stop_facts(self, candidates: Sequence[int], matches: Array) -> Array:
        """The 32 facts about stopping: only that every goal is made counts."""
        facts = np.zeros(MATCH, dtype=np.float32)
        facts[3], facts[31] = float(self.is_won), 1.0
        return facts

    def state(self, project_vectors: Any) -> Array:
        """The 512 numbers that the networks see: prompt, what a plan would still take, what is chosen, facts."""
        state = np.zeros(STATE, dtype=np.float32)
        table, problem = self.table, self.problem
        nodes = [node.function for node in self.draft.nodes]
        plan = self._plans[0] if self._plans else []
        if table.reduced is not None and table.prompt is not None:
            state[:128] = table.prompt
            if plan:
                state[128:256] = table.reduced[plan].mean(axis=0)
            if nodes:
                state[256:384] = table.reduced[nodes].mean(axis=0)
        facts = state[384:]
        budget = min(self.level.budget, 1e6)
        facts[0], facts[1] = len(nodes) / 8.0, float(bool(nodes))
        facts[2] = len(ones(problem.goal & ~self.made)) / 3.0
        facts[3] = len(ones(problem.goal)) / 3.0
        facts[4] = (budget - self.spent) / max(budget, 1e-6)
        facts[5] = max(self.wiring.ends, default=0.0) / 10.0
        facts[6] = sum(problem.seconds[f] for f in nodes) / 20.0
        facts[7] = sum(problem.weights[f] for f in nodes) / 20.0
        for column, (steps, reach) in enumerate(zip(self._plans, self._reach, strict=True)):
            facts[8 + column] = len(steps) / 8.0
            facts[11 + column] = reach / 10.0
        facts[14] = sum(problem.costs[f] for f in plan) / max(budget - self.spent, 0.1) if plan else 0.0
        for goal in self.level.goal:
            facts[16 + zlib.crc32(goal.encode()) % 48] += 1.0
        for name, bit in problem.bits.items():
            if self.made >> bit & 1:
                facts[64 + zlib.crc32(name.encode()) % 64] += 0.5
        return state
