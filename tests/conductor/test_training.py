"""Levels, decisions and cloning: the parts of training, small."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from conductor.encoder import Encoder
from conductor.episode import Table
from conductor.policy import ACTION, BASIS, MATCH, STATE, Policy, expected_shapes
from conductor.rules import STOP
from conductor.training.dataset import Decision, decisions_of, draw_levels, open_world
from conductor.training.levels import World, make_world
from conductor.training.library import invented_library

from .conftest import ENCODER, bundled


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(ENCODER)


def reduced(vectors: np.ndarray) -> np.ndarray:
    return vectors[:, :BASIS]


def opened(world: World, encoder: Encoder) -> Table:
    return open_world(world, encoder.embed, reduced)


def decided(encoder: Encoder, seed: int = 5, levels: int = 12) -> list[Decision]:
    dice = random.Random(seed)
    library, lattice = invented_library(seed, things=4)
    world = make_world(library, lattice, dice, drop=0.0)
    table = opened(world, encoder)
    found: list[Decision] = []
    for level in draw_levels(world, levels, dice):
        found += decisions_of(table, level, encoder.embed, reduced, dice)
    return found


def test_a_seed_gives_the_same_library_and_levels() -> None:
    def prompts() -> Sequence[str]:
        dice = random.Random(1)
        library, lattice = invented_library(3)
        return [level.prompt for level in draw_levels(make_world(library, lattice, dice, drop=0.1), 20, dice)]

    assert prompts() == prompts()


def test_held_out_phrasings_word_no_training_level() -> None:
    functions, lattice = bundled()
    held = make_world(functions, lattice, random.Random(0), drop=0.0, phrases_from="held")
    seen = make_world(functions, lattice, random.Random(0), drop=0.0)
    for player, phrases in held.phrases.items():
        spec = next(s for s in seen.functions if s.player == player)
        full = next(s for s in functions if s.player == player)
        if len(full.examples) >= 5:
            assert not set(phrases) & (set(spec.examples) | set(seen.phrases[player]))


def test_every_decision_has_a_right_action_that_the_masks_allow(encoder: Encoder) -> None:
    decisions = decided(encoder)
    assert len(decisions) > 20
    for decision in decisions:
        assert decision.right.sum() >= 1 and len(decision.right) == len(decision.candidates) + 1
        assert decision.state.shape == (STATE,) and np.isfinite(decision.state).all()
        assert decision.matches.shape[1] == MATCH and np.isfinite(decision.matches).all()
    assert STOP == -1 and any(d.right[-1] == 1 for d in decisions)


def test_cloning_lowers_the_loss_and_numpy_runs_the_same_network(encoder: Encoder) -> None:
    torch = pytest.importorskip("torch")
    from conductor.training.clone import Networks, batch_of, clone

    torch.manual_seed(0)
    decisions = decided(encoder)
    networks = Networks()
    curve = clone(networks, decisions, decisions, epochs=12, seed=0)
    assert curve[-1]["held_loss"] < 0.6 * curve[0]["held_loss"]
    arrays = networks.arrays()
    arrays |= {n: np.zeros(s, dtype=np.float32) for n, s in expected_shapes().items() if n not in arrays}
    policy = Policy(arrays, {})
    decision = decisions[3]
    state, candidates, matches, stop, _, _ = batch_of([decision])
    theirs = networks.logits(state, candidates, matches, stop)[0].detach().numpy()
    ours = policy.logits(
        decision.state, policy.learned_keys(decision.candidates), decision.matches, decision.stop
    )
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert expected_shapes()["policy.3.weight"][0] == ACTION
