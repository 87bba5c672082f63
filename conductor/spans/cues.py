"""Facts about each token of a prompt and a parameter: words of the one near the other, and what looks like its kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from conductor.words import WORD, content_words, fold

Array = np.ndarray[Any, Any]

CUES = 14
NEARBY = 3.0
"""So many words further on, a named word counts 1/e."""

MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December|"
    "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
WRITTEN_DATE = re.compile(
    rf"\b(?:(?:{MONTHS})\.?\s+{_DAY},?\s+\d{{4}}|{_DAY}\s+(?:of\s+)?(?:{MONTHS})\.?,?\s+\d{{4}})\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    rf"{WRITTEN_DATE.pattern}|\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}/\d{{1,2}}/\d{{2,4}}\b", re.IGNORECASE
)
_TIME = re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?:\s*[AaPp]\.?[Mm]\b)?|\b\d{1,2}\s*[AaPp][Mm]\b")
_NUMBER = re.compile(r"(?<![\w-])-?\d[\d,]*(?:\.\d+)?(?![\w-])")
_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]+\b|\b\d+\b")


class Wording:
    """A prompt's words and what they look like, by the places of its tokens."""

    def __init__(self, text: str, places: Sequence[tuple[int, int]]) -> None:
        words = list(WORD.finditer(text))
        self.words = [stem(match.group()) for match in words]
        begins = np.array([match.start() for match in words] or [0])
        self.places = np.array([a for a, _ in places], dtype=np.int64).reshape(-1)
        # A token outside of words belongs to the word before it.
        self.word_of = np.maximum(np.searchsorted(begins, self.places, side="right") - 1, 0)
        self.real = np.array([b > a for a, b in places], dtype=np.float32)
        self.of_kind = np.stack([self._inside(text, kind) for kind in (_NUMBER, _CODE, _DATE, _TIME)], axis=1)
        self.relative = self.places / max(1, len(text))

    def _inside(self, text: str, pattern: re.Pattern[str]) -> Array:
        marks = np.zeros(len(text) + 1, dtype=np.float32)
        for match in pattern.finditer(text):
            marks[match.start() : match.end()] = 1.0
        return marks[self.places]

    def matches(self, wanted: frozenset[str]) -> Array:
        """Which words are among the wanted ones, `[words]`; one place when there are none."""
        return np.array([word in wanted for word in self.words] or [False], dtype=np.float32)


def cues_of(
    wording: Wording, parameters: Sequence[tuple[str, str, str]], call: int, calls: int, own: Array
) -> list[Array]:
    """For each parameter of a call (name in words, description, type) its facts `[tokens, CUES]`.

    `call` of `calls` is the call's number, `own` `[tokens]` marks what of the prompt speaks of it.
    """
    names = [frozenset(map(stem, content_words(name))) for name, _, _ in parameters]
    after = [_follows(wording.matches(words)) for words in names]
    found = []
    for place, (name, description, kind) in enumerate(parameters):
        words = names[place]
        others = frozenset().union(*(one for k, one in enumerate(names) if k != place)) - words
        last = frozenset(stem(word) for word in content_words(name)[-1:])
        told = frozenset(map(stem, content_words(description))) - words
        named, described = wording.matches(words), wording.matches(told)
        of_words = np.stack(
            [
                named,
                described,
                after[place],
                _follows(named[::-1])[::-1],
                _follows(wording.matches(last)),
                _follows(described),
                _follows(wording.matches(others)),
            ],
            axis=1,
        )
        text = f"{name} {description}".lower()
        looks = wording.of_kind * np.array(
            [kind in ("int", "float"), bool(last & {"id", "number", "code"}), "date" in text, "time" in text],
            dtype=np.float32,
        )
        away = wording.relative - (call + 0.5) / max(1, calls)
        rest = np.stack([own, away, np.abs(away)], axis=1)
        facts = np.concatenate([of_words[wording.word_of], looks, rest], axis=1)
        found.append((facts * wording.real[:, None]).astype(np.float32))
    return found


def spoken_of(likeness: Array, starts: Array, relative: Array) -> list[Array]:
    """For each call which tokens lie in clauses that speak of it, `[tokens]` each.

    The clauses are dealt out to the calls in order so that their likeness is greatest (a monotone
    alignment by dynamic programming). `likeness` is `[clauses, calls]`, `starts` where each clause begins
    and `relative` where each token stands, as shares of the prompt.
    """
    clauses, calls = likeness.shape
    if not calls:
        return []
    order = np.argsort(starts, kind="stable")
    gains = likeness[order] - likeness.mean(axis=0, keepdims=True)
    best = np.zeros((clauses, calls))
    came = np.zeros((clauses, calls), dtype=np.int64)
    for row in range(clauses):
        for column in range(calls):
            past = int(np.argmax(best[row - 1, : column + 1])) if row else column
            came[row, column] = past
            best[row, column] = gains[row, column] + (best[row - 1, past] if row else 0.0)
    dealt = np.zeros(clauses, dtype=np.int64)
    dealt[-1] = int(np.argmax(best[-1]))
    for row in range(clauses - 1, 0, -1):
        dealt[row - 1] = came[row, dealt[row]]
    begins = starts[order]
    clause_of = np.maximum(np.searchsorted(begins, relative + 1e-6, side="right") - 1, 0)
    return [(dealt[clause_of] == call).astype(np.float32) for call in range(calls)]


def stem(word: str) -> str:
    """A word without its plural: `cities` and `city` meet, `rates` and `rate`; no more than that is wanted here."""
    plain = fold(word)
    if len(plain) > 4 and plain.endswith("ies"):
        return plain[:-3] + "y"
    return plain[:-1] if len(plain) > 3 and plain.endswith("s") and not plain.endswith("ss") else plain


def _follows(marked: Array) -> Array:
    """How closely each word follows a marked one: 1 right after it, then fading; 0 on and before the first."""
    near = np.zeros(len(marked), dtype=np.float32)
    level = 0.0
    fade = float(np.exp(-1.0 / NEARBY))
    for place, mark in enumerate(marked):
        near[place] = level
        level = 1.0 if mark else level * fade
    return near
