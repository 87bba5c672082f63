"""Recognises whole chains: how likely a prompt asks for what past prompts asked for, by learnt likeness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]
Chain = tuple[int, ...]

SHARPNESS = 14.0
"""How much a likeness of 1 weighs against one of 0 before training, in nats."""
STRANGER = 0.7
"""From this likeness on the nearest prompt weighs more than that none is alike, before training."""


class Recogniser(nn.Module):  # type: ignore[misc]  # torch is not typed
    """A soft vote of the past prompts, by likeness of their vectors, for the chains that served them.

    Neighbourhood components analysis (Goldberger et al. 2004) over a memory of vectors that is renewed
    whenever a prompt is read (Wu et al. 2018, arXiv:1805.01978). A learnt weight votes for no known chain;
    past prompts whose chain no other has teach it.

    Args:
        vectors: unit vectors of the past prompts `[m, width]`.
        chains: the tools that served each.
    """

    def __init__(self, vectors: Array, chains: Sequence[Chain]) -> None:
        super().__init__()
        self.chains = list(dict.fromkeys(chains))
        self.numbers = {chain: number for number, chain in enumerate(self.chains)}
        self.of_row = torch.tensor([self.numbers[chain] for chain in chains])
        self.alone = torch.bincount(self.of_row, minlength=len(self.chains))[self.of_row] < 2
        self.memory = torch.from_numpy(np.array(vectors, dtype=np.float32))
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.stranger = nn.Parameter(torch.tensor(STRANGER))

    def forward(self, vectors: Tensor, rows: Tensor | None = None) -> Tensor:
        """Log P of each known chain and, last, of none of them `[batch, chains + 1]`.

        With `rows`, the prompts are these past ones, and none votes for itself.
        """
        likeness = vectors @ self.memory.T
        votes = torch.exp(self.sharpness * (likeness - 1.0))
        if rows is not None:
            votes = votes.masked_fill(torch.arange(len(self.memory)) == rows[:, None], 0.0)
        summed = torch.zeros(len(vectors), len(self.chains)).index_add(1, self.of_row, votes)
        none = torch.exp(self.sharpness * (self.stranger - 1.0)).expand(len(vectors), 1)
        spread = torch.cat([summed, none], dim=1)
        return torch.log(spread + 1e-12) - torch.log(spread.sum(dim=1, keepdim=True))

    def loss(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """-log P of the chains of these past prompts; renews what is remembered of them."""
        spread = self(vectors, rows)
        right = torch.where(self.alone[rows], len(self.chains), self.of_row[rows])
        # Not in place: the gradient needs the memory as it was read.
        self.memory = self.memory.index_copy(0, rows, vectors.detach())
        return nn.functional.nll_loss(spread, right)
