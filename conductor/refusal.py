"""Tells what the installed Players can serve from what they cannot, and says which extension would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from conductor.lexical import LexicalIndex
from conductor.policy import Policy
from conductor.retrieval import LEXICAL, Catalogue
from conductor.words import content_words
from symphony.types.players import FunctionSpec

Array = np.ndarray[Any, np.dtype[np.float32]]

FOREIGN = Path(__file__).parent / "weights" / "foreign.txt"
"""Requests that no development tool serves; what is closer to one of these than to any Player is refused."""

FACTS = 8
CLEARLY_BETTER = 0.18
"""By how much a Player on offer must outscore every installed one for the request to be its."""

PLAIN_THRESHOLD = 0.40
"""Without trained weights: the least score with which a text counts as served."""


@lru_cache(maxsize=1)
def foreign_requests() -> tuple[str, ...]:
    """The lines of `foreign.txt`."""
    lines = FOREIGN.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a text can be served, how sure that is, and the extensions known to serve it better."""

    served: float
    extensions: tuple[str, ...] = ()
    fact: str = ""
    """What the project would have to be for the Player that serves it."""


class Judge:
    """Judges texts against one catalogue.

    Args:
        catalogue: installed Players and those known from the registry.
        foreign: sentence vectors of `foreign_requests()`, None without an encoder.
    """

    def __init__(self, catalogue: Catalogue, foreign: Array | None) -> None:
        self._functions: Sequence[FunctionSpec] = catalogue.functions
        self._catalogue = catalogue
        self._foreign = foreign
        self._words = LexicalIndex(foreign_requests())
        self._available = np.array([s.available for s in catalogue.functions], dtype=bool)

    def words_shown(self, rows: Sequence[int]) -> None:
        """Leaves only these foreign requests in the comparison of words; calibration hides the others."""
        requests = foreign_requests()
        self._words = LexicalIndex([requests[r] for r in rows])

    def facts(self, text: str, vector: Array | None, scores: Array) -> Array:
        """The 8 facts of a text that the calibrated refusal weighs. `scores` are its scores by Player."""
        here = float(scores[self._available].max(initial=0.0))
        elsewhere = float(scores[~self._available].max(initial=0.0))
        alike = float(self._words.similarity([text]).max(initial=0.0))
        foreign = LEXICAL * alike
        if vector is not None and self._foreign is not None:
            foreign += float((self._foreign @ vector).max(initial=0.0))
        two = np.sort(scores[self._available])[-2:] if self._available.sum() > 1 else np.array([0.0, here])
        count = len(content_words(text))
        return np.array(
            [
                here,
                here - foreign,
                max(0.0, elsewhere - here),
                self._catalogue.knows_words(text),
                float(two[1] - two[0]),
                min(count, 10) / 10.0,
                float(count <= 2),
                foreign,
            ],
            dtype=np.float32,
        )

    def verdict(self, text: str, vector: Array | None, scores: Array, policy: Policy | None) -> Verdict:
        """How likely the installed Players serve `text`, and which extensions would serve it."""
        facts = self.facts(text, vector, scores)
        if policy is not None and vector is not None:
            served = policy.refusal(facts)
        else:
            served = 1.0 if facts[0] >= PLAIN_THRESHOLD * (1.0 if vector is not None else 0.4) else 0.0
        if facts[2] >= CLEARLY_BETTER:
            # What is asked has a name, and it is that of an extension that is not installed.
            served = 0.0
        better = np.where(~self._available & (scores > max(0.35, float(facts[0]) * 0.9)))[0]
        names = [self._functions[i].extension for i in better[np.argsort(-scores[better])]]
        return Verdict(served, tuple(dict.fromkeys(names))[:3])
