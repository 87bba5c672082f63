"""The shipped weights of Function Quest: better than their teacher, and worth something only as they are."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from conductor.composer import by_policy
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.evaluate.quest import WEIGHTS
from conductor.policy import Policy, expected_shapes
from conductor.quest.agents import composing, searching
from conductor.quest.episode import QuestTable
from conductor.quest.generator import SMALL, generate
from conductor.quest.graph import chance
from conductor.quest.packs import HARD_ENOUGH, PACKS, VALIDATION, Pack, easiness

from .conftest import ENCODER

LEVELS = 30


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return Policy.load(WEIGHTS / "quest.npz")


@pytest.fixture(scope="module")
def embed() -> Memory:
    return Memory(Encoder(ENCODER))


@pytest.fixture(scope="module")
def tables(shipped: Policy, embed: Memory) -> list[QuestTable]:
    levels = (generate(seed, split="weights", shape=SMALL) for seed in range(LEVELS))
    return [QuestTable(level, embed, shipped.project) for level in levels]


def rate(policy: Policy, tables: list[QuestTable]) -> float:
    """How often the policy's graphs succeed, luck averaged out."""
    agent = composing(by_policy(policy), policy)
    found = []
    for table in tables:
        table.learned = None
        found.append(chance(table.level, agent(table)[0]))
    return float(np.mean(found))


def test_play_has_taught_what_is_declared_nowhere(shipped: Policy, tables: list[QuestTable]) -> None:
    cloned = Policy.load(WEIGHTS / "quest_cloned.npz")
    par = float(np.mean([chance(table.level, searching(table)[0]) for table in tables]))
    learned = rate(shipped, tables)
    assert learned > par + 0.04 and learned > rate(cloned, tables) + 0.04


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_shipped_pack_is_hard_for_plain_players(pack: Pack, embed: Memory) -> None:
    found = easiness([QuestTable(level, embed) for level in pack.levels(40)])
    for name, most in HARD_ENOUGH.items():
        assert found[name] <= most, found


def test_the_policy_keeps_a_tenth_of_the_states_that_a_star_pops(shipped: Policy, embed: Memory) -> None:
    """On levels as large as those that are published; both keep to the same masks."""
    agent, kept, popped, chances = composing(by_policy(shipped), shipped), 0, 0, [0.0, 0.0]
    for level in VALIDATION.levels(25):
        opened = QuestTable(level, embed, shipped.project)
        for place, player in enumerate((agent, searching)):
            graph, states = player(opened)
            chances[place] += chance(level, graph) / 25
            kept, popped = (kept + states, popped) if place == 0 else (kept, popped + states)
    assert popped >= 10 * kept and chances[0] >= chances[1] - 0.02


def test_with_corrupted_weights_fewer_compositions_succeed(shipped: Policy, tables: list[QuestTable]) -> None:
    dice = np.random.default_rng(1)
    arrays = {name: shipped.array(name).copy() for name in expected_shapes()}
    for name, array in arrays.items():
        if name not in ("basis", "centre"):
            dice.shuffle(array.reshape(-1))
    assert rate(Policy(arrays, {}), tables) < rate(shipped, tables) - 0.06


def test_the_weights_say_how_they_were_made(shipped: Policy) -> None:
    facts = shipped.facts
    assert facts["version"].startswith("quest-ppo-") and facts["environment_steps"] > 100_000
    assert {"seed", "commit", "levels_sha256", "settings", "curve", "cloning", "held_success"} <= set(facts)
    assert facts["held_success"]["difference_lower_95"] > 0


def test_the_curves_can_be_drawn(shipped: Policy) -> None:
    from conductor.training.plot import SERIES, curves

    drawn = ElementTree.fromstring(curves(shipped.facts))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == len(SERIES) and all(len(line.attrib["points"].split()) > 10 for line in lines)
