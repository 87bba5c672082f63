"""The canary gate: whether a learnt policy may take over. A pure decision from how policies play the same levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FEWEST_LEVELS = 4_000
"""With fewer levels a loss of one point cannot be told from luck."""
MARGIN = 0.01
"""The loss of success that must be excluded: one point."""
QUANTILE = 1.959964
"""Of the normal distribution, for a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A paired difference of success: its mean and the lower end of its 95 % interval."""

    mean: float
    lower: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the candidate is promoted, and why, in words for whoever looks."""

    is_promoted: bool
    reason: str
    against_incumbent: Bound
    against_shipped: Bound
    levels: int


def paired(candidate: Array, other: Array) -> Bound:
    """The difference of success on the same levels, `[levels]` each of 0 to 1. Raises ValueError unless they match."""
    if candidate.shape != other.shape or candidate.ndim != 1 or not len(candidate):
        raise ValueError("a paired comparison needs the same levels on both sides")
    if not (np.isfinite(candidate).all() and np.isfinite(other).all()):
        raise ValueError("a level was measured as no number")
    differences = np.asarray(candidate, dtype=np.float64) - other
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    return Bound(mean, mean - QUANTILE * error)


def judge(candidate: Array, incumbent: Array, shipped: Array, *, fewest: int = FEWEST_LEVELS) -> Verdict:
    """Promotes only who is shown to lose less than one point against the incumbent and against the shipped policy.

    The comparison with the shipped policy keeps a chain of small losses from adding up. `fewest` is lower in
    simulations alone.
    """
    one, two = paired(candidate, incumbent), paired(candidate, shipped)
    count = len(candidate)
    if count < fewest:
        return Verdict(False, f"{count} levels are too few, {fewest} are needed", one, two, count)
    for name, bound in (("the policy in use", one), ("the shipped policy", two)):
        if bound.lower < -MARGIN:
            reason = (
                f"it may lose {-100 * bound.lower:.1f} points against {name}, {100 * MARGIN:.0f} is allowed"
            )
            return Verdict(False, reason, one, two, count)
    reason = (
        f"{100 * one.mean:+.1f} points against the policy in use, {100 * two.mean:+.1f} against the shipped"
    )
    return Verdict(True, reason, one, two, count)


def audit(promoted: Array, shipped: Array) -> str | None:
    """What a pack says that the gate has never seen: None, or why the promotion is taken back.

    Here a loss must be shown, not excluded: the gate has done that, and two gates in a row would let
    nothing through.
    """
    bound = paired(promoted, shipped)
    upper = 2.0 * bound.mean - bound.lower
    if upper < -MARGIN:
        return f"on levels that the gate does not see it loses {-100 * bound.mean:.1f} points"
    return None
