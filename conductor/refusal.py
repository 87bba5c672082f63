"""Tells what the installed Players can serve from what they cannot, and says which extension would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.lexical import LexicalIndex
from conductor.policy import Policy
from conductor.retrieval import LEXICAL, Catalogue, stem
from conductor.words import content_words, denies
from symphony.types.players import FunctionSpec

if TYPE_CHECKING:
    from conductor.episode import Episode
    from conductor.past import Said

Array = np.ndarray[Any, np.dtype[np.float32]]

FOREIGN = Path(__file__).parent / "weights" / "foreign.txt"
"""Requests that no development tool serves; what is closer to one of these than to any Player is refused."""

OWN = 8
"""Facts of a text alone."""
CLEARLY_BETTER = 0.18
"""By how much a Player on offer must outscore every installed one for the request to be its."""

SAME = 0.95
"""From this cosine on two requests are the same."""
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
        """The 8 facts of a text alone. `scores` are its scores by Player."""
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

    def verdict(
        self, text: str, vector: Array | None, scores: Array, policy: Policy | None, said: Said | None = None
    ) -> Verdict:
        """How likely the installed Players serve `text` alone, and which extensions would serve it.

        The first row of `said` is what the past says of it.
        """
        return self._judged(self.row(text, vector, scores, said), scores, policy)

    def row(self, text: str, vector: Array | None, scores: Array, said: Said | None = None) -> Array:
        """The facts of a text that stands alone."""
        own = self.facts(text, vector, scores)
        best = int(np.where(self._available, scores, -1.0).argmax()) if len(scores) else 0
        known = self._known(text, best)
        alone = (own[0], own[1], own[3], own[7], 0.25, 1.0, 1.0, 1.0, own[0], 0.0, 0.0, 0.0)
        rest = (denies(text), "?" in text, min(2.0, len(content_words(text)) / 20), *known, *_told(said, 0))
        return np.concatenate([own, np.array(alone + rest, dtype=np.float32)])

    def verdicts(self, episode: Episode, policy: Policy | None) -> tuple[dict[int, Verdict], Verdict]:
        """The same of each coarse part of a prompt, by its place, and of the whole."""
        rows = self.rows(episode)
        parts = {
            place: self._judged(facts, episode.by_clause[place], policy) for place, facts in rows.items()
        }
        vectors = episode.vectors
        vector = vectors[0] if vectors is not None else None
        whole = self.verdict(episode.texts[0], vector, episode.whole, policy, episode.said)
        return parts, whole

    def rows(self, episode: Episode) -> dict[int, Array]:
        """The facts of each coarse part of a prompt: its own, and how it stands to the others and to the whole."""
        vectors, said = episode.vectors, episode.said
        coarse = [place for place, clause in enumerate(episode.clauses) if clause.coarse]

        def own(row: int, scores: Array) -> Array:
            return self.facts(episode.texts[row], vectors[row] if vectors is not None else None, scores)

        whole = own(0, episode.whole)
        favourite = int(np.where(episode.usable, episode.whole, -1.0).argmax())
        each = [own(1 + place, episode.by_clause[place]) for place in coarse]
        asks, length = "?" in episode.prompt, min(2.0, len(content_words(episode.prompt)) / 20)
        found = {}
        for number, (place, facts) in enumerate(zip(coarse, each, strict=True)):
            clause = episode.clauses[place]
            best = int(np.where(episode.usable, episode.by_clause[place], -1.0).argmax())
            others = [float(one[0]) for one in each[:number] + each[number + 1 :]]
            around = (
                whole[0], whole[1], whole[3], whole[7], len(coarse) / 4, number == 0, number == len(coarse) - 1,
                best == favourite, episode.whole[best], max(others, default=0.0), min(others, default=0.0),
                any(clause.start <= m.start < clause.end for m in episode.mentions),
            )  # fmt: skip
            known = self._known(episode.texts[1 + place], best)
            rest = (denies(clause.text), asks, length, *known, *_told(said, 1 + place))
            found[place] = np.concatenate([facts, np.array(around + rest, dtype=np.float32)])
        return found

    def _known(self, text: str, best: int) -> tuple[float, float]:
        """The share of a text's words that the texts of its best Player have, and how many they have not."""
        words = content_words(text)
        if not words:
            return 0.0, 0.0
        strange = sum(word not in self._catalogue.words_of(best) for word in map(stem, words))
        return 1.0 - strange / len(words), strange / 5.0

    def _judged(self, facts: Array, scores: Array, policy: Policy | None) -> Verdict:
        if policy is not None and self._foreign is not None:
            served = policy.refusal(facts)
        else:
            served = 1.0 if facts[0] >= PLAIN_THRESHOLD * (1.0 if self._foreign is not None else 0.4) else 0.0
        likeliest, nearest = facts[-4], facts[-1]
        if nearest >= SAME:
            # What was served before can be served.
            served = max(served, float(likeliest))
        if facts[2] >= CLEARLY_BETTER:
            # What is asked has a name, and it is that of an extension that is not installed.
            served = 0.0
        better = np.where(~self._available & (scores > max(0.35, float(facts[0]) * 0.9)))[0]
        names = [self._functions[i].extension for i in better[np.argsort(-scores[better])]]
        return Verdict(served, tuple(dict.fromkeys(names))[:3])


def _told(said: Said | None, row: int) -> tuple[float, ...]:
    """What the past says of a text: whether it says anything, the likeliest Player, that nobody serves it or the whole,
    and how near the nearest request was.
    """
    if said is None or not said.speaks[row]:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    likeliest = float(said.votes[row].max(initial=0.0))
    return 1.0, likeliest, float(said.unserved[row]), float(said.unserved[0]), float(said.nearest[row])
