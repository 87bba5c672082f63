"""Learns a policy of the host from the replay: a clipped surrogate with bounded importance, anchored, with
demonstrations beside it.

Old decisions count by how likely the policy in use is to take them, at most twice (`ReplayBuffer.samples`); the
divergence from that policy is paid for and bounded, and right actions of the teacher are replayed with it. Without
these three a learner that is fed by its own play loses what it knew (see the facts in docs/conductor.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.learning.replay import CLIP, ReplayBuffer, Sample
from conductor.learning.store import Numbers
from conductor.policy import BASIS, MATCH, Policy, expected_shapes
from conductor.training.clone import Networks, loss_of, run_layers
from conductor.training.dataset import Decision

Array = np.ndarray[Any, np.dtype[np.float32]]

MASKED = -1e9


@dataclass(frozen=True, slots=True)
class Settings:
    """One lesson's hyper-parameters."""

    epochs: int = 12
    batch: int = 128
    learning_rate: float = 1e-4
    clip: float = 0.2
    """Of the ratio to the policy in use (PPO)."""
    anchor: float = 0.2
    """Weight of the divergence from the policy in use."""
    most_divergence: float = 0.05
    """Mean divergence on the replay's states at which the lesson ends."""
    shown: float = 0.5
    """Weight of the demonstrations."""
    value: float = 0.5
    most_gradient: float = 1.0


def networks_of(policy: Policy) -> Networks:
    """Networks in torch with a policy's weights."""
    networks = Networks()
    _restore(networks, {name: policy.array(name) for name in expected_shapes()})
    return networks


def _restore(networks: Networks, arrays: Mapping[str, Array]) -> None:
    with torch.no_grad():
        for name, layers in (("policy", networks.policy), ("value", networks.value)):
            for place, layer in enumerate(layers):
                assert isinstance(layer, nn.Linear)
                layer.weight.copy_(torch.from_numpy(arrays[f"{name}.{place}.weight"]))
                layer.bias.copy_(torch.from_numpy(arrays[f"{name}.{place}.bias"]))
        for name, part in (("key", networks.key), ("match", networks.match), ("stop", networks.stop)):
            part.weight.copy_(torch.from_numpy(arrays[f"{name}.weight"]))
        networks.stop_key.copy_(torch.from_numpy(arrays["stop.key"]))


