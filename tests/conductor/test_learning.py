"""The replay buffer, and a month of use with drift, failing Players and somebody who rewards what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from conductor.learning.gate import judge
from conductor.learning.replay import CLIP, LABEL_WEIGHT, Decision, Ending, ReplayBuffer


def decision(run: str, action: str = "a", probability: float = 0.5, state: str = "s") -> Decision:
    return Decision(run, state, ("a", "b", "c"), action, probability, "v1")


def test_the_reward_is_the_product_that_is_reported() -> None:
    assert Ending(True, 0.25, 0.8).reward == pytest.approx(0.6)
    assert Ending(False, 0.25, 0.8).reward == 0.0
    assert Ending(True, 3.0).reward == 0.0
    assert Ending(True, 0.1, cancelled=True).reward is None


def test_old_decisions_count_by_what_is_likely_now_but_never_more_than_twice() -> None:
    buffer = ReplayBuffer()
    buffer.add([decision("rare", probability=0.01)], Ending(True, 0.0))
    buffer.add([decision("usual", "b", probability=0.8)], Ending(True, 0.0))
    weights = {s.decision.run: s.weight for s in buffer.samples({("s", "a"): 0.5, ("s", "b"): 0.2})}
    assert weights == {"rare": CLIP, "usual": pytest.approx(0.25)}


def test_a_correction_teaches_the_right_action_and_a_cancelled_run_nothing_else() -> None:
    buffer = ReplayBuffer()
    buffer.add([decision("one")], Ending(True, 0.0, labels=(("s", ("b", "c")),)))
    buffer.add([decision("two")], Ending(False, 0.0, cancelled=True))
    buffer.add([decision("three")], Ending(True, 0.0, labels=(("s", ("not allowed",)),)))
    found = list(buffer.samples({}))
    assert [(s.decision.run, s.right, s.weight) for s in found] == [("one", ("b", "c"), LABEL_WEIGHT)]


def test_of_a_correction_only_what_was_changed_is_taught() -> None:
    buffer = ReplayBuffer()
    kept, changed = decision("one", "a", state="s"), decision("one", "c", state="t")
    buffer.add([kept, changed], Ending(True, 0.0, labels=(("s", ("a", "b")), ("t", ("b",)))))
    assert [(s.right, s.weight) for s in buffer.samples({})] == [((), 0.0), (("b",), LABEL_WEIGHT)]


def test_the_oldest_runs_go_first_and_what_is_forgotten_is_gone() -> None:
    buffer = ReplayBuffer(capacity=10)
    for number in range(8):
        run = f"run {number}"
        buffer.add([decision(run), decision(run, state="t")], Ending(True, 0.5))
    assert len(buffer) == 10
    assert {s.decision.run for s in buffer.samples({})} == {f"run {n}" for n in range(3, 8)}
    assert buffer.forget("run 4") and not buffer.forget("run 4")
    assert "run 4" not in {s.decision.run for s in buffer.samples({})} and len(buffer) == 8


def test_what_no_mask_allowed_is_not_kept() -> None:
    buffer = ReplayBuffer()
    for bad in (decision("r", "z"), decision("r", probability=0.0), decision("r", probability=1.5)):
        with pytest.raises(ValueError, match="exclude"):
            buffer.add([bad], Ending(True, 0.0))
    with pytest.raises(ValueError, match="several runs"):
        buffer.add([decision("r"), decision("q")], Ending(True, 0.0))
    assert len(buffer) == 0


KINDS, ACTIONS, RUNS, EVERY = 30, 4, 10_000, 500
NAMES = tuple("abcd")


class Month:
    """10,000 runs of thirty kinds of request, each served by one of four Players; a policy is a table of odds.

    Between runs 3,000 and 7,000 a rewarder praises what fails and blames what works; between 5,000 and
    6,500 one Player in four really fails; what users prefer drifts all the time.
    """

    def __init__(self, *, gated: bool, malicious: bool = True, seed: int = 1) -> None:
        self.dice = np.random.default_rng(seed)
        self.gated, self.malicious = gated, malicious
        self.truth = self.dice.uniform(0.3, 0.9, (KINDS, ACTIONS))
        # The shipped policy knows a good Player of each kind, though not always the best.
        noisy = self.truth + self.dice.normal(0.0, 0.2, self.truth.shape)
        self.shipped = _odds(8.0 * noisy)
        self.current = self.shipped
        self.levels = self.dice.integers(KINDS, size=4_000)
        self.luck = self.dice.random((2, 4_000))
        self.promoted: list[np.ndarray] = []
        self.buffer = ReplayBuffer(capacity=4_000)

    def success(self, policy: np.ndarray) -> np.ndarray:
        """Of each canary level: what the policy's choice with a fixed draw leads to with fixed luck."""
        chosen = (
            (policy[self.levels].cumsum(axis=1) < self.luck[0][:, None]).sum(axis=1).clip(max=ACTIONS - 1)
        )
        return np.asarray(self.luck[1] < self.truth[self.levels, chosen], dtype=np.float64)

    def value(self, policy: np.ndarray) -> float:
        """How often it truly succeeds on the canary levels."""
        return float((policy * self.truth).sum(axis=1)[self.levels].mean())

    def play(self) -> None:
        drift = self.truth.copy()
        for run in range(RUNS):
            kind = int(self.dice.integers(KINDS))
            action = int(self.dice.choice(ACTIONS, p=self.current[kind]))
            drift[kind] += self.dice.normal(0.0, 0.003, ACTIONS)
            chance = 0.1 if action == 0 and 5_000 <= run < 6_500 else drift[kind, action]
            success = bool(self.dice.random() < chance)
            if self.malicious and 3_000 <= run < 7_000:
                success = bool(self.truth[kind, action] < np.median(self.truth[kind]))
            chosen = Decision(
                str(run), str(kind), NAMES, NAMES[action], float(self.current[kind, action]), "v"
            )
            self.buffer.add([chosen], Ending(success, 0.1, cancelled=run % 10 == 9))
            if run % EVERY == EVERY - 1:
                self._learn()

    def _learn(self) -> None:
        """Moves the odds towards what was rewarded, and offers the result."""
        now = {(str(k), NAMES[a]): float(self.current[k, a]) for k in range(KINDS) for a in range(ACTIONS)}
        total = np.zeros((2, KINDS, ACTIONS))
        for sample in self.buffer.samples(now):
            place = int(sample.decision.state), NAMES.index(sample.decision.action)
            total[(0, *place)] += sample.weight * sample.reward
            total[(1, *place)] += sample.weight
        usual = total[0].sum(axis=1, keepdims=True) / np.maximum(total[1].sum(axis=1, keepdims=True), 1e-9)
        seen = (total[0] + 4.0 * usual) / (total[1] + 4.0)
        candidate = _odds(np.log(self.current) + 2.0 * (seen - usual))
        verdict = judge(self.success(candidate), self.success(self.current), self.success(self.shipped))
        if verdict.is_promoted or not self.gated:
            self.current = candidate
            self.promoted.append(candidate)


def _odds(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(0.97 * odds / odds.sum(axis=1, keepdims=True) + 0.03 / ACTIONS)


def test_a_month_with_a_malicious_rewarder_promotes_nothing_worse() -> None:
    month = Month(gated=True)
    month.play()
    floor = month.value(month.shipped) - 0.01
    assert month.promoted and all(month.value(policy) >= floor for policy in month.promoted)


def test_without_the_gate_the_malicious_rewarder_gets_through() -> None:
    month = Month(gated=False)
    month.play()
    assert min(month.value(policy) for policy in month.promoted) < month.value(month.shipped) - 0.05


def test_an_honest_month_learns() -> None:
    month = Month(gated=True, malicious=False, seed=2)
    month.play()
    assert month.value(month.current) > month.value(month.shipped) + 0.03
