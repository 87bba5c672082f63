"""Function Quest as an environment of gymnasium: one flat vector in, the place of a candidate out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from conductor.policy import BASIS, MATCH, STATE
from conductor.quest.curriculum import Curriculum
from conductor.quest.episode import QuestEpisode, QuestTable
from conductor.quest.level import Truth

Array = np.ndarray[Any, np.dtype[np.float32]]

SHOWN = 24
"""Candidates that an observation holds. What the masks allow is rarely more; the evaluation has no such bound."""

WIDTH = STATE + SHOWN * (BASIS + MATCH + 1)
"""Numbers in an observation: the state, then for each place the function's vector, its facts, and whether it is one."""


PLAYS = 8
"""How often each step is played for its reward: one play alone is mostly luck."""


def observe(episode: QuestEpisode) -> tuple[Array, list[int]]:
    """The observation `[WIDTH]`, and the function that each action stands for."""
    candidates = episode.candidates()
    if len(candidates) > SHOWN:
        candidates = sorted(sorted(candidates, key=episode.urgency)[:SHOWN])
    seen = np.zeros(WIDTH, dtype=np.float32)
    seen[:STATE] = episode.state(None)
    vectors = seen[STATE : STATE + SHOWN * BASIS].reshape(SHOWN, BASIS)
    facts = seen[STATE + SHOWN * BASIS : -SHOWN].reshape(SHOWN, MATCH)
    if candidates:
        if episode.table.reduced is not None:
            vectors[: len(candidates)] = episode.table.reduced[candidates]
        facts[: len(candidates)] = episode.matches(candidates)
        seen[WIDTH - SHOWN : WIDTH - SHOWN + len(candidates)] = 1.0
    return seen, candidates


class World:
    """What really happens to the functions of one level, in a few plays at once.

    A step is paid by what it changed: the share of plays in which its function failed, and by how much it
    made the plan longer; reaching the goal pays 1. Their sum is the reported reward, success × (1 −
    normalised latency), to first order, and each step gets its own part of it.
    """

    def __init__(self, table: QuestTable, dice: np.random.Generator) -> None:
        self._table, self._dice = table, dice
        self._ends: list[Any] = []
        self._longest = np.zeros(PLAYS)

    def reward(self, episode: QuestEpisode) -> float:
        """For the node that was added last."""
        graph, place = episode.wiring.graph, len(self._ends)
        function = self._table.level.functions[graph.functions[place]]
        truth = self._table.level.truth.get(function.id, Truth(1.0, function.fail))
        drawn = self._dice.normal(function.mean, function.deviation, PLAYS)
        seconds = truth.slower * np.maximum(0.1 * function.mean, drawn)
        begin = np.zeros(PLAYS)
        for source, _, target, _ in graph.edges:
            if target == place:
                begin = np.maximum(begin, self._ends[source])
        self._ends.append(begin + seconds)
        longest = np.maximum(self._longest, self._ends[-1])
        longer = float((longest - self._longest).mean()) / (2.0 * self._table.yardstick)
        self._longest = longest
        failed = float((self._dice.random(PLAYS) < truth.fail).mean())
        return float(episode.is_won) - failed - longer


class QuestEnvironment(gymnasium.Env[Any, Any]):  # type: ignore[misc]
    """Plays levels in an order that the seed gives, or that a curriculum chooses; `tables` are the levels with their
    vectors.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, tables: Sequence[QuestTable], curriculum: Curriculum | None = None) -> None:
        self._curriculum, self._place, self._earned = curriculum, 0, 0.0
        self.observation_space = gymnasium.spaces.Box(-1e3, 1e3, (WIDTH,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(SHOWN)
        self._tables = tables

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """A level from its start, with luck of its own."""
        super().reset(seed=seed)
        if self._curriculum is None:
            table = self._tables[int(self.np_random.integers(len(self._tables)))]
        else:
            self._place, table = self._curriculum.draw(self.np_random)
        self._earned = 0.0
        self._episode, self._world = QuestEpisode(table), World(table, self.np_random)
        seen, self._actions = observe(self._episode)
        return seen, {"level": table.level.id}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Adds the function; an action that the mask excludes ends the level with nothing."""
        if not 0 <= int(action) < len(self._actions):
            return np.zeros(WIDTH, dtype=np.float32), 0.0, True, False, {}
        self._episode.step(self._actions[int(action)])
        seen, self._actions = observe(self._episode)
        reward = self._world.reward(self._episode)
        self._earned += reward
        if not self._actions and self._curriculum is not None:
            self._curriculum.ended(self._place, self._earned)
        return seen, reward, not self._actions, False, {}