@dataclass(slots=True)
class Batch:
    """Decisions of the replay, padded to one width; the last column of each row of actions is STOP."""

    state: Tensor
    vectors: Tensor
    matches: Tensor
    stop: Tensor
    allowed: Tensor
    action: Tensor
    reward: Tensor
    weight: Tensor
    behaviour: Tensor
    """How likely the policy that chose held the action to be."""
    is_label: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], numbers: Mapping[str, Numbers]) -> Batch:
        """Of samples whose numbers are known."""
        rows = [numbers[s.decision.state] for s in samples]
        widest = max(len(row.vectors) for row in rows)
        count = len(rows)
        vectors = np.zeros((count, widest, BASIS), dtype=np.float32)
        matches = np.zeros((count, widest, MATCH), dtype=np.float32)
        allowed = np.zeros((count, widest + 1), dtype=bool)
        action = np.zeros(count, dtype=np.int64)
        for at, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            size = len(row.vectors)
            vectors[at, :size], matches[at, :size] = row.vectors, row.matches
            allowed[at, :size], allowed[at, -1] = row.allowed[:size], row.allowed[-1]
            # Candidates of a decision are named in the order of the allowed places.
            places = np.flatnonzero(allowed[at])
            action[at] = places[sample.decision.candidates.index(sample.decision.action)]
        return cls(
            torch.from_numpy(np.stack([row.state for row in rows])), torch.from_numpy(vectors),
            torch.from_numpy(matches), torch.from_numpy(np.stack([row.stop for row in rows])),
            torch.from_numpy(allowed), torch.from_numpy(action), _floats(s.reward for s in samples),
            _floats(s.weight for s in samples), _floats(s.decision.probability for s in samples),
            torch.tensor([s.is_label for s in samples]),
        )  # fmt: skip

    def rows(self, chosen: Tensor) -> Batch:
        """Some of the rows."""
        return Batch(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def log_probs(self, networks: Networks) -> Tensor:
        """`[batch, n + 1]`, of all actions under the masks."""
        logits = networks.logits(self.state, self.vectors, self.matches, self.stop)
        return torch.log_softmax(logits.masked_fill(~self.allowed, MASKED), dim=1)

    def taken(self, log_probs: Tensor) -> Tensor:
        """Of the actions that are learnt from, `[batch]`."""
        return log_probs.gather(1, self.action[:, None])[:, 0]


def _floats(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32)


def probabilities_now(
    policy: Policy, buffer: ReplayBuffer, numbers: Mapping[str, Numbers]
) -> dict[tuple[str, str], float]:
    """How likely a policy is to take each decision of the buffer, by (state, action)."""
    samples = [s for s in buffer.samples({}) if s.decision.state in numbers]
    if not samples:
        return {}
    batch = Batch.of(samples, numbers)
    with torch.no_grad():
        likely = batch.taken(batch.log_probs(networks_of(policy))).exp().tolist()
    return {(s.decision.state, s.decision.action): p for s, p in zip(samples, likely, strict=True)}


def improve(
    incumbent: Policy,
    buffer: ReplayBuffer,
    numbers: Mapping[str, Numbers],
    shown: Sequence[Decision],
    *,
    seed: int,
    settings: Settings | None = None,
) -> tuple[dict[str, Array], list[dict[str, float]]]:
    """All arrays of a policy that has learnt from the replay, and the curve, one row an epoch.

    `numbers` are those of the buffer's states, `shown` the teacher's decisions. The rows hold `policy_loss`,
    `value_loss`, `kl_divergence` (from the policy in use, on the replay), `return` (what the runs of the replay
    would have brought under the new policy, by bounded importance) and `shown_loss`.
    """
    settings = settings or Settings()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    now = probabilities_now(incumbent, buffer, numbers)
    samples = [s for s in buffer.samples(now) if s.decision.state in numbers]
    whole = Batch.of(samples, numbers)
    networks = networks_of(incumbent)
    with torch.no_grad():
        before = whole.log_probs(networks)
    rate = settings.learning_rate
    optimizer = torch.optim.Adam(networks.parameters(), lr=rate)
    dice = np.random.default_rng(seed)
    curve: list[dict[str, float]] = []
    kept = networks.arrays()
    for epoch in range(settings.epochs):
        losses = []
        for rows in torch.randperm(len(samples)).split(settings.batch):
            part = [shown[i] for i in dice.integers(len(shown), size=settings.batch)] if shown else []
            losses.append(_step(networks, optimizer, whole.rows(rows), before[rows], part, settings))
        row = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
        with torch.no_grad():
            after = whole.log_probs(networks)
        row |= {
            "step": float(epoch + 1),
            "kl_divergence": _divergence(after, before),
            "return": _worth(whole, after),
        }
        if row["kl_divergence"] > settings.most_divergence:
            # Too far: back to where it was within the bound, and on in smaller steps.
            _restore(networks, kept)
            rate /= 2.0
            optimizer = torch.optim.Adam(networks.parameters(), lr=rate)
            continue
        kept = networks.arrays()
        curve.append({name: round(value, 5) for name, value in row.items()})
    arrays = {name: incumbent.array(name) for name in expected_shapes()} | kept
    return arrays, curve


def _step(
    networks: Networks,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    before: Tensor,
    shown: Sequence[Decision],
    settings: Settings,
) -> dict[str, float]:
    log_probs = batch.log_probs(networks)
    taken, old = batch.taken(log_probs), batch.taken(before)
    value = torch.sigmoid(run_layers(networks.value, batch.state)[:, 0])
    advantage = batch.reward - value.detach()
    ratio = (taken - old).exp()
    bounded = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
    surrogate = -torch.minimum(ratio * advantage, bounded * advantage)
    each = torch.where(batch.is_label, -taken, surrogate)
    policy_loss = (batch.weight * each).sum() / batch.weight.sum()
    is_run = (~batch.is_label).float()
    value_loss = (is_run * (value - batch.reward) ** 2).sum() / is_run.sum().clamp(min=1.0)
    divergence = (log_probs.exp() * (log_probs - before)).sum(1).mean()
    loss = policy_loss + settings.value * value_loss + settings.anchor * divergence
    row = {"policy_loss": policy_loss.item(), "value_loss": value_loss.item()}
    if shown:
        imitation, _ = loss_of(networks, shown)
        loss = loss + settings.shown * imitation
        row["shown_loss"] = imitation.item()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(networks.parameters(), settings.most_gradient)
    optimizer.step()
    return row


def _divergence(after: Tensor, before: Tensor) -> float:
    return float((after.exp() * (after - before)).sum(1).mean())


def _worth(batch: Batch, log_probs: Tensor) -> float:
    """The mean reward of the replay's runs, each weighed by how likely the policy is to act so, at most `CLIP`."""
    runs = ~batch.is_label
    if not bool(runs.any()):
        return 1.0
    weights = (batch.taken(log_probs).exp() / batch.behaviour).clamp(max=CLIP)[runs]
    return float((weights * batch.reward[runs]).sum() / weights.sum().clamp(min=1e-6))
