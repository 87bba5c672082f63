"""Teaches a composer from the prompts of its experience, in a given time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from conductor.training.composing import BATCH, Composer, Texts, vectors_of
from conductor.training.experience import Chain
from conductor.training.pointer import padded_chains

Array = np.ndarray[Any, Any]

RATE, UPPER_RATE, VOTE_RATE, MARGINAL_RATE = 1.5e-3, 1e-4, 2e-2, 2e-3
WARM = 0.15
"""The share of the training in which the rates rise; then they fall to nothing."""
SAMPLED = 0.7
"""The share of tools that a batch may point at, beside the right ones."""
STRANGE = 0.4
"""So often a prompt is trained on as if none with the same set of tools were known."""


def epochs_for(lines: int) -> int:
    """More for few lines: about as many steps, within bounds."""
    return int(np.clip(round(20_000 / max(1, lines)), 6, 16))


@dataclass(slots=True)
class Pace:
    """How far the training has come, 0 to 1, and how far each step brings it."""

    step: float
    began: float
    until: float
    come: float = 0.0
    steps: int = 0
    in_time: bool = True

    def go(self) -> None:
        """One step; longer ones from now on where those so far would not end in time.

        So the rates still fall to nothing: the clock shortens the training, it does not cut off its end.
        """
        self.come += self.step
        self.steps += 1
        if self.steps % 8:
            return
        now = time.monotonic()
        each, left = (now - self.began) / self.steps, max(self.until - now, 1e-3)
        rest = 1.0 - self.come
        if rest > self.step and rest / self.step * each > left:
            self.step, self.in_time = rest * each / left, False

    def is_over(self) -> bool:
        """Whether the training has come to its end."""
        return self.come > 1.0 - 1e-9

    def rate(self) -> float:
        """The share of the full rates here: up to 1, then down to 0, along a cosine (Smith 2018)."""
        if self.come < WARM:
            return 0.04 + 0.48 * (1.0 - math.cos(math.pi * self.come / WARM))
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (self.come - WARM) / (1.0 - WARM))))


def teach(
    composer: Composer, texts: Texts, *, epochs: int, seed: int, until: float, rate: float = 1.0
) -> bool:
    """Trains in place on the prompts of the composer's experience, as read in `texts`.

    Answers whether all epochs were done before the monotonic time `until`; else it went through fewer.
    """
    dice = np.random.default_rng(seed)
    torch.manual_seed(seed)
    lengths = np.array([len(one) for one in texts.states])
    optimizer, rates = _optimizer(composer, rate)
    pace = Pace(1.0 / (epochs * len(_batches(lengths, np.random.default_rng(0)))), time.monotonic(), until)
    while not pace.is_over():
        for module in composer.modules():
            module.train()
        for rows in _batches(lengths, dice):
            if time.monotonic() > until or pace.is_over():
                break
            for group, full in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = full * pace.rate()
            _step(composer, texts, [int(row) for row in rows], dice, optimizer)
            pace.go()
        if time.monotonic() > until:
            break
    composer.renew(texts)
    return pace.in_time and pace.is_over()


def _optimizer(composer: Composer, rate: float) -> tuple[torch.optim.Optimizer, list[float]]:
    """With the full rate of each group of parameters."""
    groups: list[dict[str, Any]] = [
        {"params": list(composer.network.parameters())},
        {"params": list(composer.recogniser.parameters()), "weight_decay": 0.0},
    ]
    rates = [RATE, VOTE_RATE]
    if composer.upper is not None:
        groups.append({"params": list(composer.upper.parameters())})
        rates.append(UPPER_RATE)
    if composer.marginals is not None:
        groups.append({"params": list(composer.marginals.parameters()), "weight_decay": 0.0})
        rates.append(MARGINAL_RATE)
    return torch.optim.AdamW(groups, weight_decay=0.05), [rate * one for one in rates]


def _step(
    composer: Composer,
    texts: Texts,
    rows: list[int],
    dice: np.random.Generator,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step on these past prompts."""
    experience = composer.experience
    strange = dice.random(len(rows)) < STRANGE
    hidden = [
        experience.hidden_rows(row, with_alike=bool(odd)) for row, odd in zip(rows, strange, strict=True)
    ]
    right = [experience.chains[row] for row in rows]
    among = _candidates(experience.seen(), right, dice)
    batch = composer.batch(texts, rows, hidden, among)
    places = {int(tool): place for place, tool in enumerate(among)}
    batch.chains = padded_chains([tuple(places[tool] for tool in chain) for chain in right])
    vectors = vectors_of(batch.tokens, batch.mask)
    loss = composer.network.loss(batch) + composer.recogniser.loss(vectors, torch.tensor(rows))
    if composer.marginals is not None:
        loss = loss + composer.marginals.loss(vectors, right)
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimizer.step()


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
