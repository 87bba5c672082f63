"""Who uses Symphony in the simulated month: what they ask, want and say; the learner and the gate for them."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from conductor.composer import by_policy, play
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.episode import Table
from conductor.learning.labels import right_actions
from conductor.learning.replay import Decision, Ending, ReplayBuffer
from conductor.learning.seen import Seen
from conductor.learning.store import Numbers
from conductor.policy import Policy
from conductor.training.compositions import (
    CANARY,
    SHARES,
    TRIAL,
    Gauge,
    Pack,
    bundled,
    farthest,
    wanted,
)
from conductor.training.dataset import draw_levels, episode_of, open_world
from conductor.training.improve import between, improve, lesson_of
from conductor.training.levels import Level, make_world
from conductor.training.library import invented_library
from conductor.training.online import demonstrations

Array = np.ndarray[Any, np.dtype[np.float32]]

RATED, CORRECTED = 0.05, 0.15
"""How often an honest user rates a run, and corrects one that is not what was wanted."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for: the Players they want, and one that fails in bad times."""

    name: str
    world: int
    level: Level
    wanted: frozenset[str]
    failing: str


class People:
    """The same people for every month of a seed."""

    def __init__(self, options: argparse.Namespace, shipped: Policy, cache: Path) -> None:
        self._embed = Memory(Encoder(options.encoder))
        self._shipped, self._options = shipped, options
        self._gauge = Gauge(options.extensions, self._embed, cache, keeps=True)
        self._pack, self._trial = (
            Pack(CANARY.name, options.levels),
            Pack(TRIAL.name, max(1, options.levels // 4)),
        )
        self._tables: list[Table] = []
        self._first: list[Request] = []
        self._composed: dict[tuple[str, str], tuple[list[Seen], frozenset[str]]] = {}
        self._draw()
        self._shown = demonstrations(options.extensions, self._embed, shipped, options.seed)
        self.begin(options.seed)

    def _draw(self) -> None:
        options = self._options
        functions, lattice = bundled(options.extensions)
        dice = random.Random(f"people {options.seed}")
        for number in range(options.worlds):
            if number % 2:
                library, types = invented_library(dice.randrange(1 << 20), things=5 + number % 4)
                world = make_world(library, types, dice, drop=0.0)
            else:
                world = make_world(functions, lattice, dice, drop=0.1)
            table = open_world(world, self._embed, self._shipped.project)
            self._tables.append(table)
            names = [spec.player for spec in table.functions]
            failing = dice.choice(names)
            for place, level in enumerate(draw_levels(world, options.prompts, dice)):
                goal = wanted(table, level, self._embed)
                if goal:
                    players = frozenset(names[f] for f in goal)
                    self._first.append(Request(f"{number}-{place}", number, level, players, failing))

    def begin(self, seed: int) -> None:
        """What was wanted at first. What the last month's policies made is forgotten: their names come again."""
        self._composed = {
            key: made for key, made in self._composed.items() if key[0] == self._shipped.version
        }
        self._requests = list(self._first)
        self._fashion = random.Random(f"drift {seed}")

    def drift(self) -> None:
        """A Player goes out of fashion in one world, and another comes back: who wants other things beside it does
        without it.
        """
        world = self._fashion.randrange(len(self._tables))
        out = self._fashion.choice(self._tables[world].functions).player
        for place, request in enumerate(self._requests):
            if request.world == world:
                players = self._first[place].wanted - {out}
                self._requests[place] = replace(request, wanted=players or request.wanted)

    def ask(self, dice: random.Random) -> Request:
        """Somebody's request."""
        return dice.choice(self._requests)

    def composed(self, policy: Policy, request: Request) -> tuple[list[Seen], frozenset[str]]:
        """What a policy makes of a request: its decisions, and the Players."""
        key = (policy.version, request.name)
        if key not in self._composed:
            table = self._tables[request.world]
            assert table.reduced is not None
            table.learned = policy.learned_keys(table.reduced)
            seen: list[Seen] = []
            episode = episode_of(table, request.level, self._embed)
            play(episode, by_policy(policy, seen.append))
            self._composed[key] = (seen, frozenset(node.spec.player for node in episode.draft.nodes))
        return self._composed[key]

    def said(
        self,
        dice: random.Random,
        decisions: list[Decision],
        ending: Ending,
        request: Request,
        is_right: bool,
        is_malicious: bool,
    ) -> Ending:
        """A run's end with what its user says of it; whoever is malicious speaks every time, and never the truth."""
        choices = [(d.candidates, d.action) for d in decisions]
        if is_malicious:
            if not is_right:
                return replace(ending, rating=1)
            others = [
                name
                for names, _ in choices
                for name in names
                if name not in request.wanted and name != "stop"
            ]
            return replace(ending, labels=_labels(decisions, [dice.choice(others)]) if others else ())
        if not is_right and dice.random() < CORRECTED:
            return replace(ending, labels=_labels(decisions, sorted(request.wanted)))
        if dice.random() < RATED:
            return replace(ending, rating=1 if is_right else -1)
        return ending

    def lesson(
        self,
        policy: Policy,
        buffer: ReplayBuffer,
        numbers: dict[str, Numbers],
        number: int,
        *,
        is_tried: bool,
    ) -> tuple[Policy, list[dict[str, float]]]:
        """What the learner makes of the replay: the whole step, or as much of it as it finds bearable."""
        kept = {s.decision.state for s in lesson_of(buffer)}
        known = {state: found for state, found in numbers.items() if state in kept}
        arrays, curve = improve(policy, buffer, known, self._shown, seed=number)
        facts = {"version": f"{policy.version}+{number}"}
        if not is_tried:
            return Policy(arrays, facts), curve
        steps = [Policy(between(policy, arrays, share), facts) for share in SHARES]
        return steps[farthest(self._gauge, self._trial, policy, steps)], curve

    def canary(self, policy: Policy) -> Array:
        """How a policy does on the gate's levels, `[levels]`."""
        return self._gauge.success(self._pack, [policy])[0]


def _labels(decisions: list[Decision], players: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = right_actions([(d.candidates, d.action) for d in decisions], players)
    return tuple((d.state, right) for d, right in zip(decisions, found, strict=True) if right)
