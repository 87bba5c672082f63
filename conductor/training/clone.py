"""Behaviour cloning of the right choices, in PyTorch: a set-valued cross-entropy under the masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.policy import ACTION, BASIS, LEARNED, MATCH, POLICY_HIDDEN, STATE, VALUE_HIDDEN
from conductor.training.dataset import Decision

Array = np.ndarray[Any, np.dtype[np.float32]]


def _stack(sizes: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))


def run_layers(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """A stack with ReLU between its layers."""
    for place, layer in enumerate(layers):
        x = layer(x)
        if place < len(layers) - 1:
            x = torch.relu(x)
    return x


class Networks:
    """Policy and value network of the spec with the key side; `conductor.policy` runs the same in numpy."""

    def __init__(self) -> None:
        self.policy = _stack((STATE, *POLICY_HIDDEN, ACTION))
        self.value = _stack((STATE, *VALUE_HIDDEN, 1))
        self.key = nn.Linear(BASIS, LEARNED, bias=False)
        self.match = nn.Linear(MATCH, MATCH, bias=False)
        self.stop = nn.Linear(MATCH, MATCH, bias=False)
        self.stop_key = nn.Parameter(torch.zeros(LEARNED))
        with torch.no_grad():
            self.match.weight.copy_(torch.eye(MATCH))

    def modules(self) -> list[nn.Module]:
        """The parts; `stop_key` stands beside them."""
        return [self.policy, self.value, self.key, self.match, self.stop]

    def parameters(self) -> list[Tensor]:
        """All that is trained."""
        return [p for part in self.modules() for p in part.parameters()] + [self.stop_key]

    def logits(self, state: Tensor, candidates: Tensor, matches: Tensor, stop: Tensor) -> Tensor:
        """`[batch, n + 1]` scores; the last column is STOP."""
        query = run_layers(self.policy, state)
        keys = torch.cat([self.key(candidates), self.match(matches)], dim=2)
        scores = torch.einsum("bnd,bd->bn", keys, query)
        last = torch.cat([self.stop_key.expand(len(state), -1), self.stop(stop)], dim=1)
        return torch.cat([scores, (last * query).sum(1, keepdim=True)], dim=1)

    def arrays(self) -> dict[str, Array]:
        """The weights under the names of `conductor.policy.expected_shapes`."""
        found: dict[str, Array] = {}
        for name, layers in (("policy", self.policy), ("value", self.value)):
            for place, layer in enumerate(layers):
                found[f"{name}.{place}.weight"] = layer.weight.detach().numpy().copy()
                found[f"{name}.{place}.bias"] = layer.bias.detach().numpy().copy()
        found["key.weight"] = self.key.weight.detach().numpy().copy()
        found["match.weight"] = self.match.weight.detach().numpy().copy()
        found["stop.weight"] = self.stop.weight.detach().numpy().copy()
        found["stop.key"] = self.stop_key.detach().numpy().copy()
        return found


def batch_of(decisions: Sequence[Decision]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """State, candidates, matches, stop facts, right marks and the mask of what exists, padded to one width."""
    widest = max(len(d.candidates) for d in decisions)
    count = len(decisions)
    candidates = np.zeros((count, widest, BASIS), dtype=np.float32)
    matches = np.zeros((count, widest, MATCH), dtype=np.float32)
    right = np.zeros((count, widest + 1), dtype=np.float32)
    mask = np.zeros((count, widest + 1), dtype=bool)
    for row, d in enumerate(decisions):
        n = len(d.candidates)
        candidates[row, :n], matches[row, :n] = d.candidates, d.matches
        right[row, :n], right[row, -1] = d.right[:-1], d.right[-1]
        # STOP is masked in the empty state, as in the host.
        mask[row, :n], mask[row, -1] = True, bool(d.stop[3])
    state = np.stack([d.state for d in decisions])
    stop = np.stack([d.stop for d in decisions])
    return (
        torch.from_numpy(state), torch.from_numpy(candidates), torch.from_numpy(matches),
        torch.from_numpy(stop), torch.from_numpy(right), torch.from_numpy(mask),
    )  # fmt: skip


def loss_of(
    networks: Networks, decisions: Sequence[Decision], forget: torch.Generator | None = None
) -> tuple[Tensor, float]:
    """The mean of -log P(any right action), and how often the likeliest action is right.

    `forget` turns the sentence vectors off for part of the batch, so that the networks learn to choose
    by the facts about a candidate when they have never met it.
    """
    state, candidates, matches, stop, right, mask = batch_of(decisions)
    if forget is not None:
        keep = (torch.rand(len(state), 1, generator=forget) > 0.7).float()
        state[:, :384] = state[:, :384] * keep
        candidates = candidates * (torch.rand(len(state), 1, 1, generator=forget) > 0.7).float()
        state[:, :384] += 0.1 * torch.randn(len(state), 384, generator=forget) * keep
    logits = networks.logits(state, candidates, matches, stop).masked_fill(~mask, -1e9)
    log_all = torch.logsumexp(logits, dim=1)
    log_right = torch.logsumexp(logits.masked_fill(right == 0, -1e9), dim=1)
    hits = right.gather(1, logits.argmax(1, keepdim=True)).mean().item()
    return (log_all - log_right).mean(), hits


def clone(
    networks: Networks, train: Sequence[Decision], held: Sequence[Decision], *, epochs: int, seed: int
) -> list[dict[str, float]]:
    """Trains in place; answers with the curve, one row an epoch."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-3, weight_decay=0.1)
    batch = 256
    steps = epochs * (len(train) // batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.5e-3, total_steps=steps)
    order = np.arange(len(train))
    shuffler = np.random.default_rng(seed)
    curve = []
    for epoch in range(epochs):
        shuffler.shuffle(order)
        losses = []
        for start in range(0, len(order), batch):
            part = [train[i] for i in order[start : start + batch]]
            loss, _ = loss_of(networks, part, generator)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        with torch.no_grad():
            parts = [loss_of(networks, held[s : s + 512]) for s in range(0, len(held), 512)]
        weights = [len(held[s : s + 512]) for s in range(0, len(held), 512)]
        row = {
            "epoch": epoch,
            "policy_loss": float(np.mean(losses)),
            "held_loss": float(np.average([p[0].item() for p in parts], weights=weights)),
            "held_right": float(np.average([p[1] for p in parts], weights=weights)),
        }
        curve.append(row)
        print({k: round(v, 4) for k, v in row.items()}, flush=True)
    return curve


def fit_value(networks: Networks, states: Array, returns: Array, *, seed: int, epochs: int = 8) -> float:
    """Teaches the value network how often the policy ends right from a state; answers with the last loss."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(networks.value.parameters(), lr=5e-4, weight_decay=0.05)
    x, y = torch.from_numpy(states), torch.from_numpy(returns)
    loss_value = 0.0
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(256):
            predicted = run_layers(networks.value, x[rows])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(predicted, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_value = loss.item()
    return loss_value
