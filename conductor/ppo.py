"""Proximal policy optimisation (Schulman et al., 2017), top to bottom: for CartPole and for Function Quest alike.

The details are those of "The 37 implementation details of PPO" (Huang et al., 2022): orthogonal
initialisation, generalised advantage estimation, normalised advantages, a clipped value loss, an annealed
rate, clipped gradients, and a stop when the policy has moved too far. Two anchors are for fine-tuning a
policy that already plays: the divergence from a reference, and demonstrations that are replayed.

    network = Perceptron(4, 2)
    history = train(make_environments("CartPole-v1", 4), network, Settings(), seed=1)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, np.dtype[np.float32]]

MASKED = -1e8
"""The logit of an action that may not be chosen: its probability is exactly zero, and no NaN arises."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every hyper-parameter, with the values for small control tasks."""

    steps: int = 500_000
    """Steps of the environment in all, over all copies."""
    length: int = 128
    """Steps of each copy between two updates. Long enough for an advantage, short enough to stay on-policy."""
    learning_rate: float = 2.5e-4
    """Of Adam. Above 1e-3 the policy jumps; below 1e-4 half a million steps are not enough."""
    anneal: bool = True
    """Lower the rate linearly to zero: the last policy is a quiet one."""
    discount: float = 0.99
    """What a reward one step later is worth (gamma)."""
    trace: float = 0.95
    """Lambda of generalised advantage estimation: 0 trusts the value network, 1 the sampled returns."""
    epochs: int = 4
    """How often an update goes over its batch."""
    minibatches: int = 4
    """Into how many parts an epoch cuts the batch."""
    clip: float = 0.2
    """How far the ratio of new to old probability may leave 1 before its gradient ends."""
    clip_value: bool = True
    """Clip the value's move, too, by the same width."""
    entropy: float = 0.01
    """Weight of the entropy bonus, which keeps the policy trying things."""
    value_weight: float = 0.5
    """Weight of the value loss beside the policy loss."""
    most_gradient: float = 0.5
    """The norm to which gradients are cut."""
    most_divergence: float | None = None
    """Stop an update's epochs when the approximate divergence from the old policy exceeds this."""
    anchor: float = 0.0
    """Weight of KL(policy || reference): unanchored fine-tuning forgets what it was taught."""
    replay: float = 0.0
    """Weight of the loss on demonstrations in every minibatch."""
    replay_batch: int = 64
    """Demonstrations in every minibatch."""


@dataclass(slots=True)
class Demonstrations:
    """States with their right actions: `observations [n, d]`, `right [n, actions]` of 0 and 1, a row's sum ≥ 1."""

    observations: Tensor
    right: Tensor


@dataclass(slots=True)
class History:
    """What happened: `returns` of finished episodes in order, one `curve` row an update."""

    returns: list[float] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)

    def last(self, count: int = 100) -> float:
        """The mean return of the last episodes; NaN when none has ended."""
        return float(np.mean(self.returns[-count:])) if self.returns else float("nan")


class ActorCritic(nn.Module):  # type: ignore[misc]
    """What `train` needs of a network: `forward(observations [b, d])` gives logits `[b, actions]` and values `[b]`.

    Actions that may not be chosen have the logit `MASKED` (see `masked`).
    """

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and values."""
        raise NotImplementedError


class Perceptron(ActorCritic):
    """Two separate stacks of two tanh layers: the usual network for observations of a few numbers."""

    def __init__(self, inputs: int, actions: int, hidden: int = 64) -> None:
        super().__init__()
        self.policy = nn.Sequential(
            orthogonal(nn.Linear(inputs, hidden)), nn.Tanh(),
            orthogonal(nn.Linear(hidden, hidden)), nn.Tanh(),
            # A hundredth of the gain: the first policy is close to uniform.
            orthogonal(nn.Linear(hidden, actions), 0.01),
        )  # fmt: skip
        self.value = nn.Sequential(
            orthogonal(nn.Linear(inputs, hidden)), nn.Tanh(),
            orthogonal(nn.Linear(hidden, hidden)), nn.Tanh(),
            orthogonal(nn.Linear(hidden, 1), 1.0),
        )  # fmt: skip

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[b, actions]` and values `[b]`."""
        return self.policy(observations), self.value(observations)[:, 0]


def orthogonal(layer: nn.Linear, gain: float = 2**0.5) -> nn.Linear:
    """The layer with orthogonal weights and no bias."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def masked(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logits in which what is not `allowed` (bool, same shape) can neither be sampled nor get a gradient."""
    return logits.masked_fill(~allowed, MASKED)


