"""Teaches the pointer network to compose chains of tools from prompts with their chains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.training.experience import FACTS, Chain, Experience
from conductor.training.layers import LowerLayers, UpperLayers, padded, sentence_vectors
from conductor.training.pointer import LONGEST, Batch, Pointer, Proposal, propose
from conductor.words import clauses_of

Array = np.ndarray[Any, Any]

FIRST = 4
"""Layers of the encoder from this one on are trained further; those below run once for each text."""
BATCH = 64
RATE, UPPER_RATE = 1.5e-3, 1e-4
SAMPLED = 0.7
"""The share of tools that a batch may point at, beside the right ones."""
STRANGE = 0.4
"""So often a prompt is trained on as if none with the same set of tools were known."""


@dataclass(slots=True)
class Texts:
    """Prompts as the networks read them: states of each one's tokens, its vector, those of its clauses."""

    states: list[Array]
    vectors: Array
    clauses: list[Array]


def read_texts(lower: LowerLayers, prompts: Sequence[str]) -> Texts:
    """`lower` answers with the states after `FIRST` and after all layers."""
    (states, last), _ = lower.states(prompts)
    pieces = [[c.text for c in clauses_of(prompt) if c.coarse] or [prompt] for prompt in prompts]
    (_, flat), _ = lower.states([piece for one in pieces for piece in one])
    ends = np.cumsum([len(one) for one in pieces])
    of_pieces = sentence_vectors(flat)
    clauses = np.split(of_pieces, ends[:-1]) if len(ends) else []
    return Texts([s.astype(np.float16) for s in states], sentence_vectors(last), list(clauses))


@dataclass(slots=True)
class Composer:
    """The pointer network with the encoder's upper layers and what past prompts tell."""

    experience: Experience
    upper: UpperLayers
    network: Pointer
    tools: Tensor
    own: Tensor

    @classmethod
    def new(cls, experience: Experience, lower: LowerLayers, seed: int) -> Composer:
        """Untrained."""
        torch.manual_seed(seed)
        upper = UpperLayers(lower.model, FIRST)
        count = experience.count
        network = Pointer(FACTS, known=count)
        own = torch.where(torch.from_numpy(experience.seen()), torch.arange(1, count + 1), 0)
        return cls(experience, upper, network, torch.from_numpy(experience.tools)[None], own[None])

    def batch(
        self, texts: Texts, rows: Sequence[int], hidden: Sequence[Sequence[int]], among: Array | None = None
    ) -> Batch:
        """These prompts; `hidden` are the past prompts that must not count for each.

        `among` are the tools that may be pointed at, all when None.
        """
        hints = [
            self.experience.hint(texts.vectors[row], texts.clauses[row], away)
            for row, away in zip(rows, hidden, strict=True)
        ]
        states, mask = padded([texts.states[row] for row in rows])
        places = np.arange(self.experience.count) if among is None else among
        starts = [*places, self.experience.count]
        after = np.stack([h.after[np.ix_(starts, places)] for h in hints])
        return Batch(
            tokens=self.upper(states, mask),
            mask=mask,
            tools=self.tools[:, places],
            own=self.own[:, places],
            facts=torch.from_numpy(np.stack([h.facts[places] for h in hints])),
            after=torch.from_numpy(after),
            ends=torch.from_numpy(np.stack([h.ends[places] for h in hints])),
            chains=torch.zeros(len(rows), 0, dtype=torch.long),
        )

    def propose(self, texts: Texts, width: int = 10, masked: bool = True) -> list[list[Proposal]]:
        """For each prompt the likeliest chains, best first."""
        self.network.eval()
        self.upper.eval()
        found: list[list[Proposal]] = []
        with torch.no_grad():
            for start in range(0, len(texts.vectors), 32):
                rows = range(start, min(start + 32, len(texts.vectors)))
                batch = self.batch(texts, rows, [()] * len(rows))
                found += propose(self.network, batch, width=width, masked=masked)
        return found


def epochs_for(lines: int) -> int:
    """More for few lines: about as many steps, within bounds."""
    return int(np.clip(round(20_000 / max(1, lines)), 6, 16))


def teach(
    composer: Composer,
    texts: Texts,
    chains: Sequence[Chain],
    *,
    epochs: int,
    seed: int,
    until: float,
    offset: int = 0,
    rate: float = 1.0,
) -> bool:
    """Trains in place on prompts whose chains are the rows from `offset` on of the composer's experience.

    Answers whether all epochs were done before the monotonic time `until`.
    """
    dice = np.random.default_rng(seed)
    torch.manual_seed(seed)
    steps = epochs * (len(chains) // BATCH + 9)
    groups = [{"params": composer.network.parameters()}, {"params": composer.upper.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate * RATE, rate * UPPER_RATE], total_steps=steps, pct_start=0.15
    )
    lengths = np.array([len(one) for one in texts.states])
    experience = composer.experience
    for _ in range(epochs):
        composer.network.train()
        composer.upper.train()
        for rows in _batches(lengths, dice):
            if time.monotonic() > until:
                return False
            strange = dice.random(len(rows)) < STRANGE
            hidden = [
                experience.hidden_rows(offset + int(row), with_alike=bool(odd))
                for row, odd in zip(rows, strange, strict=True)
            ]
            right = [chains[row] for row in rows]
            among = _candidates(experience.seen(), right, dice)
            batch = composer.batch(texts, [int(r) for r in rows], hidden, among)
            places = {int(tool): place for place, tool in enumerate(among)}
            batch.chains = _padded_chains([tuple(places[tool] for tool in chain) for chain in right])
            loss = composer.network.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            for group in groups:
                nn.utils.clip_grad_norm_(group["params"], 1.0)
            optimizer.step()
            schedule.step()
    return True


def _batches(lengths: Array, dice: np.random.Generator) -> list[Array]:
    """A shuffled epoch in which prompts of a batch are about equally long."""
    order = dice.permutation(len(lengths))
    parts = []
    for start in range(0, len(order), 8 * BATCH):
        group = order[start : start + 8 * BATCH]
        group = group[np.argsort(lengths[group], kind="stable")]
        parts += [group[k : k + BATCH] for k in range(0, len(group), BATCH)]
    return [parts[k] for k in dice.permutation(len(parts))]


def _candidates(seen: Array, right: Sequence[Chain], dice: np.random.Generator) -> Array:
    """The tools of these chains and a part of the others that training shows.

    One that no chain has is never among them: as a mere wrong answer it would be unlearnt.
    """
    chosen = seen & (dice.random(len(seen)) < SAMPLED)
    chosen[[tool for chain in right for tool in chain]] = True
    return np.flatnonzero(chosen)


def _padded_chains(chains: Sequence[Chain]) -> Tensor:
    longest = min(LONGEST, max(len(chain) for chain in chains))
    rows = [[*chain[:longest], *[-1] * (longest - len(chain))] for chain in chains]
    return torch.tensor(rows, dtype=torch.long)
