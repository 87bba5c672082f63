"""`conductor.evaluate month`: a month of use in small, with the learner and the gate as the host has them.

People ask for what levels ask for; what they want drifts, Players fail for a while, and for a while somebody praises
what is wrong, blames what is right and corrects it into something else. After every so many runs the learner makes a
candidate from the replay, and the gate decides. The same month is played with the gate removed, and with it
the learner's own trial.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conductor.learning.gate import MARGIN, Verdict, judge
from conductor.learning.replay import Decision, Ending, ReplayBuffer
from conductor.learning.seen import Seen
from conductor.learning.store import Numbers
from conductor.policy import Policy
from symphony.errors import BadInput, EnvironmentLacks

WEIGHTS = Path(__file__).parents[1] / "weights" / "policy.npz"
DRAWS = 200

DRIFT, FAILING, MALICIOUS = 0.05, (0.5, 0.65), (0.3, 0.7)
"""Of the month: after which share of it what is wanted changes once more, and when the troubles last."""
REPLAY = 6
"""Decisions that are kept, for each run between two lessons: about those of the last two lessons."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, and where the parts are."""
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1_000, help="runs between two lessons")
    parser.add_argument("--levels", type=int, default=4_000, help="of the gate")
    parser.add_argument("--worlds", type=int, default=4, help="in which people ask")
    parser.add_argument("--prompts", type=int, default=120, help="in each world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--extensions", type=Path, default=Path("extensions"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both months and the gate's power over 200 draws. Raises EnvironmentLacks without torch."""
    if options.runs < options.every or min(options.every, options.levels, options.worlds) < 1:
        raise BadInput("A month without a lesson shows nothing", remedy="give more --runs than --every")
    try:
        from conductor.evaluate.month_people import People
    except ImportError as error:
        raise EnvironmentLacks(f"The month needs torch ({error})", remedy="run `make learn`") from error

    shipped = Policy.load(options.weights)
    with tempfile.TemporaryDirectory() as cache:
        people = People(options, shipped, Path(cache))
        months = {
            name: Month(people, shipped, options, is_gated=name == "gated").play()
            for name in ("gated", "ungated")
        }
        results = people.canary(shipped)
    found = {"seed": options.seed, "runs": options.runs, "policy": shipped.version, **months}
    found["gate"] = gate = power(results, options.seed)
    gated, ungated = months["gated"], months["ungated"]
    found["shown"] = {
        "no_promoted_policy_more_than_a_point_worse": gated["within_a_point"],
        "worse_by_3_refused": gate["worse_by_3_refused"] >= 0.95,
        "better_by_2_promoted": gate["better_by_2_promoted"] >= 0.90,
        "without_the_gate_the_malicious_get_through": ungated["worst_promoted"] < -MARGIN,
    }
    return found


@dataclass(slots=True)
class Trial:
    """One month as it goes."""

    policy: Policy
    lessons: list[dict[str, Any]] = field(default_factory=list)


class Month:
    """Runs, lessons, and what the gate says. `is_gated` False lets every candidate decide."""

    def __init__(self, people: Any, shipped: Policy, options: argparse.Namespace, *, is_gated: bool) -> None:
        self._people, self._shipped, self._options, self._is_gated = people, shipped, options, is_gated
        self._dice = random.Random(f"month {options.seed}")
        self._buffer = ReplayBuffer(REPLAY * options.every)
        self._numbers: dict[str, Numbers] = {}
        self._rewards = 0.0
        self._trial = Trial(shipped)

    def play(self) -> dict[str, Any]:
        """The month: its lessons, and how the promoted policies did on the gate's levels against the shipped one."""
        options, people = self._options, self._people
        people.begin(options.seed)
        for number in range(options.runs):
            part = number / options.runs
            if number and number % max(1, round(DRIFT * options.runs)) == 0:
                people.drift()
            self._run(number, part)
            if (number + 1) % options.every == 0:
                self._learn(number + 1, part)
        base = float(people.canary(self._shipped).mean())
        promoted = [row for row in self._trial.lessons if row["promoted"]]
        differences = [row["success"] - base for row in promoted]
        return {
            "shipped": round(base, 4),
            "promoted": len(promoted),
            "refused": len(self._trial.lessons) - len(promoted),
            "worst_promoted": round(min(differences, default=0.0), 4),
            "last": round(float(people.canary(self._trial.policy).mean()) - base, 4),
            "within_a_point": min(differences, default=0.0) >= -MARGIN,
            "mean_reward": round(self._rewards / options.runs, 4),
            "lessons": self._trial.lessons,
        }

    def _run(self, number: int, part: float) -> None:
        """Somebody asks, the policy composes, it ends somehow, and somebody may say something."""
        policy, people, dice = self._trial.policy, self._people, self._dice
        request = people.ask(dice)
        seen, players = people.composed(policy, request)
        is_right = players == request.wanted
        chance = 0.92 if is_right else 0.35 if request.wanted < players else 0.15
        if FAILING[0] <= part < FAILING[1] and request.failing in players:
            chance *= 0.2
        success = dice.random() < chance
        ending = Ending(success, dice.uniform(0.02, 0.2), 0.9, cancelled=dice.random() < 0.05)
        self._rewards += ending.reward or 0.0
        decisions = []
        for place, choice in enumerate(seen):
            state = f"{policy.version}/{request.name}/{place}"
            decisions.append(_logged(str(number), state, choice, policy.version))
            self._numbers.setdefault(state, _numbers(choice))
        is_malicious = MALICIOUS[0] <= part < MALICIOUS[1]
        self._buffer.add(decisions, people.said(dice, decisions, ending, request, is_right, is_malicious))

    def _learn(self, number: int, part: float) -> None:
        """One lesson, and the gate's word."""
        people, trial = self._people, self._trial
        candidate, curve = people.lesson(
            trial.policy, self._buffer, self._numbers, number, is_tried=self._is_gated
        )
        success = [people.canary(policy) for policy in (candidate, trial.policy, self._shipped)]
        verdict: Verdict = judge(*success, fewest=len(success[0]))
        is_promoted = verdict.is_promoted or not self._is_gated
        trial.lessons.append(
            {
                "runs": number,
                "malicious": MALICIOUS[0] <= part < MALICIOUS[1],
                "promoted": is_promoted,
                "reason": verdict.reason,
                "success": float(success[0].mean()),
                "kl_divergence": curve[-1]["kl_divergence"] if curve else 0.0,
            }
        )
        if is_promoted:
            trial.policy = candidate


def _logged(run: str, state: str, choice: Seen, version: str) -> Decision:
    names = [*choice.candidates, "stop"]
    allowed = tuple(name for name, may in zip(names, choice.allowed, strict=True) if may)
    return Decision(run, state, allowed, choice.action, choice.probability, version)


def _numbers(choice: Seen) -> Numbers:
    assert choice.state is not None and choice.vectors is not None
    assert choice.matches is not None and choice.stop is not None
    return Numbers(choice.state, choice.vectors, choice.matches, choice.stop, choice.allowed, choice.chosen)


def power(results: np.ndarray[Any, Any], seed: int) -> dict[str, float]:
    """How often the gate refuses a policy 3 points worse and promotes one 2 points better than `results`, over 200
    draws of levels; a tenth of the levels ends otherwise than before.
    """
    dice = np.random.default_rng(seed)
    right = float(results.mean())

    def draw(points: float) -> bool:
        before = results[dice.integers(len(results), size=max(len(results), 4_000))]
        lost, won = (0.05 - points / 200.0) / right, (0.05 + points / 200.0) / (1.0 - right)
        luck = dice.random(len(before))
        after = np.where(before > 0, luck >= lost, luck < won).astype(np.float64)
        return judge(after, before, before).is_promoted

    return {
        "draws": DRAWS,
        "worse_by_3_refused": 1.0 - sum(draw(-3.0) for _ in range(DRAWS)) / DRAWS,
        "better_by_2_promoted": sum(draw(2.0) for _ in range(DRAWS)) / DRAWS,
    }
