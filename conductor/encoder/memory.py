"""An encoder that remembers every text: what is learnt and measured meets the same texts again and again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
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

    def load(self, file: Path) -> None:
        """Takes what `save` wrote; a file that cannot be read is left alone, its texts are encoded anew."""
        try:
            with np.load(file, allow_pickle=False) as stored:
                texts, vectors = json.loads(bytes(stored["texts"])), stored["vectors"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return
        self._known.update(zip(texts, vectors, strict=False))

    def save(self, file: Path) -> None:
        """Writes every vector so far, as 32-bit numbers: the same text must mean the same everywhere."""
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        texts = np.frombuffer(json.dumps(list(self._known)).encode(), dtype=np.uint8)
        with temporary.open("wb") as opened:
            np.savez(opened, texts=texts, vectors=self.all())
        temporary.replace(file)

    def all(self) -> Array:
        """Every vector so far."""
        return np.stack(list(self._known.values()))
