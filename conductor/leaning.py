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
HABIT = 16.0
"""How far a logit moves at most for what was served before."""
ALIKE, SAME = 0.9, 0.98
"""Cosines of two requests from which on they are nearly the same, and the same."""
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


def habit(episode: Episode, candidates: Sequence[int]) -> Array:
    """What is added to the logits of the candidates where nearly the same was asked before: `[n]`.

    Requests that are only alike say too little of which Players are meant; the networks see those as they are.
    """
    found: Array = np.zeros(len(candidates), dtype=np.float32)
    if episode.said is not None:
        sure = (float(episode.said.nearest[0]) - ALIKE) / (SAME - ALIKE)
        if sure > 0.0:
            found += HABIT * min(1.0, sure) * (episode.remembered[list(candidates)] - 0.5)
    return found


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
