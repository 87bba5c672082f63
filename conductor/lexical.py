"""Likeness of texts by their words and letter groups: what an English sentence encoder misses."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from conductor.words import content_words

Vectors = np.ndarray[Any, np.dtype[np.float32]]

BUCKETS = 1 << 20
"""Hashed features: so many that two words rarely meet."""


@lru_cache(maxsize=256)
def _features(text: str) -> Counter[int]:
    """Words (doubled weight) and groups of four letters, hashed."""
    counted: Counter[int] = Counter()
    for word in content_words(text):
        counted[zlib.crc32(word.encode()) % BUCKETS] += 2
        marked = f"^{word}$"
        for start in range(max(1, len(marked) - 3)):
            counted[zlib.crc32(marked[start : start + 4].encode()) % BUCKETS] += 1
    return counted


class LexicalIndex:
    """TF-IDF over hashed words and letter groups (Salton and Buckley 1988), as an inverted index."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.size = len(texts)
        counted = [_features(text) for text in texts]
        seen: Counter[int] = Counter()
        for features in counted:
            seen.update(features.keys())
        self._rare = math.log(1 + len(texts)) + 0.1
        self._weights = {f: math.log((1 + len(texts)) / (1 + times)) + 0.1 for f, times in seen.items()}
        postings: dict[int, list[tuple[int, float]]] = {}
        for row, features in enumerate(counted):
            for feature, weight in self._vector(features).items():
                postings.setdefault(feature, []).append((row, weight))
        self._postings = {
            feature: (np.array([r for r, _ in pairs]), np.array([w for _, w in pairs], dtype=np.float32))
            for feature, pairs in postings.items()
        }

    def _vector(self, features: Counter[int]) -> dict[int, float]:
        """A text's features with their weights, scaled to length 1."""
        raw = {f: (1.0 + math.log(n)) * self._weights.get(f, self._rare) for f, n in features.items()}
        norm = math.sqrt(sum(w * w for w in raw.values()))
        return {f: w / norm for f, w in raw.items()} if norm else {}

    def similarity(self, texts: Sequence[str]) -> Vectors:
        """The cosine of each of `texts` with each indexed text: `[len(texts), size]`."""
        found: Vectors = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in enumerate(texts):
            vector = self._vector(_features(text))
            known = [(self._postings[f], weight) for f, weight in vector.items() if f in self._postings]
            if not known:
                continue
            places = np.concatenate([rows for (rows, _), _ in known])
            counts = [len(rows) for (rows, _), _ in known]
            shares = np.repeat(np.array([weight for _, weight in known], dtype=np.float32), counts)
            np.add.at(found[row], places, shares * np.concatenate([weights for (_, weights), _ in known]))
        return found
