"""How experience and the machine lean a choice between Players that fit a prompt about alike.

The lean is small on purpose: it settles what the words leave open, and never speaks against them. What the
machine cannot play at all is left out.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.needs import Means, Measured
from symphony.types.players import FunctionSpec

if TYPE_CHECKING:
    from conductor.context import ComposeContext
    from conductor.draft import DraftNode
    from conductor.episode import Episode

Array = np.ndarray[Any, np.dtype[np.float32]]

USED, GOOD, FAILING, TIGHT = 0.02, 0.04, 0.05, 0.02
"""How far the score of a Player moves at most: for its use, its results' quality, its failures, what is not free."""
FAMILIAR = 16.0
"""How far a logit moves at most for what was served before."""
EVEN = 0.4
"""How likely a Player takes part by what was served before when that speaks neither for nor against it."""
SURELY = 0.6
"""How likely at least one does that a prompt asks for by a value."""
UNLIKELY = 0.15
"""Below this it is not added for a single word's sake."""
ENOUGH = 3
"""Runs from which on quality and failures count."""
PLAIN = 0.8
"""A quality that speaks neither for nor against a Player."""


def leaning(
    functions: Sequence[FunctionSpec], means: Means
) -> tuple[Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """What is added to each Player's scores, and which Players this machine can play: `[n]` each."""
    known = [means.measured.get(spec.player, Measured()) for spec in functions]
    most = max((one.runs for one in known), default=0)
    lean = np.zeros(len(known), dtype=np.float32)
    fits = np.ones(len(known), dtype=bool)
    for row, (spec, one) in enumerate(zip(functions, known, strict=True)):
        if most:
            lean[row] += USED * math.log1p(one.runs) / math.log1p(most)
        if one.runs >= ENOUGH and one.quality is not None:
            lean[row] += max(-GOOD, min(GOOD, one.quality - PLAIN))
        tried = one.runs + one.failed
        if tried >= ENOUGH:
            lean[row] -= FAILING * one.failed / tried
        if means.free and (
            spec.memory > means.free.get("memory", math.inf) or spec.cpu > means.free.get("cpu", math.inf)
        ):
            lean[row] -= TIGHT
        if means.capacity:
            fits[row] = spec.memory <= means.capacity.get(
                "memory", math.inf
            ) and spec.gpu <= means.capacity.get("gpu", math.inf)
    return lean, fits


def is_unheard_of(episode: Episode, function: int) -> bool:
    """Whether a Player hardly ever served anything like this prompt."""
    past = episode.table.past
    if episode.said is None or past is None or past.is_strange[function]:
        return False
    return float(episode.remembered[function]) < UNLIKELY


def recalled(episode: Episode, candidates: Sequence[int]) -> Array:
    """What is added to the logits of the candidates and, last, of stopping, for what was served before: `[n + 1]`."""
    found: Array = np.zeros(len(candidates) + 1, dtype=np.float32)
    if episode.said is None or not candidates:
        return found
    chosen, past = np.array(candidates, dtype=np.intp), episode.table.past
    likely = episode.remembered[chosen]
    if past is not None:
        # What does the same stands there already; against what is strange to it the past says nothing.
        there = {int(past.twins[node.function]) for node in episode.draft.nodes}
        taken = [int(past.twins[one]) in there for one in candidates]
        known = np.where(taken, 0.0, likely)
        likely = np.where(past.is_strange[chosen], np.maximum(EVEN, likely), known)
    likely = _in_order(likely, episode.table.orders[chosen], is_empty=not episode.draft.nodes)
    for one in episode.surely(candidates):
        # What makes rows stands before what works on them.
        least = 1.0 if episode.table.roles[one].is_source else SURELY
        likely[candidates.index(one)] = max(least, likely[candidates.index(one)])
    found[:-1] = FAMILIAR * (likely - EVEN)
    found[-1] = FAMILIAR * (EVEN - likely.max())
    return found


def _in_order(likely: Array, orders: Array, *, is_empty: bool) -> Array:
    """What is worked on comes before what works on it, however sure that is; something is found first."""
    ordered = likely.copy()
    for order in np.unique(orders)[1:]:
        before = float(ordered[orders < order].max())
        if before >= EVEN or is_empty:
            ordered[orders == order] = np.minimum(ordered[orders == order], before)
    return ordered


def within_budget(nodes: Sequence[DraftNode], spec: FunctionSpec, means: Means) -> bool:
    """Whether a Player may be added to a draft without going over what `policies.yaml` allows."""
    budget = means.policies.budget
    if budget.nodes is not None and len(nodes) + 1 > budget.nodes:
        return False
    if budget.memory is not None and spec.memory > budget.memory:
        return False
    if budget.seconds is None:
        return True
    return sum(means.seconds(n.spec) for n in nodes) + means.seconds(spec) <= budget.seconds


def describe_means(facts: Array, usable: int, context: ComposeContext) -> None:
    """Writes the numbers on resources, installed Players, history and preferences into the state's facts.

    No choice changes them. Places 13 to 15, 53, 82, 83 and 120 to 127 of the state's last 128 are theirs.
    """
    facts[82] = math.log1p(usable) / 8.0
    for name, value in context.preferences.items():
        facts[120 + zlib.crc32(f"{name}={value}".encode()) % 8] += 0.5
    means = context.means
    if means is None:
        return
    for place, name in ((13, "cpu"), (14, "memory"), (15, "gpu")):
        capacity = means.capacity.get(name, 0.0)
        facts[place] = means.free.get(name, 0.0) / capacity if capacity else 0.0
    facts[53] = math.log1p(sum(one.runs for one in means.measured.values())) / 12.0
    facts[83] = float(means.policies.budget.seconds is not None)


def describe_nodes(facts: Array, nodes: Sequence[DraftNode], means: Means) -> None:
    """Writes the numbers on quality, history and budget of the Players chosen so far into the state's facts.

    Places 49 to 52 and 84 of its last 128 are theirs.
    """
    known = [means.measured.get(n.spec.player, Measured()) for n in nodes]
    qualities = [one.quality for one in known if one.quality is not None]
    facts[49] = sum(qualities) / len(qualities) if qualities else 0.0
    facts[50] = len(qualities) / 6.0
    facts[51] = math.log1p(sum(one.runs for one in known)) / 8.0
    tried = sum(one.runs + one.failed for one in known)
    facts[52] = sum(one.failed for one in known) / tried if tried else 0.0
    budget = means.policies.budget.seconds
    facts[84] = min(2.0, sum(means.seconds(n.spec) for n in nodes) / budget) if budget else 0.0
