"""What past prompts tell about the tools for a new one: who served its like, and which tool follows which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Chain = tuple[int, ...]

FACTS = 8
NEIGHBOURS = 15
SHARPNESS = 0.08
"""By so much less alike, a neighbour counts 1/e."""
PSEUDO = 2.0
"""Weight of how usual a tool is as such, in how usual it is after another, in counts."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known before composing; see `conductor.training.pointer.Batch`."""

    facts: Array
    after: Array
    ends: Array


class Experience:
    """Past prompts with their chains.

    Args:
        tools: unit vectors of the tools' texts `[n, 384]`.
        vectors: unit vectors of the past prompts `[m, 384]`.
        chains: the tools that served each, in order, none twice.
        edges: counts of further transitions, by pairs of tools.
    """

    def __init__(
        self,
        tools: Array,
        vectors: Array,
        chains: Sequence[Chain],
        edges: dict[tuple[int, int], float] | None = None,
    ) -> None:
        self.tools, self.vectors, self.chains = tools, vectors, list(chains)
        count = self.count = len(tools)
        self.present = np.zeros((len(chains), count), dtype=np.float32)
        self.moves: Array = np.zeros((count + 1, count + 1), dtype=np.float32)
        self.alike: dict[frozenset[int], list[int]] = {}
        for row, chain in enumerate(chains):
            self.present[row, list(chain)] = 1.0
            self.alike.setdefault(frozenset(chain), []).append(row)
            for a, b in _moves(chain, count):
                self.moves[a, b] += 1.0
        for (a, b), weight in (edges or {}).items():
            self.moves[a, b] = max(self.moves[a, b], weight)
        self.uses = self.present.sum(axis=0)
        self.sums = self.present.T @ vectors
        self.usual = self.moves.sum(axis=0) / max(1.0, float(self.moves.sum()))
        self._usual_moves = _likely(self.moves, self.usual)

    def seen(self) -> Array:
        """Which tools some past prompt used."""
        return np.asarray(self.uses > 0)

    def hidden_rows(self, row: int, *, with_alike: bool) -> list[int]:
        """The past prompts that must not count for the past prompt `row`: itself, or all with its set of tools."""
        return list(self.alike[frozenset(self.chains[row])]) if with_alike else [row]

    def neighbours(self, vector: Array, hidden: Sequence[int] = ()) -> tuple[Array, Array]:
        """The most alike past prompts, best first, and their likeness."""
        likeness = self.vectors @ vector
        likeness[list(hidden)] = -1.0
        most = min(NEIGHBOURS, len(likeness))
        near = np.argpartition(-likeness, most - 1)[:most]
        near = near[np.argsort(-likeness[near], kind="stable")]
        return near, likeness[near]

    def hint(self, vector: Array, clauses: Array, hidden: Sequence[int] = ()) -> Hint:
        """What is known about each tool for a prompt with its vector and those of its clauses."""
        n = self.count
        near, likeness = self.neighbours(vector, hidden)
        weight = np.exp((likeness - likeness[0]) / SHARPNESS)
        weight /= weight.sum()
        followed: Array = np.zeros((n + 1, n + 1), dtype=np.float32)
        for row, share in zip(near, weight, strict=True):
            for a, b in _moves(self.chains[row], n):
                followed[a, b] += share
        usual, sums, uses = self._usual_moves, self.sums, self.uses
        if hidden:
            rows = list(hidden)
            moves = self.moves.copy()
            touched = set()
            for row in rows:
                for a, b in _moves(self.chains[row], n):
                    moves[a, b] = max(0.0, moves[a, b] - 1.0)
                    touched.add(a)
            places = sorted(touched)
            usual = usual.copy()
            usual[places] = _likely(moves[places], self.usual)
            sums = sums - self.present[rows].T @ self.vectors[rows]
            uses = uses - self.present[rows].sum(axis=0)
        norms = np.maximum(np.linalg.norm(sums, axis=1), 1e-6)
        facts = np.stack(
            [
                3.0 * (self.tools @ vector),
                3.0 * (self.tools @ clauses.T).max(axis=1),
                3.0 * (sums @ vector) / norms,
                np.log1p(20.0 * (self.present[near].T @ weight)),
                np.log1p(5.0 * self.present[near[:5]].mean(axis=0)),
                np.log1p(uses) / 3.0,
                uses == 0,
                np.full(n, likeness[0]),
            ],
            axis=1,
        ).astype(np.float32)
        after = np.stack([usual, np.log1p(20.0 * followed)], axis=-1).astype(np.float32)
        return Hint(facts, after[:, :n], after[:n, n])


def _moves(chain: Chain, count: int) -> list[tuple[int, int]]:
    """A chain's steps; its beginning and end are the number `count`."""
    return list(zip((count, *chain), (*chain, count), strict=True))


def _likely(moves: Array, usual: Array) -> Array:
    """log P(next | last), smoothed by how usual the next is, moved to about 0."""
    share = (moves + PSEUDO * usual) / (moves.sum(axis=1, keepdims=True) + PSEUDO)
    return np.asarray(np.log(share + 1e-5) + 6.0, dtype=np.float32)
