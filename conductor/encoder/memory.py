"""An encoder that remembers every text: what is learnt and measured meets the same texts again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from conductor.encoder.runtime import Encoder

Array = np.ndarray[Any, np.dtype[np.float32]]


class Memory:
    """Sentence vectors by text; each text is encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Array] = {}

    def __call__(self, texts: Sequence[str]) -> Array:
        """Sentence vectors in the order of `texts`, `[len(texts), 384]`."""
        for text in texts:
            if text not in self._known:
                self._known[text] = self._encoder.embed_all([text])[0]
        return np.stack([self._known[t] for t in texts]) if texts else np.zeros((0, 384), dtype=np.float32)

    def all(self) -> Array:
        """Every vector so far."""
        return np.stack(list(self._known.values()))
