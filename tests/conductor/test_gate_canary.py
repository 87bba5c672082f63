"""The gate over real levels: the shipped policy, its teacher's clone, and one that knows nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.evaluate.quest import WEIGHTS
from conductor.learning import canary
from conductor.learning.gate import audit, judge
from conductor.policy import Policy
from conductor.quest.packs import AUDIT, CANARY

from .conftest import ENCODER

COUNT = 24


@pytest.fixture(scope="module")
def embed() -> Memory:
    return Memory(Encoder(ENCODER))


@pytest.fixture(scope="module")
def policies() -> tuple[Policy, Policy]:
    return Policy.load(WEIGHTS / "quest.npz"), Policy.load(WEIGHTS / "quest_cloned.npz")


def test_the_clone_may_not_take_over_from_what_play_has_taught(
    embed: Memory, policies: tuple[Policy, Policy]
) -> None:
    learned, cloned = canary.success_of(policies, CANARY.levels(COUNT), embed)
    # So many levels as the pack holds, by repeating what was measured on its first ones.
    many = [np.tile(found, 4_000 // COUNT + 1) for found in (learned, cloned)]
    assert not judge(many[1], many[0], many[0]).is_promoted
    assert judge(many[0], many[1], many[1]).is_promoted
    assert audit(many[1], many[0]) is not None and audit(many[0], many[1]) is None


def test_the_gate_plays_the_canary_pack_and_the_audit_another(
    embed: Memory, policies: tuple[Policy, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "CANARY", dataclasses.replace(CANARY, size=4))
    monkeypatch.setattr(canary, "AUDIT", dataclasses.replace(AUDIT, size=4))
    said = canary.verdict(policies[0], policies[1], policies[1], embed)
    assert said.levels == 4 and not said.is_promoted and "too few" in said.reason
    assert canary.audited(policies[0], policies[0], embed) is None
    assert {level.id for level in CANARY.levels(4)}.isdisjoint(level.id for level in AUDIT.levels(4))
    assert CANARY.size >= 4_000
