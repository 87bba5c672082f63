"""Likeness of texts by their words and letter groups: what an English sentence encoder misses."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from conductor.words import content_words

Vectors = np.ndarray[Any, np.dtype[np.float32]]

BUCKETS = 2048
"""Hashed features; catalogues of thousands of texts stay below 50 MB."""


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
    """TF-IDF over hashed words and letter groups (Salton and Buckley 1988)."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [_features(text) for text in texts]
        seen: Counter[int] = Counter()
        for features in counted:
            seen.update(features.keys())
        self._weights = np.full(BUCKETS, math.log(1 + len(texts)), dtype=np.float32)
        for feature, times in seen.items():
            self._weights[feature] = math.log((1 + len(texts)) / (1 + times)) + 0.1
        self.vectors: Vectors = np.zeros((len(texts), BUCKETS), dtype=np.float32)
        for row, features in enumerate(counted):
            self.vectors[row] = self._vector(features)

    def _vector(self, features: Counter[int]) -> Vectors:
        vector = np.zeros(BUCKETS, dtype=np.float32)
        for feature, times in features.items():
            vector[feature] = (1.0 + math.log(times)) * self._weights[feature]
        norm = float(np.linalg.norm(vector))
        return vector / norm if norm else vector

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors `[len(texts), BUCKETS]` of other texts, with this index's weights."""
        if not texts:
            return np.zeros((0, BUCKETS), dtype=np.float32)
        return np.stack([self._vector(_features(text)) for text in texts])
