"""Ranks sentences, phrases and passages by meaning, from the host's sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from symphony.sdk import Context

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    Matrix = numpy.typing.NDArray[numpy.float64]

_BATCH = 256


def embed(ctx: Context, texts: Sequence[str]) -> Matrix:
    """One row of unit length for each text. Raises what the host raises when it has no encoder."""
    import numpy

    rows: list[Any] = []
    for start in range(0, len(texts), _BATCH):
        rows += ctx.embed(list(texts[start : start + _BATCH]))
        ctx.progress(min(len(rows) / len(texts), 0.95), "reading for meaning")
    matrix = numpy.asarray(rows, dtype=numpy.float64).reshape(len(texts), -1)
    lengths = numpy.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / numpy.where(lengths == 0, 1, lengths)


def central(vectors: Matrix, damping: float = 0.85) -> Matrix:
    """How central each row is: PageRank over cosine similarity (TextRank, Mihalcea and Tarau 2004)."""
    import numpy

    count = len(vectors)
    weights = numpy.clip(vectors @ vectors.T, 0, None)
    numpy.fill_diagonal(weights, 0)
    sums = weights.sum(axis=1, keepdims=True)
    chances = numpy.where(sums == 0, 1 / count, weights / numpy.where(sums == 0, 1, sums))
    score = numpy.full(count, 1 / count)
    for _ in range(100):
        following = (1 - damping) / count + damping * (score @ chances)
        if numpy.abs(following - score).sum() < 1e-9:
            break
        score = following
    return score


def diverse(vectors: Matrix, relevance: Matrix, count: int, balance: float = 0.7) -> list[int]:
    """Indices of `count` rows that are relevant and unlike each other (maximal marginal relevance)."""
    import numpy

    span = float(relevance.max() - relevance.min()) or 1.0
    worth = (relevance - relevance.min()) / span
    chosen: list[int] = []
    closest = numpy.zeros(len(vectors))
    while len(chosen) < min(count, len(vectors)):
        value = balance * worth - (1 - balance) * closest
        value[chosen] = -numpy.inf
        best = int(value.argmax())
        chosen.append(best)
        closest = numpy.maximum(closest, vectors @ vectors[best])
    return chosen


def scaled(values: Sequence[float], floor: float = 0.0) -> Matrix:
    """The values brought between `floor` and 1, or all 1 when they are equal."""
    import numpy

    array = numpy.asarray(values, dtype=numpy.float64)
    span = float(array.max() - array.min())
    return floor + (1 - floor) * (array - array.min()) / span if span else numpy.ones(len(array))
