"""Plays policies on fixed packs of Function Quest: what the gate decides by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from conductor.composer import by_policy
from conductor.learning.gate import Verdict, audit, judge
from conductor.policy import Policy
from conductor.quest.agents import composing
from conductor.quest.episode import QuestTable
from conductor.quest.graph import chance
from conductor.quest.level import Level
from conductor.quest.packs import AUDIT, CANARY
from conductor.retrieval import Embed

Array = np.ndarray[Any, np.dtype[np.float32]]


def success_of(policies: Sequence[Policy], levels: Iterable[Level], embed: Embed) -> list[Array]:
    """How likely each policy's graph of each level is to succeed: for each policy `[levels]`.

    Policies with the same directions share a level's vectors; a level is drawn once for all.
    """
    agents = [composing(by_policy(policy), policy) for policy in policies]
    found: list[list[float]] = [[] for _ in policies]
    for level in levels:
        for policy, agent, results in zip(policies, agents, found, strict=True):
            graph, _ = agent(QuestTable(level, embed, policy.project))
            results.append(chance(level, graph))
    return [np.array(results, dtype=np.float32) for results in found]


def verdict(candidate: Policy, incumbent: Policy, shipped: Policy, embed: Embed) -> Verdict:
    """Plays the canary pack with all three, and judges: some minutes on one core."""
    return judge(*success_of((candidate, incumbent, shipped), CANARY.levels(), embed))


def audited(promoted: Policy, shipped: Policy, embed: Embed) -> str | None:
    """Plays the pack that the gate never sees: None, or why the promotion is to be taken back."""
    return audit(*success_of((promoted, shipped), AUDIT.levels(), embed))
