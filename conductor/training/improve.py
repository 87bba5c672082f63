"""Learns a policy of the host from the replay: labels first, a clipped surrogate with bounded importance beside them,
anchored where nobody corrected anything.

What a user corrected is taken as right, whichever way leads there. What runs brought moves the policy little: old
decisions count by how likely the policy in use is to take them, at most twice (`ReplayBuffer.samples`). On states that
nobody corrected, and on those of the demonstrations, the divergence from the policy in use is paid for and bounded.
Without these a learner that is fed by its own play loses what it knew (see the facts in docs/conductor.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.learning.replay import CLIP, ReplayBuffer, Sample
from conductor.learning.store import Numbers
from conductor.policy import Policy, expected_shapes
from conductor.training.clone import Networks, run_layers
from conductor.training.dataset import Decision
from conductor.training.rows import Batch, Rows

Array = np.ndarray[Any, np.dtype[np.float32]]

MOST = 12_000
"""Decisions of a lesson: what somebody labelled, and then the newest."""


PART = 512
"""Rows that are measured at once."""
LOOKED = 2_000
"""Decisions that are looked at after an epoch."""
PROMPT, BLUR = 384, 0.1
"""So many numbers of a state are sentence vectors; noise of this size is laid over those of labelled rows."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One lesson's hyper-parameters."""

    epochs: int = 16
    batch: int = 128
    learning_rate: float = 3e-4
    clip: float = 0.2
    """Of the ratio to the policy in use (PPO)."""
    anchor: float = 4.0
    """Weight of the divergence from the policy in use."""
    most_divergence: float = 0.05
    """Mean divergence where nobody corrected anything at which the lesson goes back."""
    shown: float = 0.2
    """Weight of the demonstrations' right actions."""
    steps: int = 24
    """Of an epoch, whatever the number of decisions: few are gone over several times."""
    forget: float = 0.5
    """In such a share of the labelled decisions the prompt is hidden."""
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


def lesson_of(buffer: ReplayBuffer, now: Mapping[tuple[str, str], float] | None = None) -> list[Sample]:
    """What a lesson is about: of the labelled decisions the newest, then of the others, `MOST` in all."""
    samples = list(buffer.samples(dict(now or {})))[::-1]
    labelled = [s for s in samples if s.right][:MOST]
    return labelled + [s for s in samples if not s.right][: MOST - len(labelled)]


