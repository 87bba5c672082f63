"""Fits the refusal: which facts of a text say that the installed Players can serve it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from conductor.episode import Table
from conductor.gloss import language_of
from conductor.params.mentions import plain_request
from conductor.past import Request
from conductor.reading import understood
from conductor.refusal import Judge, foreign_requests
from conductor.retrieval import Embed
from conductor.training.dataset import episode_of
from conductor.training.levels import Level, World
from conductor.words import content_words

Array = np.ndarray[Any, np.dtype[np.float32]]

FAVOURED = 0.73
"""How much what can be served weighs against what cannot: to refuse what could be done costs its user more than to be
shown a Melody that does less than was asked.
"""
MOST = 0.6
"""A clause that has so many of the missing words is the one that nobody serves."""


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
            rows.append(judge.row(read[0], own[0] if own is not None else None, scores[0]))
            marks.append(mark)
    return rows, marks


def facts_of_requests(
    requests: Sequence[Request], table: Table, embed: Embed, dice: random.Random
) -> tuple[list[Array], list[float]]:
    """Facts of the parts of requests: those that this table's Players serve, and those that nobody serves.

    Of requests that are served in part those parts are not which hold what is missing; requests for Players of which
    some are not there are left out, unless none is: then nobody serves them.
    """
    foreign = list(foreign_requests())
    vectors = embed(foreign)
    shown = np.array([dice.random() < 0.6 for _ in foreign])
    judge = Judge(table.catalogue, vectors[shown])
    judge.words_shown([place for place, is_shown in enumerate(shown) if is_shown])
    known = {spec.player for spec in table.functions}
    strange = [Request(f, "en", ()) for f, is_shown in zip(foreign, shown, strict=True) if not is_shown]
    rows, marks = [], []
    for one in [*requests, *strange]:
        there = known & set(one.players)
        if there and len(there) < len(set(one.players)):
            continue
        episode = episode_of(table, Level(one.prompt, {}), embed)
        for place, facts in judge.rows(episode).items():
            clause = content_words(episode.clauses[place].text)
            if not clause or episode.only_details[place]:
                continue
            rows.append(facts)
            marks.append(float(bool(there) and not _holds(clause, one.missing)))
    return rows, marks


def _holds(clause: Sequence[str], missing: str) -> bool:
    """Whether a clause holds most of the words that are missing."""
    words = set(content_words(missing))
    return bool(words) and len(words & set(clause)) >= MOST * len(words)


def fit(rows: Sequence[Array], marks: Sequence[float], *, steps: int = 4000) -> tuple[Array, float, float]:
    """Logistic regression, each side weighed as a whole: weights, bias, and the balanced accuracy on the rows."""
    x, y = np.stack(rows).astype(np.float64), np.array(marks)
    weight = np.where(y == 1, FAVOURED / y.sum(), (1.0 - FAVOURED) / (1 - y).sum())
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - middle) / spread
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(steps):
        error = (1 / (1 + np.exp(-(z @ w + b))) - y) * weight
        w -= 0.5 * (z.T @ error + 1e-4 * w)
        b -= 0.5 * error.sum()
    found = (z @ w + b > 0) == (y == 1)
    balanced = 0.5 * (found[y == 1].mean() + found[y == 0].mean())
    scaled = w / spread
    return scaled.astype(np.float32), float(b - middle @ scaled), float(balanced)
