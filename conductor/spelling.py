"""Slips of the fingers in an English prompt, for the encoder, which takes a word that it does not know to pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache

from conductor.words import fold

_WORD = re.compile(r"(?<![\w./@#:$'’`\"“-])[^\W\d_A-Z][^\W\d_]{3,}(?![\w/@#:$'’-]|\.\w)")
"""Words of four letters or more in small letters that are no part of a name, a path or code."""
LONG = 8
"""From so many letters on a word may have two slips."""


class Speller:
    """Corrects words that nobody knows to the one word of the Players' texts that they differ from by a slip.

    Args:
        words: those of the Players' texts.
        is_word: whether the encoder knows a word whole: then it is none with a slip.
    """

    def __init__(self, words: Collection[str], is_word: Callable[[str], bool]) -> None:
        self._words = sorted(word for word in words if len(word) > 3 and word.isalpha())
        self._known = frozenset(words)
        self._is_word = is_word
        self._correct = lru_cache(maxsize=4096)(self._corrected)

    def __call__(self, text: str) -> str:
        """The text with what is surely a slip corrected."""
        return _WORD.sub(lambda match: self._correct(match.group()), text)

    def _corrected(self, word: str) -> str:
        plain = fold(word)
        if plain in self._known or plain.rstrip("s") in self._known or self._is_word(word):
            return word
        # Imported here: only a word that nobody knows is worth it.
        from rapidfuzz import process
        from rapidfuzz.distance import DamerauLevenshtein

        slips = 1 if len(plain) < LONG else 2
        ranked = process.extract(
            plain, self._words, scorer=DamerauLevenshtein.distance, score_cutoff=slips, limit=2
        )
        if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            return word
        # A first letter is seldom the one that slips, and endings are no slips.
        best = str(ranked[0][0])
        is_ending = best.startswith(plain) or plain.startswith(best) or best[:-1] == plain[:-1]
        return best if best[0] == plain[0] and not is_ending else word
