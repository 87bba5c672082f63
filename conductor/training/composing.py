"""Composes chains of tools for prompts: freely by the pointer network, and as known by the recogniser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.training.experience import FACTS, Chain, Experience
from conductor.training.layers import LowerLayers, UpperLayers, padded, sentence_vectors
from conductor.training.marginals import Marginals
from conductor.training.pointer import Batch, Pointer, Proposal, likelihoods, propose
from conductor.training.recogniser import Recogniser
from conductor.words import clauses_of

Array = np.ndarray[Any, Any]

FIRST = 3
"""Layers of the encoder from this one on are trained further; those below run once for each text."""
ENOUGH = 1200
"""With fewer prompts to learn from, the encoder stays as it is: its layers would learn them by heart."""
BATCH = 64
WIDTH, RECOGNISED = 12, 20
"""Chains that come into question: of the beam, and of those known."""
VOTE = 0.5
"""The recogniser's share in the probability of a chain; what it was chosen on stands in `docs/conductor.md`."""
CALM, STRANGER_CALM, EVIDENCE = 0.6, 0.3, 0.25
"""The power of that probability, since networks are surer than they are right; by how much it is less where the
recogniser abstains altogether; and the weight of each nat that the marginals add. Chosen as `VOTE` was."""


@dataclass(slots=True)
class Texts:
    """Prompts as the networks read them: states of each one's tokens, its vector, those of its clauses."""

    states: list[Array]
    vectors: Array
    clauses: list[Array]


def read_texts(lower: LowerLayers, prompts: Sequence[str], *, whole: bool) -> Texts:
    """`lower` answers with the states after `FIRST` and after all layers; `whole`: the latter are kept."""
    (states, last), _ = lower.states(prompts)
    pieces = [[c.text for c in clauses_of(prompt) if c.coarse] or [prompt] for prompt in prompts]
    (_, flat), _ = lower.states([piece for one in pieces for piece in one])
    ends = np.cumsum([len(one) for one in pieces])
    of_pieces = sentence_vectors(flat)
    clauses = np.split(of_pieces, ends[:-1]) if len(ends) else []
    kept = [s.astype(np.float16) for s in (last if whole else states)]
    return Texts(kept, sentence_vectors(last), list(clauses))


