"""A pointer network that composes chains of tools: what it may point to is given anew for each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WIDTH = 384
INNER = 256
HEADS = 4
LONGEST = 6
"""Tools in a chain at most; then it stops."""


@dataclass(slots=True)
class Batch:
    """Prompts with what is known about each tool before composing.

    Shapes: `tokens` `[b, t, 384]`, `mask` `[b, t]` (true for real tokens), `tools` `[b, n, 384]` the unit
    vectors of the tools' texts, `own` `[b, n]` their rows among those that training knows by number (0:
    none), `facts` `[b, n, facts]` about each tool and prompt, `after` `[b, n + 1, n, 2]` how usual it is
    that a tool follows another (the last row: that it begins), `ends` `[b, n, 2]` that it ends a chain,
    `chains` `[b, length]` the right tools' places, filled with -1. In `tools` and `own` the first dimension
    may be 1, when all prompts have the same tools.
    """

    tokens: Tensor
    mask: Tensor
    tools: Tensor
    own: Tensor
    facts: Tensor
    after: Tensor
    ends: Tensor
    chains: Tensor


class Pointer(nn.Module):  # type: ignore[misc]  # torch is not typed
    """Keys are tool embeddings plus a learned residual, queries come from the prompt and the chain so far.

    The residual is a small network of the tool's text, so that a new tool has one, too. Tools that training
    showed may have a row of their own, which is dropped at random, so that no choice depends on it.

    Args:
        facts: numbers known about each tool and prompt.
        known: tools that have a row of their own.
        dropout: of the inner states; `forget` is how often a tool's own row is dropped.
    """

    def __init__(self, facts: int, known: int = 0, dropout: float = 0.2, forget: float = 0.3) -> None:
        super().__init__()
        self.forget = forget
        self.dropout = nn.Dropout(dropout)
        self.key = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, INNER))
        self.direct = nn.Linear(WIDTH, INNER, bias=False)
        self.own = nn.Parameter(torch.zeros(known + 1, INNER))
        self.read = nn.Linear(WIDTH, INNER)
        self.look = nn.Linear(WIDTH, INNER)
        self.begin = nn.Parameter(torch.zeros(INNER))
        self.place = nn.Parameter(torch.randn(LONGEST + 1, INNER) * 0.02)
        self.decoder = nn.TransformerDecoderLayer(
            INNER, HEADS, 2 * INNER, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.done = nn.LayerNorm(INNER)
        self.query = nn.Linear(INNER, INNER)
        self.stop = nn.Linear(INNER, 1)
        self.fact = nn.Sequential(nn.Linear(facts, 16), nn.GELU(), nn.Linear(16, 1))
        self.gate = nn.Linear(INNER, 6)

    def keys(self, batch: Batch) -> Tensor:
        """`[b, n, INNER]`; the first dimension may be 1."""
        own = self.own * (torch.arange(len(self.own)) > 0)[:, None]
        if self.training:
            own = own * (torch.rand(len(own), 1) > self.forget)
        keys: Tensor = self.direct(batch.tools) + self.key(batch.tools) + own[batch.own]
        return keys

    def read_prompt(self, batch: Batch) -> Reading:
        """How well each tool fits the whole prompt: one place of the prompt speaks for a tool."""
        keys = self.keys(batch)
        likeness = self.look(batch.tokens) @ keys.transpose(1, 2) / INNER**0.5
        likeness = likeness.masked_fill(~batch.mask[..., None], -1e4)
        best = torch.logsumexp(likeness, dim=1) - batch.mask.sum(1, keepdim=True).float().log()
        fit = best + self.fact(batch.facts)[..., 0]
        return Reading(keys.expand(len(fit), -1, -1), fit, self.dropout(self.read(batch.tokens)), batch)

    def steps(self, reading: Reading, chains: Tensor, masked: bool = True) -> Tensor:
        """Logits of the next tool or, last, of STOP after each beginning of the chains `[chains, length]`.

        Equally many chains for each prompt, one prompt's after the other's. Shape `[chains, length + 1,
        n + 1]`. Unless `masked` is off, a tool is chosen once and a chain has at least one.
        """
        batch, keys, fit = reading.batch, reading.keys, reading.fit
        (b, n), (count, length) = fit.shape, chains.shape
        # A prompt's chains stand one after the other in one sequence, in which none sees another's tools: so
        # the prompt is read once for all of them.
        rows, known = torch.arange(b)[:, None], chains.clamp(min=0)
        so_far = keys[rows, known.view(b, -1)].view(count, length, INNER)
        x = torch.cat([self.begin.expand(count, 1, INNER), so_far], dim=1) + self.place[: length + 1]
        padding = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, float("-inf"))
        state = self.decoder(
            x.view(b, -1, INNER),
            reading.memory,
            tgt_mask=_of_own_chain(count // b, length + 1),
            memory_key_padding_mask=padding,
        )
        state = self.dropout(self.done(state))
        gate = nn.functional.softplus(self.gate(state))
        begun = torch.cat([torch.full((count, 1), n), known], dim=1)
        last = begun.view(b, -1)
        logits = self.query(state) @ keys.transpose(1, 2) / INNER**0.5
        logits = logits + gate[..., :1] * fit[:, None, :]
        logits = logits + (gate[..., 1:3].unsqueeze(2) * batch.after[rows, last]).sum(-1)
        marks = torch.zeros(count, length + 1, n + 1).scatter_(2, begun[..., None], 1.0)
        chosen = (marks.cumsum(1)[..., :n] > 0).view(logits.shape)
        never = torch.zeros(b, 1, 2)
        ends = torch.cat([batch.ends, never], dim=1)[rows, last]
        remaining = fit[:, None, :].masked_fill(chosen, -20.0)
        stop = self.stop(state) + (ends * gate[..., 3:5]).sum(-1, keepdim=True)
        stop = stop - gate[..., 5:6] * torch.logsumexp(remaining, dim=2, keepdim=True)
        if masked:
            logits, stop = logits.masked_fill(chosen, -1e4), stop.masked_fill((last == n)[..., None], -1e4)
        return torch.cat([logits, stop], dim=2).view(count, length + 1, n + 1)

    def loss(self, batch: Batch) -> Tensor:
        """-log P of the chains, and half of -log P of each of their tools without order."""
        reading = self.read_prompt(batch)
        b, n = reading.fit.shape
        right = torch.zeros(b, n + 1).scatter_(1, torch.where(batch.chains < 0, n, batch.chains), 1.0)[:, :n]
        spread = torch.log_softmax(reading.fit, dim=1)
        of_nodes = -(spread * right).sum(1) / right.sum(1)
        lengths = (batch.chains >= 0).sum(1, keepdim=True)
        target = torch.cat([batch.chains, torch.full((b, 1), -1)], dim=1)
        place = torch.arange(target.shape[1])[None, :]
        target = torch.where(place == lengths, n, target)
        target = torch.where(place > lengths, -100, target)
        logits = self.steps(reading, batch.chains)
        of_chains = nn.functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=-100, reduction="sum"
        )
        return of_chains / b + 0.5 * of_nodes.mean()


@dataclass(slots=True)
class Reading:
    """What the network made of prompts before it composes: keys, fit of each tool, states of the tokens."""

    keys: Tensor
    fit: Tensor
    memory: Tensor
    batch: Batch


@dataclass(frozen=True, slots=True)
class Proposal:
    """A chain of places among the tools, and how likely the network holds it."""

    chain: tuple[int, ...]
    score: float


def _of_own_chain(chains: int, length: int) -> Tensor:
    """0 where a place may look at another of the same chain and not after it, else minus infinity."""
    place = torch.arange(chains * length)
    own = (place[:, None] // length == place // length) & (place[:, None] >= place)
    return torch.zeros(own.shape).masked_fill(~own, float("-inf"))


def padded_chains(chains: Sequence[Sequence[int]]) -> Tensor:
    """Chains of different lengths as `[chains, longest]`, filled with -1."""
    longest = min(LONGEST, max(len(chain) for chain in chains))
    rows = [[*chain[:longest], *[-1] * (longest - len(chain))] for chain in chains]
    return torch.tensor(rows, dtype=torch.long)


def likelihoods(
    network: Pointer, batch: Batch, chains: Sequence[Sequence[tuple[int, ...]]]
) -> list[list[float]]:
    """log P of given chains, equally many for each prompt."""
    with torch.no_grad():
        reading = network.read_prompt(batch)
        given = padded_chains([chain for row in chains for chain in row])
        spread = torch.log_softmax(network.steps(reading, given), dim=2)
        lengths = (given >= 0).sum(1, keepdim=True)
        target = torch.cat([given.clamp(min=0), torch.zeros(len(given), 1, dtype=torch.long)], dim=1)
        target = target.scatter(1, lengths, spread.shape[2] - 1)
        each = spread.gather(2, target[..., None])[..., 0]
        counts = torch.arange(each.shape[1])[None, :] <= lengths
        scores: list[list[float]] = (each * counts).sum(1).view(len(chains), -1).tolist()
        return scores


def propose(
    network: Pointer, batch: Batch, width: int = 10, most: int = LONGEST, masked: bool = True
) -> list[list[Proposal]]:
    """For each prompt the likeliest chains by beam search, best first; scores are log P."""
    with torch.no_grad():
        return _search(network, batch, width, most, masked)


def _search(network: Pointer, batch: Batch, width: int, most: int, masked: bool) -> list[list[Proposal]]:
    reading = network.read_prompt(batch)
    b, n = reading.fit.shape
    chains = torch.zeros(b * width, 0, dtype=torch.long)
    scores = torch.full((b, width), -1e9)
    scores[:, 0] = 0.0
    done: list[list[Proposal]] = [[] for _ in range(b)]
    for length in range(most + 1):
        step = torch.log_softmax(network.steps(reading, chains, masked)[:, -1], dim=1).view(b, width, n + 1)
        total = scores[..., None] + step
        stopped = total[..., n]
        for row in range(b):
            for beam in range(width):
                if (score := float(stopped[row, beam])) > -1e3:
                    done[row].append(Proposal(tuple(chains[row * width + beam].tolist()), score))
        if length == most:
            break
        scores, flat = total[..., :n].flatten(1).topk(width, dim=1)
        parents = flat // n + torch.arange(b)[:, None] * width
        chains = torch.cat([chains[parents.flatten()], (flat % n).flatten()[:, None]], dim=1)
        best = torch.tensor([max((p.score for p in found), default=-1e9) for found in done])
        if bool((scores[:, 0] < best - 5.0).all()):
            break
    return [sorted(found, key=lambda p: -p.score)[: 2 * width] for found in done]
