"""Fits what past requests say of a new one: kernel ridge regression over sentence vectors and words.

Kernel ridge regression as in Saunders, Gammerman and Vovk (1998): the kernel is a Gaussian of sentence vectors plus the
cosine of words weighed by their rarity. The outcomes are the Players that served a request, and that nobody did. `make
build` does it over the requests that ship; nothing of it needs more than numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conductor.past.recall import FILE_NAME, FORMAT, Recollection
from conductor.past.requests import Request
from conductor.past.words import words_of
from conductor.retrieval import Embed

Array = np.ndarray[Any, np.dtype[np.float32]]

SHARPNESS = 2.0
"""The Gaussian's: likeness is exp(SHARPNESS * (cosine - 1))."""
WORDS = 0.4
"""How much the cosine of the words counts against it."""
RIDGE = 0.1
"""How much a request may be wrong: labels are a person's."""
OFTEN = 3
"""In so many requests a word stands at least that is told from others."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What requests teach, as `Recollection` takes it."""

    arrays: dict[str, np.ndarray[Any, Any]]
    words: list[str]
    players: list[str]
    facts: dict[str, Any]

    def opened(self) -> Recollection:
        """It, ready to be asked."""
        return Recollection(self.arrays, self.words, self.players, self.facts)

    def write(self, folder: Path) -> None:
        """Writes `past.npz` in a folder, whole or not at all. Raises OSError."""
        texts = {"words": "\n".join(self.words), "players": "\n".join(self.players)}
        texts["facts"] = json.dumps(self.facts, sort_keys=True)
        told = {name: np.frombuffer(text.encode(), dtype=np.uint8) for name, text in texts.items()}
        file = folder / FILE_NAME
        temporary = file.with_suffix(".new")
        with temporary.open("wb") as opened:
            halves = {n: a if n == "vectors" else a.astype(np.float16) for n, a in self.arrays.items()}
            np.savez(opened, **halves, **told)  # type: ignore[arg-type]
        temporary.replace(file)


def fit(requests: Sequence[Request], embed: Embed, encoder: str = "") -> Fitted:
    """What these requests teach; `encoder` names the version of `embed`. Raises ValueError when there are none.

    What of a request nobody serves is also a request of its own.
    """
    rows = [*requests, *(Request(one.missing, one.language, ()) for one in requests if one.missing)]
    if not rows:
        raise ValueError("there are no requests to learn from")
    players = sorted({player for one in rows for player in one.players})
    labels = _labels(rows, players)
    vectors, scales = _in_steps(embed([one.plain for one in rows]))
    unit = vectors * scales[:, None]
    words, rarity, where = _bags([words_of(one.english) for one in rows])
    kernel = np.exp(SHARPNESS * (unit @ unit.T - 1.0))
    for place, share in where:
        kernel[np.ix_(place, place)] += WORDS * np.outer(share, share)
    usual = labels.mean(axis=0)
    kernel[np.diag_indices(len(rows))] += RIDGE
    weights: Array = np.linalg.solve(kernel, labels - usual).astype(np.float32)
    by_word: Array = np.zeros((len(words), labels.shape[1]), dtype=np.float32)
    for row, (place, share) in enumerate(where):
        by_word[row] = WORDS * share @ weights[place]
    hashed = hashlib.sha256("\n".join([encoder, *map(repr, rows)]).encode()).hexdigest()
    return Fitted(
        arrays={
            "vectors": vectors,
            "scales": scales,
            "weights": weights,
            "rarity": rarity,
            "by_word": by_word,
            "usual": usual,
        },
        words=words,
        players=players,
        facts={
            "format": FORMAT,
            "version": hashed[:16],
            "encoder": encoder,
            "requests": len(requests),
            "sharpness": SHARPNESS,
        },
    )


def _labels(rows: Sequence[Request], players: Sequence[str]) -> Array:
    """`[rows, players + 1]`: who served each, and last whether nobody did."""
    places = {player: place for place, player in enumerate(players)}
    labels: Array = np.zeros((len(rows), len(players) + 1), dtype=np.float32)
    for row, one in enumerate(rows):
        labels[row, [places[player] for player in one.players]] = 1.0
        labels[row, -1] = not one.players
    return labels


def _in_steps(vectors: Array) -> tuple[np.ndarray[Any, np.dtype[np.int8]], Array]:
    """Vectors as bytes and what a step of each is: the fit is made with just what will be read."""
    scales: Array = (np.abs(vectors).max(axis=1) / 127.0).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def _bags(
    texts: Sequence[Sequence[str]],
) -> tuple[list[str], Array, list[tuple[np.ndarray[Any, np.dtype[np.intp]], Array]]]:
    """The words of several texts, how rare each is, and for each the texts with it and its share in each."""
    counts = Counter(word for words in texts for word in words)
    known = [word for word, count in counts.items() if count >= OFTEN]
    places = {word: place for place, word in enumerate(known)}
    rarity = np.array([math.log(1 + len(texts) / counts[word]) for word in known], dtype=np.float32)
    stand: list[list[int]] = [[] for _ in known]
    shares: list[list[float]] = [[] for _ in known]
    for row, words in enumerate(texts):
        found = [places[word] for word in words if word in places]
        length = math.sqrt(float((rarity[found] ** 2).sum())) if found else 1.0
        for place in found:
            stand[place].append(row)
            shares[place].append(float(rarity[place]) / length)
    where = [
        (np.array(rows, dtype=np.intp), np.array(share, dtype=np.float32))
        for rows, share in zip(stand, shares, strict=True)
    ]
    return known, rarity, where