@dataclass(slots=True)
class Composer:
    """The pointer network with the encoder's upper layers and what past prompts tell.

    Without `upper` the texts' states are those of the last layer; so few prompts teach no `marginals` either.
    """

    experience: Experience
    upper: UpperLayers | None
    network: Pointer
    recogniser: Recogniser
    marginals: Marginals | None
    tools: Tensor
    own: Tensor

    @classmethod
    def new(cls, experience: Experience, lower: LowerLayers, seed: int) -> Composer:
        """Untrained; its layers are to be trained where experience is enough."""
        torch.manual_seed(seed)
        enough = is_enough(len(experience.chains))
        upper = UpperLayers(lower.model, FIRST) if enough else None
        count = experience.count
        network = Pointer(FACTS, known=count)
        own = torch.where(torch.from_numpy(experience.seen()), torch.arange(1, count + 1), 0)
        recogniser = Recogniser(experience.vectors, experience.chains)
        marginals = Marginals(experience.tools, experience.chains) if enough else None
        tools = torch.from_numpy(experience.tools)[None]
        return cls(experience, upper, network, recogniser, marginals, tools, own[None])

    def modules(self) -> list[nn.Module]:
        """All that learns."""
        all_of_them = (self.network, self.recogniser, self.upper, self.marginals)
        return [module for module in all_of_them if module is not None]

    def remember(self, experience: Experience, texts: Texts) -> None:
        """From now on these are the past prompts, `texts` what was read of them."""
        votes = Recogniser(experience.vectors, experience.chains)
        votes.load_state_dict(self.recogniser.state_dict())
        self.experience, self.recogniser = experience, votes
        self.renew(texts)

    def renew(self, texts: Texts) -> None:
        """Reads all past prompts anew with the layers as they are now."""
        if self.upper is None:
            return
        self.upper.eval()
        with torch.no_grad():
            parts = range(0, len(texts.states), BATCH)
            read = [self.read(texts, range(k, min(k + BATCH, len(texts.states)))) for k in parts]
        self.recogniser.memory = torch.cat([vectors_of(tokens, mask) for tokens, mask in read])

    def read(self, texts: Texts, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of the last layer `[batch, tokens, 384]` and the mask of real tokens."""
        states, mask = padded([texts.states[row] for row in rows])
        return (states if self.upper is None else self.upper(states, mask)), mask

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
        tokens, mask = self.read(texts, rows)
        places = np.arange(self.experience.count) if among is None else among
        starts = [*places, self.experience.count]
        after = np.stack([h.after[np.ix_(starts, places)] for h in hints])
        return Batch(
            tokens=tokens,
            mask=mask,
            tools=self.tools[:, places],
            own=self.own[:, places],
            facts=torch.from_numpy(np.stack([h.facts[places] for h in hints])),
            after=torch.from_numpy(after),
            ends=torch.from_numpy(np.stack([h.ends[places] for h in hints])),
            chains=torch.zeros(len(rows), 0, dtype=torch.long),
        )

    def propose(self, texts: Texts, *, width: int = WIDTH, masked: bool = True) -> list[list[Proposal]]:
        """For each prompt the likeliest chains by free composition, best first."""
        found: list[list[Proposal]] = []
        for batch in self._batches(texts):
            found += propose(self.network, batch, width=width, masked=masked)
        return found

    def weigh(self, texts: Texts) -> list[list[Proposal]]:
        """For each prompt chains of free composition and known ones, weighed by all networks."""
        found: list[list[Proposal]] = []
        for batch in self._batches(texts):
            vectors = vectors_of(batch.tokens, batch.mask)
            with torch.no_grad():
                votes = self.recogniser(vectors)
            spread = votes.double().numpy()
            known = self.recogniser.chains
            likely = np.argsort(-spread[:, :-1], axis=1, kind="stable")[:, :RECOGNISED]
            proposals = propose(self.network, batch, width=WIDTH)
            recalled = [[known[int(k)] for k in row] for row in likely]
            scores = likelihoods(self.network, batch, recalled)
            joined = [
                self._joined(
                    dict(zip(recalled[row], scores[row], strict=True))
                    | {one.chain: one.score for one in beam},
                    spread[row],
                )
                for row, beam in enumerate(proposals)
            ]
            if self.marginals is not None:
                evidence = self.marginals.evidence(vectors, [list(row) for row in joined])
                for weighed, nats in zip(joined, evidence, strict=True):
                    for chain, of_chain in zip(weighed, nats, strict=True):
                        weighed[chain] += EVIDENCE * of_chain
            for weighed in joined:
                best_first = sorted(weighed.items(), key=lambda one: -one[1])
                found.append([Proposal(chain, score) for chain, score in best_first])
        return found

    def _joined(self, composed: dict[Chain, float], spread: Array) -> dict[Chain, float]:
        """Chains scored by two networks; as much as the recogniser abstains, the other alone decides."""
        numbers, none = self.recogniser.numbers, math.exp(spread[-1])
        alone, power = 1.0 - VOTE * (1.0 - none), CALM - STRANGER_CALM * none
        joined = {}
        for chain, score in composed.items():
            recognised = math.exp(spread[numbers[chain]]) if chain in numbers else 0.0
            joined[chain] = power * math.log(alone * math.exp(score) + VOTE * recognised + 1e-12)
        return joined

    def _batches(self, texts: Texts) -> Iterator[Batch]:
        """All prompts, with nothing hidden, 32 at a time; the networks are as for use."""
        for module in self.modules():
            module.eval()
        for start in range(0, len(texts.vectors), 32):
            rows = range(start, min(start + 32, len(texts.vectors)))
            with torch.no_grad():
                batch = self.batch(texts, rows, [()] * len(rows))
            yield batch


def is_enough(prompts: int) -> bool:
    """Whether so many prompts suffice to train the encoder's upper layers."""
    return prompts >= ENOUGH


def vectors_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors `[batch, 384]`: the mean of the real tokens' states."""
    summed = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return nn.functional.normalize(summed, dim=-1)