def probabilities_now(
    policy: Policy, buffer: ReplayBuffer, numbers: Mapping[str, Numbers]
) -> dict[tuple[str, str], float]:
    """How likely a policy is to take each decision of a lesson, by (state, action)."""
    samples = [s for s in lesson_of(buffer) if s.decision.state in numbers]
    rows = Rows()
    rows.add_samples(samples, numbers)
    networks = networks_of(policy)
    likely: list[float] = []
    for part in _parts(range(len(rows))):
        batch = rows.batch(part)
        with torch.no_grad():
            likely += batch.chosen(batch.log_probs(networks)).exp().tolist()
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

    `numbers` are those of the states of `lesson_of`, `shown` the teacher's decisions. The rows hold `policy_loss`,
    `value_loss`, `kl_divergence` (from the policy in use, where nobody corrected anything), `return` (what the runs
    of the replay would have brought under the new policy, by bounded importance), `labels_right` (of the labelled
    decisions, how likely the right actions are) and `shown_loss`.
    """
    settings = settings or Settings()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    now = probabilities_now(incumbent, buffer, numbers)
    rows = Rows()
    rows.add_samples([s for s in lesson_of(buffer, now) if s.decision.state in numbers], numbers)
    count = len(rows)
    rows.add_shown(shown)
    networks = networks_of(incumbent)
    before = _measure(rows, range(len(rows)), networks)
    rate = settings.learning_rate
    optimizer = torch.optim.Adam(networks.parameters(), lr=rate)
    dice = np.random.default_rng(seed)
    looked = np.sort(dice.permutation(len(rows))[:LOOKED]).tolist()
    curve: list[dict[str, float]] = []
    kept = networks.arrays()
    for epoch in range(settings.epochs):
        losses = []
        for part in dice.integers(count, size=(settings.steps, settings.batch)).tolist():
            beside = dice.integers(count, len(rows), size=settings.batch).tolist() if shown else []
            losses.append(_step(networks, optimizer, rows, part, beside, before, settings))
        row = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
        after = _measure(rows, looked, networks)
        row |= {"step": float(epoch + 1)} | _judged(rows, looked, count, before, after)
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


def between(first: Policy, arrays: Mapping[str, Array], share: float) -> dict[str, Array]:
    """Weights a share of the way from a policy to what came of it."""
    return {
        name: first.array(name) + np.float32(share) * (array - first.array(name))
        for name, array in arrays.items()
    }


def _step(
    networks: Networks,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    part: Sequence[int],
    beside: Sequence[int],
    before: Sequence[Tensor],
    settings: Settings,
) -> dict[str, float]:
    batch = rows.batch(part)
    _forget(batch, settings.forget)
    log_probs, old = batch.log_probs(networks), _padded(before, part, batch)
    value = torch.sigmoid(run_layers(networks.value, batch.state)[:, 0])
    is_run = (~batch.is_labelled()).float()
    advantage = batch.reward - value.detach()
    # Whether runs go well at all says nothing of a choice: only what is better than the others does.
    advantage = advantage - (is_run * advantage).sum() / is_run.sum().clamp(min=1.0)
    ratio = (batch.chosen(log_probs) - batch.chosen(old)).exp()
    bounded = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
    surrogate = -torch.minimum(ratio * advantage, bounded * advantage)
    each = is_run * surrogate + batch.missed(log_probs)
    policy_loss = (batch.weight * each).sum() / batch.weight.sum()
    value_loss = (is_run * (value - batch.reward) ** 2).sum() / is_run.sum().clamp(min=1.0)
    divergence = (is_run * _divergence(log_probs, old)).sum() / is_run.sum().clamp(min=1.0)
    row = {"policy_loss": policy_loss.item(), "value_loss": value_loss.item()}
    loss = policy_loss + settings.value * value_loss + settings.anchor * divergence
    if beside:
        shown = rows.batch(beside)
        said, unsaid = shown.log_probs(networks), _padded(before, beside, shown)
        imitation = shown.missed(said).mean()
        loss = loss + settings.shown * imitation + settings.anchor * _divergence(said, unsaid).mean()
        row["shown_loss"] = imitation.item()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(networks.parameters(), settings.most_gradient)
    optimizer.step()
    return row


def _forget(batch: Batch, share: float) -> None:
    """Hides the prompt in a share of the labelled rows, and blurs it in the others, as in cloning: what is learnt is
    which Player is liked, and not in which sentences.
    """
    hidden = (torch.rand(len(batch.state), 1) < share) & batch.is_labelled()[:, None]
    batch.state[:, :PROMPT] *= (~hidden).float()
    blur = BLUR * torch.randn(len(batch.state), PROMPT)
    batch.state[:, :PROMPT] += blur * (batch.is_labelled()[:, None] & ~hidden).float()


def _parts(places: Sequence[int]) -> list[Sequence[int]]:
    return [places[at : at + PART] for at in range(0, len(places), PART)]


def _measure(rows: Rows, chosen: Sequence[int], networks: Networks) -> list[Tensor]:
    """The log-probabilities of the actions of some rows, `[n + 1]` each."""
    found: list[Tensor] = []
    with torch.no_grad():
        for part in _parts(chosen):
            log_probs = rows.batch(part).log_probs(networks)
            for at, k in enumerate(part):
                size = len(rows.rows[k].which)
                found.append(torch.cat([log_probs[at, :size], log_probs[at, -1:]]))
    return found


def _padded(found: Sequence[Tensor], part: Sequence[int], batch: Batch) -> Tensor:
    """Rows of `_measure` in the shape of a batch; what is not there has no probability."""
    padded = torch.full(batch.allowed.shape, -1e9)
    for at, k in enumerate(part):
        size = len(found[k]) - 1
        padded[at, :size], padded[at, -1] = found[k][:-1], found[k][-1]
    return padded


def _divergence(after: Tensor, before: Tensor) -> Tensor:
    """From the policy before, of each row (Kullback-Leibler)."""
    return (after.exp() * (after - before)).sum(-1)


def _judged(
    rows: Rows, looked: Sequence[int], count: int, before: Sequence[Tensor], after: Sequence[Tensor]
) -> dict[str, float]:
    """How far the policy went, what the replay's runs would bring, and how likely labelled actions are."""
    far, weighed, weights, right = [], 0.0, 0.0, []
    for place, new in zip(looked, after, strict=True):
        row = rows.rows[place]
        is_labelled = bool(row.right.any())
        if place >= count or not is_labelled:
            far.append(float(_divergence(new, before[place])))
        if place < count and is_labelled:
            right.append(float(new[torch.from_numpy(row.right)].exp().sum()))
        elif place < count:
            weight = min(CLIP, float(new[row.taken].exp()) / row.behaviour)
            weighed, weights = weighed + weight * row.reward, weights + weight
    return {
        "kl_divergence": float(np.mean(far)) if far else 0.0,
        "return": weighed / weights if weights else 1.0,
        "labels_right": float(np.mean(right)) if right else 1.0,
    }