def make_environments(name: str, count: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    """Copies of a registered environment, each of which starts again in the step in which it ends."""
    return gymnasium.make_vec(
        name,
        num_envs=count,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
    )


@dataclass(slots=True)
class Rollout:
    """Steps of all copies, `[length, copies, …]`; `ended` says that the episode ended with that step."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    ended: Tensor
    values: Tensor

    @classmethod
    def empty(cls, length: int, copies: int, width: int) -> Rollout:
        """Room for `length` steps."""
        plain = [torch.zeros(length, copies) for _ in range(4)]
        return cls(
            torch.zeros(length, copies, width),
            torch.zeros(length, copies, dtype=torch.int64),
            *plain,
        )


def advantages_of(rollout: Rollout, last_value: Tensor, discount: float, trace: float) -> Tensor:
    """Generalised advantage estimation (Schulman et al., 2016), `[length, copies]`.

    `last_value [copies]` is the value of the observation after the rollout's last step. A step that ended
    an episode takes nothing from the one after it.
    """
    found = torch.zeros_like(rollout.rewards)
    running = torch.zeros_like(last_value)
    following = last_value
    for step in reversed(range(len(rollout.rewards))):
        alive = 1.0 - rollout.ended[step]
        surprise = rollout.rewards[step] + discount * following * alive - rollout.values[step]
        running = surprise + discount * trace * alive * running
        found[step] = running
        following = rollout.values[step]
    return found


class _Player:
    """Plays the copies of an environment and notes what happened."""

    def __init__(self, environments: Any, network: ActorCritic, settings: Settings, seed: int) -> None:
        self.environments, self.network, self.settings = environments, network, settings
        self.copies = int(environments.num_envs)
        first, _ = environments.reset(seed=seed)
        self.observation = _tensor(first, self.copies)
        self.dice = torch.Generator().manual_seed(seed)
        self.running = np.zeros(self.copies)
        self.rollout = Rollout.empty(settings.length, self.copies, self.observation.shape[1])

    def play(self, returns: list[float]) -> tuple[Rollout, Tensor]:
        """The next rollout, and the value of the state that it ends in."""
        with torch.no_grad():
            for step in range(self.settings.length):
                self._step(step, returns)
            return self.rollout, self.network(self.observation)[1]

    def _step(self, step: int, returns: list[float]) -> None:
        """One step of all copies, written into place `step` of the rollout."""
        rollout = self.rollout
        logits, values = self.network(self.observation)
        log_probs = torch.log_softmax(logits, dim=1)
        actions = torch.multinomial(log_probs.exp(), 1, generator=self.dice)
        rollout.observations[step], rollout.values[step] = self.observation, values
        rollout.actions[step] = actions[:, 0]
        rollout.log_probs[step] = log_probs.gather(1, actions)[:, 0]
        after, rewards, terminated, truncated, infos = self.environments.step(actions[:, 0].numpy())
        rewards = np.asarray(rewards, dtype=np.float64)
        self.running += rewards
        for copy in np.flatnonzero(terminated | truncated):
            returns.append(float(self.running[copy]))
            self.running[copy] = 0.0
        # An episode that the clock cut off would have gone on: the value of where it stood is added.
        cut = np.flatnonzero(truncated & ~terminated)
        if len(cut):
            stood = _tensor(np.stack([infos["final_obs"][copy] for copy in cut]), len(cut))
            rewards[cut] += self.settings.discount * self.network(stood)[1].numpy()
        rollout.rewards[step] = torch.from_numpy(rewards).float()
        rollout.ended[step] = torch.from_numpy(terminated | truncated).float()
        self.observation = _tensor(after, self.copies)


def _tensor(observations: Any, copies: int) -> Tensor:
    return torch.from_numpy(np.asarray(observations, dtype=np.float32).reshape(copies, -1))


def _policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, float]:
    """The clipped surrogate, and the approximate divergence of the new policy from the old (Schulman's k3)."""
    log_ratio = new - old
    ratio = log_ratio.exp()
    with torch.no_grad():
        divergence = float(((ratio - 1) - log_ratio).mean())
    worse = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))
    return worse.mean(), divergence


