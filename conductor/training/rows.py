"""Decisions as rows for the learner: what a network needs to meet them again, and which actions would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conductor.learning.replay import Sample
from conductor.learning.store import Numbers
from conductor.policy import BASIS, LEARNED, MATCH
from conductor.training.clone import Networks, run_layers
from conductor.training.dataset import Decision

Array = np.ndarray[Any, Any]

MASKED = -1e9


@dataclass(slots=True)
class Row:
    """One decision with `n` candidates; the last place of `allowed` and `right` stands for STOP."""

    state: Array
    which: Array
    """`[n]`: places of the candidates' vectors among those of all rows."""
    matches: Array
    stop: Array
    allowed: Array
    taken: int
    right: Array
    """`[n + 1]`: what is right by a label or a demonstration; all False where nobody said so."""
    reward: float = 0.0
    weight: float = 1.0
    behaviour: float = 1.0
    """How likely the policy that chose held the action to be."""


@dataclass(slots=True)
class Batch:
    """Rows padded to one width."""

    state: Tensor
    which: Tensor
    matches: Tensor
    stop: Tensor
    allowed: Tensor
    taken: Tensor
    right: Tensor
    reward: Tensor
    weight: Tensor
    behaviour: Tensor
    vectors: Tensor
    """`[all, 128]`, of the candidates of all rows."""

    def log_probs(self, networks: Networks) -> Tensor:
        """`[batch, n + 1]`, of all actions under the masks.

        The same as `Networks.logits`, with each Player's key made once and the facts weighed on the side of the query.
        """
        query = run_layers(networks.policy, self.state)
        learned, facts = query[:, :LEARNED], query[:, LEARNED:]
        scores = (learned @ networks.key(self.vectors).T).gather(1, self.which)
        scores = scores + torch.einsum("bnd,bd->bn", self.matches, facts @ networks.match.weight)
        last = learned @ networks.stop_key + (networks.stop(self.stop) * facts).sum(1)
        logits = torch.cat([scores, last[:, None]], dim=1)
        return torch.log_softmax(logits.masked_fill(~self.allowed, MASKED), dim=1)

    def chosen(self, log_probs: Tensor) -> Tensor:
        """Of the actions that were taken, `[batch]`."""
        return log_probs.gather(1, self.taken[:, None])[:, 0]

    def is_labelled(self) -> Tensor:
        """Which rows somebody said the right actions of, `[batch]`."""
        return self.right.any(dim=1)

    def missed(self, log_probs: Tensor) -> Tensor:
        """-log of the probability of any right action, `[batch]`; 0 where nobody said what is right."""
        right = torch.logsumexp(log_probs.masked_fill(~self.right, MASKED), dim=1)
        return torch.where(self.is_labelled(), -right, torch.zeros_like(right))


class Rows:
    """Rows that share their Players' vectors."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._vectors: list[Array] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def add_samples(self, samples: Sequence[Sample], numbers: Mapping[str, Numbers]) -> None:
        """Of the replay. Raises KeyError where a state's numbers are not known."""
        for sample in samples:
            known, decision = numbers[sample.decision.state], sample.decision
            # Candidates of a decision are named in the order of the allowed places.
            places = dict(zip(decision.candidates, np.flatnonzero(known.allowed).tolist(), strict=True))
            right = np.zeros(len(known.allowed), dtype=bool)
            right[[places[name] for name in sample.right]] = True
            self.rows.append(
                Row(
                    known.state, self._which(known.vectors), known.matches, known.stop, known.allowed,
                    places[decision.action], right, sample.reward, sample.weight, decision.probability,
                )
            )  # fmt: skip

    def add_shown(self, decisions: Sequence[Decision]) -> None:
        """What a teacher showed; STOP is masked in the empty state, as in the host."""
        for d in decisions:
            allowed = np.ones(len(d.candidates) + 1, dtype=bool)
            allowed[-1] = bool(d.stop[3])
            right = (d.right > 0) & allowed
            which = self._which(d.candidates)
            self.rows.append(Row(d.state, which, d.matches, d.stop, allowed, int(right.argmax()), right))

    def _which(self, vectors: Array) -> Array:
        found = np.zeros(len(vectors), dtype=np.int64)
        for at, vector in enumerate(vectors):
            name = vector.astype(np.float16).tobytes()
            place = self._places.setdefault(name, len(self._vectors))
            if place == len(self._vectors):
                self._vectors.append(vector)
            found[at] = place
        return found

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Some of the rows."""
        rows = [self.rows[k] for k in chosen]
        count, widest = len(rows), max(len(row.which) for row in rows)
        which = np.zeros((count, widest), dtype=np.int64)
        matches = np.zeros((count, widest, MATCH), dtype=np.float32)
        allowed, right = np.zeros((2, count, widest + 1), dtype=bool)
        taken = np.zeros(count, dtype=np.int64)
        for at, row in enumerate(rows):
            size = len(row.which)
            which[at, :size], matches[at, :size] = row.which, row.matches
            for whole, part in ((allowed, row.allowed), (right, row.right)):
                whole[at, :size], whole[at, -1] = part[:size], part[-1]
            taken[at] = row.taken if row.taken < size else widest
        vectors = np.stack(self._vectors) if self._vectors else np.zeros((0, BASIS), dtype=np.float32)
        return Batch(
            torch.from_numpy(np.stack([row.state for row in rows])), torch.from_numpy(which),
            torch.from_numpy(matches), torch.from_numpy(np.stack([row.stop for row in rows])),
            torch.from_numpy(allowed), torch.from_numpy(taken), torch.from_numpy(right),
            torch.tensor([row.reward for row in rows], dtype=torch.float32),
            torch.tensor([row.weight for row in rows], dtype=torch.float32),
            torch.tensor([row.behaviour for row in rows], dtype=torch.float32),
            torch.from_numpy(vectors),
        )  # fmt: skip
