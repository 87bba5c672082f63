"""PPO on problems whose answers are known."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
torch = pytest.importorskip("torch")

from conductor import ppo  # noqa: E402


class Chain(gymnasium.Env[Any, Any]):
    """Five states in a row. Going right through all earns 1; going left at once earns 0.2."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, ends: bool = True) -> None:
        self.place, self.ends = 0, ends

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=given.get("seed"))
        self.place = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action == 0:
            return self._seen(), 0.2, True, False, {}
        self.place += 1
        last = self.place == 4
        return self._seen(), float(last), last and self.ends, last and not self.ends, {}

    def _seen(self) -> Any:
        return np.eye(5, dtype=np.float32)[self.place]


def chains(count: int) -> Any:
    return gymnasium.vector.SyncVectorEnv(
        [Chain] * count, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
    )


SMALL = ppo.Settings(steps=4096, length=32, learning_rate=3e-3, entropy=0.01)


def learned(seed: int, **changes: Any) -> tuple[ppo.Perceptron, ppo.History]:
    torch.manual_seed(seed)
    network = ppo.Perceptron(5, 2, hidden=16)
    settings = ppo.Settings(**{name: getattr(SMALL, name) for name in SMALL.__slots__} | changes)
    return network, ppo.train(chains(4), network, settings, seed=seed)


def test_it_learns_to_pass_by_the_small_reward() -> None:
    for seed in (1, 2):
        _, history = learned(seed)
        assert history.last(50) > 0.95
        assert np.mean(history.returns[:20]) < 0.6


def test_a_seed_gives_the_same_history() -> None:
    assert learned(3, steps=1024)[1].returns == learned(3, steps=1024)[1].returns


def test_advantages_are_those_of_the_paper() -> None:
    rollout = ppo.Rollout.empty(3, 1, 1)
    rollout.rewards[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    rollout.values[:, 0] = torch.tensor([0.5, 0.25, 0.125])
    rollout.ended[1, 0] = 1.0
    found = ppo.advantages_of(rollout, torch.tensor([4.0]), discount=0.5, trace=0.5)[:, 0]
    last = 3.0 + 0.5 * 4.0 - 0.125
    middle = 2.0 - 0.25
    first = 1.0 + 0.5 * 0.25 - 0.5 + 0.25 * middle
    assert found.tolist() == pytest.approx([first, middle, last])


def test_a_cut_off_episode_is_worth_what_would_have_followed() -> None:
    """With the clock as its only end the chain's last state has a value, and the last step is paid with it."""
    network = ppo.Perceptron(5, 2, hidden=4)
    with torch.no_grad():
        network.value[-1].bias.fill_(10.0)
        network.value[-1].weight.zero_()
        network.policy[-1].bias.copy_(torch.tensor([-50.0, 50.0]))
    environments = gymnasium.vector.SyncVectorEnv(
        [lambda: Chain(ends=False)], autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
    )
    player = ppo._Player(environments, network, ppo.Settings(length=4, discount=0.5), seed=1)
    rollout, _ = player.play([])
    assert rollout.rewards[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0 + 0.5 * 10.0]


def test_a_masked_action_has_no_probability_and_no_gradient() -> None:
    logits = torch.tensor([[0.3, 9.0, 0.1]], requires_grad=True)
    kept = ppo.masked(logits, torch.tensor([[True, False, True]]))
    log_probs = torch.log_softmax(kept, dim=1)
    entropy = -(log_probs.exp() * log_probs).sum()
    assert log_probs.detach().exp()[0, 1] == 0.0 and torch.isfinite(entropy)
    (entropy + log_probs[0, 0]).backward()
    assert logits.grad is not None and float(logits.grad[0, 1]) == 0.0


def test_the_anchor_keeps_the_policy_near_where_it_began() -> None:
    def moved(anchor: float) -> float:
        torch.manual_seed(5)
        network = ppo.Perceptron(5, 2, hidden=16)
        before = torch.softmax(network(torch.eye(5))[0], dim=1).detach()
        settings = ppo.Settings(steps=2048, length=32, learning_rate=3e-3, anchor=anchor)
        ppo.train(chains(4), network, settings, seed=5)
        return float((torch.softmax(network(torch.eye(5))[0], dim=1).detach() - before).abs().max())

    assert moved(10.0) < 0.15 < 0.4 < moved(0.0)


def test_demonstrations_teach_what_play_would_not() -> None:
    """Against the reward: whoever is shown the way left goes left."""
    torch.manual_seed(7)
    network = ppo.Perceptron(5, 2, hidden=16)
    shown = ppo.Demonstrations(torch.eye(5), torch.tensor([[1.0, 0.0]] * 5))
    settings = ppo.Settings(steps=2048, length=32, learning_rate=3e-3, replay=5.0, replay_batch=8)
    ppo.train(chains(4), network, settings, seed=7, demonstrations=shown)
    assert torch.softmax(network(torch.eye(5)[:1])[0], dim=1).detach()[0, 0] > 0.9


def test_an_update_stops_when_the_policy_has_moved_too_far() -> None:
    _, free = learned(4, learning_rate=0.05, epochs=8, steps=512)
    _, held = learned(4, learning_rate=0.05, epochs=8, steps=512, most_divergence=0.001)
    assert max(r["kl_divergence"] for r in held.curve) < max(r["kl_divergence"] for r in free.curve)


def test_the_entry_point_prints_one_document() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "gym", "--steps", "1500", "--seed", "3"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["env"], found["seed"]) == ("CartPole-v1", 3)
    assert found["episodes"] > 10 and found["mean_return"] > 10 and found["curve"]


def test_an_environment_that_is_not_there_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "gym", "--env", "Nothing-v0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Nothing-v0" in done.stderr and len(done.stderr.splitlines()) == 1
