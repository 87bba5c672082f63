"""Which level is played next: those on which play still changes, and edits of them at the frontier.

Prioritised level replay (Jiang, Grefenstette and Rocktäschel, 2021) with learning progress as the score, and edits
of levels with a high one (Parker-Holder et al., 2022). Pure but for the dice that it is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from conductor.quest.episode import QuestTable
from conductor.quest.level import Level
from conductor.quest.problem import Problem
from conductor.quest.search import a_star

FAST, SLOW = 0.5, 0.15
"""Weights of the newest return in the two averages whose difference is the progress on a level."""
STALE = 0.2
"""How often the level is taken that nobody has played for longest."""
SHARPNESS = 0.3
"""Of the distribution over ranks: the smaller, the more the first ranks are played."""
EDIT_EVERY, MOST_EDITED = 20, 0.25
"""Episodes between two edits, and how many of the levels may be edited ones."""
SOLVABLE = 250
"""States within which A* must solve an edited level."""

Open = Callable[[Level], QuestTable]


@dataclass(slots=True)
class _Place:
    """A level with what play has shown of it."""

    table: QuestTable
    fast: float = 0.0
    slow: float = 0.0
    plays: int = 0
    last: int = -1
    is_edited: bool = False

    @property
    def progress(self) -> float:
        return abs(self.fast - self.slow)


class Curriculum:
    """Draws levels for the environments, and learns from the returns that they report."""

    def __init__(self, tables: Sequence[QuestTable], open_level: Open, seed: int) -> None:
        """`open_level` makes the table of an edited level."""
        self._places = [_Place(table) for table in tables]
        self._open = open_level
        self._dice = random.Random(f"curriculum {seed}")
        self._episodes = 0
        self._edits = 0
        self._base = len(tables)

    def draw(self, dice: np.random.Generator) -> tuple[int, QuestTable]:
        """A level and its place: each once, then by rank of progress, now and then the one left out for longest."""
        unplayed = [n for n, place in enumerate(self._places) if not place.plays]
        if unplayed:
            chosen = unplayed[int(dice.integers(len(unplayed)))]
        elif dice.random() < STALE:
            chosen = min(range(len(self._places)), key=lambda n: self._places[n].last)
        else:
            chosen = int(dice.choice(len(self._places), p=self.chances()))
        return chosen, self._places[chosen].table

    def chances(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """How likely each level is to be replayed, by the rank of its progress."""
        order = sorted(range(len(self._places)), key=lambda n: -self._places[n].progress)
        weights = np.zeros(len(order))
        for rank, place in enumerate(order, 1):
            weights[place] = (1.0 / rank) ** (1.0 / SHARPNESS)
        return np.asarray(weights / weights.sum())

    def ended(self, place: int, earned: float) -> None:
        """An episode on a level has ended with this return."""
        known = self._places[place]
        if not known.plays:
            known.fast = known.slow = earned
        known.fast += FAST * (earned - known.fast)
        known.slow += SLOW * (earned - known.slow)
        known.plays += 1
        self._episodes += 1
        known.last = self._episodes
        if self._episodes % EDIT_EVERY == 0:
            self._edit()

    @property
    def edits(self) -> int:
        """How many edited levels there were."""
        return self._edits

    def _edit(self) -> None:
        """Edits the level with the most progress; the edited level with the least makes room."""
        parent = max(self._places, key=lambda place: place.progress)
        level = edited(parent.table.level, self._dice, self._edits)
        if parent.progress <= 0.0 or level is None:
            return
        self._edits += 1
        old = [n for n, place in enumerate(self._places) if place.is_edited]
        fresh = _Place(self._open(level), is_edited=True)
        if len(old) >= MOST_EDITED * self._base:
            self._places[min(old, key=lambda n: self._places[n].progress)] = fresh
        else:
            self._places.append(fresh)


def edited(level: Level, dice: random.Random, number: int) -> Level | None:
    """A level a little different: a function less, a tighter budget, or one goal fewer; None when nobody solves it.

    The name, the makes and what is true of them stay, so that what is learnt holds beyond it.
    """
    kind = dice.choice(("drop", "tighten", "ease"))
    name = f"{level.id.partition('~')[0]}~{number}"
    if kind == "drop":
        out = dice.randrange(len(level.functions))
        changed = replace(level, id=name, functions=[f for n, f in enumerate(level.functions) if n != out])
    elif kind == "tighten":
        changed = replace(level, id=name, budget=round(level.budget * dice.uniform(0.9, 0.97), 1))
    elif len(level.goal) > 1:
        less = dice.choice(level.goal)
        changed = replace(level, id=name, goal=tuple(g for g in level.goal if g != less))
    else:
        changed = replace(level, id=name, budget=round(level.budget * dice.uniform(1.03, 1.15), 1))
    best = a_star(Problem(changed), most=SOLVABLE)
    return changed if best.plan and best.is_optimal else None
