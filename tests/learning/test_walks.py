"""What policies meet on a level is worked out once: it is the same as if each played alone."""

from __future__ import annotations

import numpy as np
import pytest

from conductor.composer import by_policy, play
from conductor.core import WEIGHTS
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.policy import Policy, expected_shapes
from conductor.training.compositions import Gauge, Pack, bundled
from conductor.training.dataset import episode_of, open_world
from conductor.training.walks import Walks
from symphony.app.paths import bundled_extensions, encoder_files

PACK = Pack("walks", 24)


@pytest.fixture(scope="module")
def embed() -> Memory:
    return Memory(Encoder(encoder_files()))


@pytest.fixture(scope="module")
def policies() -> list[Policy]:
    """The shipped policy, and two that went astray from it."""
    shipped = Policy.load(WEIGHTS)
    found = [shipped]
    for seed in (1, 2):
        dice = np.random.default_rng(seed)
        arrays = {name: shipped.array(name).copy() for name in expected_shapes()}
        for name in ("match.weight", "stop.weight", "policy.3.bias"):
            arrays[name] += 0.5 * np.asarray(dice.normal(size=arrays[name].shape), dtype=np.float32)
        found.append(Policy(arrays, {}))
    return found


def test_walks_end_where_each_policy_ends_alone(policies: list[Policy], embed: Memory) -> None:
    ended: list[list[list[int]]] = []
    for world, levels in PACK.worlds(*bundled(bundled_extensions())):
        table = open_world(world, embed, policies[0].project)
        assert table.reduced is not None
        for level in levels:
            walks = Walks(table, level, embed, policies[0])
            alone = []
            for policy in policies:
                table.learned = policy.learned_keys(table.reduced)
                episode = episode_of(table, level, embed)
                play(episode, by_policy(policy))
                alone.append(sorted({node.function for node in episode.draft.nodes}))
            for _ in range(2):
                found = [walks.played(p, p.learned_keys(table.reduced)) for p in policies]
                assert found == alone
            ended.append(alone)
    assert len(ended) == PACK.size and any(a != b for a, b, _ in ended), "they must part somewhere"


def test_a_gauge_that_keeps_the_states_measures_the_same(policies: list[Policy], embed: Memory) -> None:
    plain = Gauge(bundled_extensions(), embed).success(PACK, policies)
    keeping = Gauge(bundled_extensions(), embed, keeps=True)
    for policy, expected in zip(policies, plain, strict=True):
        assert np.array_equal(keeping.success(PACK, [policy])[0], expected)
