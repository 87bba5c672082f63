"""Fixed packs of levels: what the gate measures by, what audits the gate, and what is validated on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from conductor.quest.agents import at_random, by_likeness, by_seconds, myopic
from conductor.quest.episode import QuestTable
from conductor.quest.generator import PLAIN, SMALL, VERSION, Shape, generate
from conductor.quest.graph import chance
from conductor.quest.level import Level

HARD_ENOUGH = {"random": 0.10, "cosine": 0.50, "greedy": 0.75}
"""A pack counts only when these players solve no larger share of it."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Levels that never change: a split of the generator, its seeds from 0 on, and a digest of the first 20."""

    name: str
    shape: Shape
    size: int
    digest: str
    version: int = VERSION

    def levels(self, count: int | None = None) -> Iterator[Level]:
        """The pack's levels, or the first `count` of them."""
        for seed in range(min(self.size, count if count is not None else self.size)):
            yield generate(seed, split=self.name, shape=self.shape)

    def digest_now(self) -> str:
        """What the generator of today makes of the first 20 levels; another digest means another pack."""
        documents = (json.dumps(level.to_json(), sort_keys=True) for level in self.levels(20))
        return hashlib.sha256("".join(documents).encode()).hexdigest()[:16]


CANARY = Pack("canary", SMALL, 4_000, "63ff563feb9d2978")
"""What the gate measures a new policy by."""
AUDIT = Pack("audit", SMALL, 4_000, "75c8ee75dd47a6f9")
"""What the gate never sees: whether it was fooled."""
VALIDATION = Pack("validation", PLAIN, 500, "5ee567c293c136b9")
"""Larger levels, for what is published."""
PACKS = (CANARY, AUDIT, VALIDATION)


def easiness(tables: Sequence[QuestTable]) -> dict[str, float]:
    """The share of levels that each of the plain players solves, luck averaged out."""
    players = {
        "random": at_random(0),
        "cosine": myopic(by_likeness, only_useful=False),
        "greedy": myopic(by_seconds, only_useful=True),
    }
    return {
        name: float(np.mean([chance(table.level, agent(table)[0]) for table in tables]))
        for name, agent in players.items()
    }
