"""Fits the refusal: which facts of a text say that the installed Players can serve it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from conductor.episode import Table
from conductor.gloss import language_of
from conductor.params.mentions import plain_request
from conductor.reading import understood
from conductor.refusal import FACTS, Judge, foreign_requests
from conductor.retrieval import Embed
from conductor.training.levels import World

Array = np.ndarray[Any, np.dtype[np.float32]]


def facts_of_world(
    world: World, table: Table, embed: Embed, dice: random.Random, strangers: Sequence[str]
) -> tuple[list[Array], list[float]]:
    """Facts of texts that this world serves (1) and of texts that it does not (0).

    Served are held phrases of its Players; not served are foreign requests that the judge has not been
    shown, phrases of the Players left out, and `strangers`.
    """
    foreign = list(foreign_requests())
    vectors = embed(foreign)
    shown = np.array([dice.random() < 0.6 for _ in foreign])
    judge = Judge(table.catalogue, vectors[shown])
    judge.words_shown([place for place, is_shown in enumerate(shown) if is_shown])
    positive = [p for phrases in world.phrases.values() for p in phrases]
    negative = [f for f, s in zip(foreign, shown, strict=True) if not s]
    negative += list(strangers)
    rows, marks = [], []
    for texts, mark in ((positive, 1.0), (negative, 0.0)):
        for text in texts:
            read, own, scores = understood(table.catalogue, [plain_request(text)], language_of(text), embed)
            rows.append(judge.facts(read[0], own[0] if own is not None else None, scores[0]))
            marks.append(mark)
    return rows, marks


def fit(rows: Sequence[Array], marks: Sequence[float], *, steps: int = 4000) -> tuple[Array, float, float]:
    """Logistic regression with both sides weighed alike: weights, bias, and the balanced accuracy on the rows."""
    x, y = np.stack(rows).astype(np.float64), np.array(marks)
    weight = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - middle) / spread
    w, b = np.zeros(FACTS), 0.0
    for _ in range(steps):
        error = (1 / (1 + np.exp(-(z @ w + b))) - y) * weight
        w -= 0.5 * (z.T @ error + 1e-4 * w)
        b -= 0.5 * error.sum()
    found = (z @ w + b > 0) == (y == 1)
    balanced = 0.5 * (found[y == 1].mean() + found[y == 0].mean())
    scaled = w / spread
    return scaled.astype(np.float32), float(b - middle @ scaled), float(balanced)
