"""A decision as the network met it: what a learner needs to meet it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One choice. The planner's choices have no numbers: whoever chooses by rules has no network to teach.

    Args:
        candidates: names of the Players that came into question.
        allowed: `[n + 1]`, which of them the masks left; the last place stands for STOP.
        chosen: the place that was taken.
        probability: how likely the policy held it to be.
        state: `[512]`, what the networks saw of the composition.
        vectors: `[n, 128]`, the candidates' sentence vectors in the policy's directions.
        matches: `[n, 32]`, the facts about them.
        stop: `[32]`, the facts about stopping.
    """

    candidates: tuple[str, ...]
    allowed: Flags
    chosen: int
    probability: float
    state: Array | None = None
    vectors: Array | None = None
    matches: Array | None = None
    stop: Array | None = None

    @property
    def action(self) -> str:
        """The chosen Player's name, or `stop`."""
        return self.candidates[self.chosen] if self.chosen < len(self.candidates) else "stop"


Watch = Callable[[Seen], None]
