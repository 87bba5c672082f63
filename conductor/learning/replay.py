"""The replay buffer: decisions of real runs with how likely they were, what the masks allowed, and how it went. Pure;
on the disk it is `conductor.learning.store`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CAPACITY = 100_000
"""Decisions that are kept; the oldest run goes first."""

CLIP = 2.0
"""An old decision never counts more than twice: unclipped importance makes a few lucky ones rule."""

LABEL_WEIGHT = 20.0
"""A user's correction, used as a label, is worth so many rewards of runs."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice as it was logged.

    Args:
        run: the run that it belongs to.
        state: what names the state, such as a key under which its numbers are kept.
        candidates: what the masks allowed.
        action: which of them was chosen.
        probability: how likely the policy of that time held it to be.
        policy: that policy's version.
    """

    run: str
    state: str
    candidates: tuple[str, ...]
    action: str
    probability: float
    policy: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. A label says which actions would have been right, from a correction or an undo."""

    success: bool
    latency: float
    """Share of the longest that is tolerated, 0 to 1."""
    quality: float = 1.0
    cancelled: bool = False
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(state, right actions)."""
    rating: int = 0
    """What the user said: 1 good, -1 bad or taken back, 0 nothing."""

    @property
    def reward(self) -> float | None:
        """success × (1 − latency) × quality; None for a run that was cancelled, whose end nobody knows."""
        if self.cancelled:
            return None
        return (
            float(self.success) * (1.0 - min(1.0, max(0.0, self.latency))) * min(1.0, max(0.0, self.quality))
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """A decision to learn from: its reward, or which actions a label says to be right, and its weight."""

    decision: Decision
    reward: float
    weight: float
    right: tuple[str, ...] = ()
    """Of its candidates; none where only a reward is known."""


class ReplayBuffer:
    """Decisions of the last runs that have ended, at most `capacity` of them."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._runs: OrderedDict[str, tuple[tuple[Decision, ...], Ending]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, decisions: Sequence[Decision], ending: Ending) -> None:
        """Keeps a run that has ended. A run that is known already is replaced: its user corrected it later."""
        if not decisions:
            return
        run = decisions[0].run
        if any(d.run != run for d in decisions):
            raise ValueError("decisions of several runs in one")
        if any(not 0.0 < d.probability <= 1.0 or d.action not in d.candidates for d in decisions):
            raise ValueError(f"run {run} has a decision that its masks or its probability exclude")
        self.forget(run)
        self._runs[run] = (tuple(decisions), ending)
        self._count += len(decisions)
        while self._count > self.capacity and len(self._runs) > 1:
            _, (oldest, _) = self._runs.popitem(last=False)
            self._count -= len(oldest)

    def forget(self, run: str) -> bool:
        """Drops a run and all that was learnt to be from it; answers whether it was there."""
        known = self._runs.pop(run, None)
        if known is not None:
            self._count -= len(known[0])
        return known is not None

    def samples(self, probability_now: dict[tuple[str, str], float]) -> Iterator[Sample]:
        """Every decision with a known end, weighed by how likely the policy of now is to take it.

        `probability_now` maps (state, action) to that probability; where it is unknown the weight is 1.
        Cancelled runs give labels only. What the user praised counts as right, what they blamed or took back as
        worth nothing, both as much as a label.
        """
        for decisions, ending in self._runs.values():
            reward = ending.reward
            right = dict(ending.labels)
            for decision in decisions:
                if decision.state in right:
                    said = tuple(name for name in right[decision.state] if name in decision.candidates)
                    if said and decision.action not in said:
                        yield Sample(decision, 1.0, LABEL_WEIGHT, said)
                    elif said:
                        # What was kept is no news: taught again it would only become surer.
                        yield Sample(decision, reward or 0.0, 0.0)
                elif ending.rating:
                    good = ending.rating > 0
                    yield Sample(decision, float(good), LABEL_WEIGHT, (decision.action,) if good else ())
                elif reward is not None:
                    now = probability_now.get((decision.state, decision.action), decision.probability)
                    yield Sample(decision, reward, min(CLIP, now / decision.probability))
