"""How likely each tool, and each step from one tool to the next, belongs to what a prompt asks for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]
Chain = tuple[int, ...]

DROPOUT = 0.1
LINK_SHARE = 0.2
"""How much a step's evidence counts against a tool's."""


class Marginals(nn.Module):  # type: ignore[misc]  # torch is not typed
    """One decision for each tool, and one for each step that past prompts show, from the prompt's vector alone.

    It knows nothing of what stands beside a tool, so it errs otherwise than what composes step by step.

    Args:
        tools: unit vectors of the tools' texts `[n, width]`; from them it starts.
        chains: the tools that served each past prompt.
    """

    def __init__(self, tools: Array, chains: Sequence[Chain]) -> None:
        super().__init__()
        self.moves = {
            move: place for place, move in enumerate(dict.fromkeys(m for c in chains for m in pairwise(c)))
        }
        count, width = tools.shape
        self.dropout = nn.Dropout(DROPOUT)
        self.nodes = nn.Linear(width, count)
        self.links = nn.Linear(width, len(self.moves))
        ends = np.array(list(self.moves), dtype=np.intp).reshape(-1, 2)
        with torch.no_grad():
            # So that a tool whose text is as like as prompts and their tools mostly are is an even bet.
            self.nodes.weight.copy_(torch.from_numpy(10.0 * tools))
            self.nodes.bias.fill_(-7.0)
            self.links.weight.copy_(torch.from_numpy(6.0 * tools[ends].sum(axis=1)))
            self.links.bias.fill_(-9.0)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the tools `[batch, n]` and of the known steps `[batch, steps]`."""
        vectors = self.dropout(vectors)
        return self.nodes(vectors), self.links(vectors)

    def loss(self, vectors: Tensor, chains: Sequence[Chain]) -> Tensor:
        """-log P of all the decisions for a prompt, on average; steps that it does not know are left out."""
        nodes, links = self(vectors)
        used, gone = torch.zeros_like(nodes), torch.zeros_like(links)
        for row, chain in enumerate(chains):
            used[row, list(chain)] = 1.0
            gone[row, self._known(chain)] = 1.0
        of_nodes = nn.functional.binary_cross_entropy_with_logits(nodes, used, reduction="sum")
        of_links = nn.functional.binary_cross_entropy_with_logits(links, gone, reduction="sum")
        return (of_nodes + of_links) / len(chains)

    def evidence(self, vectors: Tensor, chains: Sequence[Sequence[Chain]]) -> list[list[float]]:
        """For each prompt how much speaks for each of its chains, in nats: its tools' and steps' log odds."""
        with torch.no_grad():
            both = zip(*(logits.double().numpy() for logits in self(vectors)), chains, strict=True)
            return [
                [float(n[list(one)].sum() + LINK_SHARE * k[self._known(one)].sum()) for one in row]
                for n, k, row in both
            ]

    def _known(self, chain: Chain) -> list[int]:
        return [self.moves[move] for move in pairwise(chain) if move in self.moves]