def _value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Half the squared error; with `clip` the larger of it and that of the clipped move."""
    error = (new - returns) ** 2
    if clip is not None:
        moved = old + (new - old).clamp(-clip, clip)
        error = torch.maximum(error, (moved - returns) ** 2)
    return 0.5 * error.mean()


def replay_loss(network: ActorCritic, demonstrations: Demonstrations, rows: Tensor) -> Tensor:
    """-log of the probability of any right action, the mean over some demonstrations."""
    logits, _ = network(demonstrations.observations[rows])
    right = logits.masked_fill(demonstrations.right[rows] == 0, MASKED)
    return (torch.logsumexp(logits, 1) - torch.logsumexp(right, 1)).mean()


class _Learner:
    """One update at a time."""

    def __init__(
        self,
        network: ActorCritic,
        settings: Settings,
        reference: ActorCritic | None,
        demonstrations: Demonstrations | None,
        seed: int,
    ) -> None:
        self.network, self.settings = network, settings
        self.reference, self.demonstrations = reference, demonstrations
        self.dice = torch.Generator().manual_seed(seed + 1)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, eps=1e-5)

    def update(self, rollout: Rollout, last_value: Tensor) -> dict[str, float]:
        """Goes over a rollout; answers with the losses of the last epoch that was played."""
        chosen = self.settings
        advantages = advantages_of(rollout, last_value, chosen.discount, chosen.trace).flatten()
        old_values = rollout.values.flatten()
        returns = advantages + old_values
        batch = (rollout.observations.flatten(0, 1), rollout.actions.flatten(), rollout.log_probs.flatten())
        anchor = None
        if self.reference is not None and chosen.anchor > 0:
            with torch.no_grad():
                anchor = torch.log_softmax(self.reference(batch[0])[0], dim=1)
        size = max(1, len(advantages) // chosen.minibatches)
        row: dict[str, float] = {}
        for _ in range(chosen.epochs):
            divergences = []
            for rows in torch.randperm(len(advantages), generator=self.dice).split(size):
                if len(rows) < 2:
                    continue
                row = self._step(
                    tuple(part[rows] for part in batch), advantages[rows], old_values[rows], returns[rows],
                    anchor[rows] if anchor is not None else None,
                )  # fmt: skip
                divergences.append(row["kl_divergence"])
            if chosen.most_divergence is not None and np.mean(divergences) > chosen.most_divergence:
                break
        spread = float(returns.var())
        row["explained"] = 1.0 - float((returns - old_values).var()) / spread if spread > 0 else 0.0
        return row

    def _step(
        self,
        batch: tuple[Tensor, ...],
        advantages: Tensor,
        old: Tensor,
        returns: Tensor,
        anchor: Tensor | None,
    ) -> dict[str, float]:
        chosen = self.settings
        observations, actions, old_log_probs = batch
        logits, values = self.network(observations)
        log_probs = torch.log_softmax(logits, dim=1)
        probabilities = log_probs.exp()
        taken = log_probs.gather(1, actions[:, None])[:, 0]
        normal = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss, divergence = _policy_loss(taken, old_log_probs, normal, chosen.clip)
        value_loss = _value_loss(values, old, returns, chosen.clip if chosen.clip_value else None)
        entropy = -(probabilities * log_probs).sum(1).mean()
        loss = policy_loss + chosen.value_weight * value_loss - chosen.entropy * entropy
        row = {
            "policy_loss": policy_loss.item(), "value_loss": value_loss.item(), "entropy": entropy.item(),
            "kl_divergence": divergence,
        }  # fmt: skip
        if anchor is not None:
            away = (probabilities * (log_probs - anchor)).sum(1).mean()
            loss = loss + chosen.anchor * away
            row["kl_reference"] = away.item()
        if self.demonstrations is not None and chosen.replay > 0:
            count = len(self.demonstrations.observations)
            rows = torch.randint(count, (chosen.replay_batch,), generator=self.dice)
            shown = replay_loss(self.network, self.demonstrations, rows)
            loss = loss + chosen.replay * shown
            row["replay_loss"] = shown.item()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), chosen.most_gradient)
        self.optimizer.step()
        return row


def train(
    environments: Any,
    network: ActorCritic,
    settings: Settings,
    *,
    seed: int,
    demonstrations: Demonstrations | None = None,
    on_update: Callable[[int, dict[str, float]], bool] | None = None,
) -> History:
    """Improves `network` in place by playing `environments`.

    Args:
        environments: a gymnasium vector environment with Box observations and Discrete actions that resets
            in the step in which an episode ends (`make_environments`).
        network: what it starts from; with `anchor` > 0 a copy of it is the reference.
        settings: hyper-parameters.
        seed: of the environments, of the sampled actions and of the order of the minibatches.
        demonstrations: states with right actions, used with `replay` > 0.
        on_update: called with the steps so far and the curve's row; answers whether to go on.

    Returns:
        Returns of all finished episodes, and a row of losses for each update.
    """
    reference = None
    if settings.anchor > 0:
        reference = deepcopy(network)
        reference.requires_grad_(False)
    player = _Player(environments, network, settings, seed)
    learner = _Learner(network, settings, reference, demonstrations, seed)
    history = History()
    updates = max(1, settings.steps // (settings.length * player.copies))
    recent: deque[float] = deque(maxlen=100)
    began = time.process_time()
    for update in range(updates):
        if settings.anneal:
            for group in learner.optimizer.param_groups:
                group["lr"] = settings.learning_rate * (1.0 - update / updates)
        before = len(history.returns)
        rollout, last_value = player.play(history.returns)
        recent.extend(history.returns[before:])
        row = learner.update(rollout, last_value)
        row["steps"] = float((update + 1) * settings.length * player.copies)
        row["return"] = float(np.mean(recent)) if recent else float("nan")
        row["cpu_seconds"] = time.process_time() - began
        history.curve.append(row)
        if on_update is not None and not on_update(int(row["steps"]), row):
            break
    return history
