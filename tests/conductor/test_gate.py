"""The gate's power over many draws, and which policy decides after it has spoken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conductor.learning.gate import FEWEST_LEVELS, audit, judge, paired
from conductor.learning.versions import SHIPPED, Record, Versions
from conductor.policy import expected_shapes, save
from symphony.errors import BadInput

DRAWS = 200


def canary(dice: np.random.Generator, points: float, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Success of a candidate and of the incumbent on the canary levels.

    The candidate is `points` better; on a share `shared` of the levels both do the same and have the same luck.
    """
    chance = dice.uniform(0.5, 1.0, FEWEST_LEVELS)
    luck = dice.random(FEWEST_LEVELS)
    incumbent = luck < chance
    better = points / 100.0 / (1.0 - shared)
    own = np.where(dice.random(FEWEST_LEVELS) < shared, luck, dice.random(FEWEST_LEVELS))
    candidate = own < np.where(own == luck, chance, np.clip(chance + better, 0.0, 1.0))
    return candidate.astype(float), incumbent.astype(float)


def promoted(points: float, shared: float) -> float:
    """The share of draws in which the gate lets a candidate through."""
    found = 0
    for draw in range(DRAWS):
        candidate, incumbent = canary(np.random.default_rng(draw), points, shared)
        found += judge(candidate, incumbent, incumbent).is_promoted
    return found / DRAWS


def test_the_draws_are_what_they_say() -> None:
    means = [paired(*canary(np.random.default_rng(d), -3.0, 0.5)).mean for d in range(50)]
    assert np.mean(means) == pytest.approx(-0.03, abs=0.004)


def test_a_worse_policy_is_refused_and_a_better_one_promoted() -> None:
    assert promoted(-3.0, shared=0.5) <= 0.05
    assert promoted(-3.0, shared=0.0) <= 0.05
    assert promoted(2.0, shared=0.5) >= 0.90


def test_small_losses_do_not_add_up() -> None:
    """Each step loses little against the last; the shipped policy is the one that notices."""
    dice = np.random.default_rng(1)
    shipped = (dice.random(40_000) < 0.9).astype(float)
    step = shipped.copy()
    refused = False
    for _ in range(8):
        after = step.copy()
        after[dice.choice(np.flatnonzero(step == 1), 240, replace=False)] = 0.0
        assert judge(after, step, step).is_promoted
        refused = refused or not judge(after, step, shipped).is_promoted
        step = after
    assert refused


def test_too_few_levels_and_other_levels_promote_nothing() -> None:
    few = np.ones(FEWEST_LEVELS - 1)
    assert not judge(few, few, few).is_promoted
    with pytest.raises(ValueError, match="same levels"):
        paired(np.ones(5), np.ones(6))
    with pytest.raises(ValueError, match="no number"):
        paired(np.array([1.0, np.nan]), np.ones(2))


def test_the_audit_sees_what_the_gate_was_fooled_by() -> None:
    dice = np.random.default_rng(3)
    shipped = (dice.random(4_000) < 0.8).astype(float)
    assert audit(shipped, shipped) is None
    fooled = shipped * (dice.random(4_000) < 0.95)
    assert "loses 4" in (audit(fooled, shipped) or "")


GOOD = judge(np.ones(FEWEST_LEVELS), np.ones(FEWEST_LEVELS), np.ones(FEWEST_LEVELS))
BAD = judge(np.zeros(FEWEST_LEVELS), np.ones(FEWEST_LEVELS), np.ones(FEWEST_LEVELS))


def test_a_record_goes_one_step_back_and_never_offers_a_refused_one_again() -> None:
    record = Record().judged("one", GOOD, 1.0).judged("two", GOOD, 2.0)
    assert (record.current, record.previous) == ("two", "one")
    back = record.rolled_back("slow", 3.0)
    assert (back.current, back.previous) == ("one", None)
    with pytest.raises(BadInput, match="two"):
        back.judged("two", GOOD, 4.0)
    assert back.rolled_back("slow, too", 5.0).current == SHIPPED
    with pytest.raises(BadInput, match="shipped"):
        Record().rolled_back("?", 6.0)
    refused = record.judged("three", BAD, 7.0)
    assert refused.current == "two" and refused.events[-1].kind == "refused"
    assert Record.from_json(refused.to_json()) == refused


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    arrays = {name: np.zeros(shape, dtype=np.float32) for name, shape in expected_shapes().items()}
    save(tmp_path / "shipped.npz", arrays, {"format": "symphony.policy/1", "version": "shipped-weights"})
    return tmp_path / "shipped.npz"


def copied(shipped: Path) -> Callable[[str], Path]:
    folder = shipped.parent / "policies"
    folder.mkdir(exist_ok=True)
    return lambda version: Path(shutil.copy(shipped, folder / f"{version}.npz"))


def test_versions_survive_a_restart_and_damage(shipped: Path) -> None:
    folder, offer = shipped.parent / "policies", copied(shipped)
    versions = Versions(folder, shipped)
    assert versions.load()[1] == SHIPPED
    for name in ("ppo-1", "ppo-2"):
        offer(name)
        versions.judged(name, GOOD)
    assert Versions(folder, shipped).load()[1] == "ppo-2"
    (folder / "ppo-2.npz").write_bytes(b"damaged")
    assert Versions(folder, shipped).load()[1] == "ppo-1"
    Versions(folder, shipped).roll_back("damaged")
    assert Versions(folder, shipped).record.current == "ppo-1"
    (folder / "record.json").write_text("{")
    assert Versions(folder, shipped).load()[1] == SHIPPED


def test_what_cannot_be_loaded_is_not_promoted(shipped: Path) -> None:
    versions = Versions(shipped.parent / "policies", shipped)
    with pytest.raises(Exception, match="cannot be read"):
        versions.judged("absent", GOOD)
    with pytest.raises(BadInput):
        versions.weights("../../elsewhere")
    assert versions.record == Record()


def test_old_weights_are_dropped(shipped: Path) -> None:
    offer, versions = copied(shipped), Versions(shipped.parent / "policies", shipped)
    for number in range(10):
        offer(f"v{number}")
        versions.judged(f"v{number}", GOOD)
    left = {file.stem for file in (shipped.parent / "policies").glob("*.npz")}
    assert {"v9", "v8"} <= left and len(left) <= 7


def test_what_was_learnt_from_other_shipped_weights_does_not_decide(shipped: Path) -> None:
    folder, offer = shipped.parent / "policies", copied(shipped)
    offer("older")
    arrays = {name: np.zeros(shape, dtype=np.float32) for name, shape in expected_shapes().items()}
    facts = {"format": "symphony.policy/1", "version": "online-1", "shipped": "weights-of-last-year"}
    save(folder / "online-1.npz", arrays, facts)
    versions = Versions(folder, shipped)
    versions.judged("online-1", GOOD)
    assert versions.usable()[1] == SHIPPED and "shipped by now" in versions.usable()[2]
    save(folder / "online-1.npz", arrays, {**facts, "shipped": "shipped-weights"})
    assert versions.usable()[1:] == ("online-1", "")
