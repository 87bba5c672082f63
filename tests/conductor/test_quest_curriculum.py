"""The curriculum draws levels on which play still changes, edits those at the frontier; Melodies become levels."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from conductor.quest.curriculum import EDIT_EVERY, MOST_EDITED, Curriculum, edited
from conductor.quest.env import QuestEnvironment
from conductor.quest.graph import graph_of, reaches
from conductor.quest.level import Level
from conductor.quest.melodies import level_of
from conductor.quest.problem import Problem
from conductor.quest.search import a_star
from conductor.quest.session import Session
from symphony.errors import BadInput

from .conftest import bundled
from .test_quest import LEVELS, table

TABLES = [table(level) for level in LEVELS[:8]]


def curriculum(seed: int = 1) -> Curriculum:
    return Curriculum(TABLES, table, seed)


def test_every_level_is_met_once_then_those_with_progress() -> None:
    made, dice = curriculum(), np.random.default_rng(3)
    met = []
    for _ in TABLES:
        place, _ = made.draw(dice)
        met.append(place)
        made.ended(place, 0.5)
    assert sorted(met) == list(range(len(TABLES)))
    for earned in (0.6, 0.9):
        made.ended(5, earned)
    counted = Counter(made.draw(dice)[0] for _ in range(400))
    assert counted.most_common(1)[0][0] == 5 and counted[5] > 200
    assert len(counted) > 1, "what was left out for long comes again"


def test_a_level_that_is_mastered_or_hopeless_is_left_alone() -> None:
    made = curriculum()
    for place in range(len(TABLES)):
        made.ended(place, float(place % 2))
    for _ in range(6):
        made.ended(3, 1.0)
        made.ended(2, 0.0)
        made.ended(4, random.Random(4).random())
    chances = made.chances()
    assert chances[4] == max(chances) and chances[4] > 5 * max(chances[2], chances[3])


def test_edits_are_made_at_the_frontier_and_have_bounds() -> None:
    made, dice = curriculum(), np.random.default_rng(1)
    for number in range(60 * EDIT_EVERY):
        place, _ = made.draw(dice)
        made.ended(place, float(number % 3 == 0))
    assert made.edits > 10
    names = [place.table.level.id for place in made._places]
    new = [name for name in names if "~" in name]
    assert 0 < len(new) <= MOST_EDITED * len(TABLES) + 1 and len(names) - len(new) == len(TABLES)


def test_an_edited_level_is_another_and_can_be_solved() -> None:
    dice, kinds = random.Random(2), set()
    for number in range(60):
        level = LEVELS[number % len(LEVELS)]
        changed = edited(level, dice, number)
        if changed is None:
            continue
        assert changed.to_json() != level.to_json() and changed.truth == level.truth
        kinds.add((len(changed.functions) < len(level.functions), changed.budget < level.budget,
                   len(changed.goal) < len(level.goal)))  # fmt: skip
        plan = a_star(Problem(changed)).plan
        assert plan and reaches(changed, graph_of(changed, plan))
    assert len(kinds) >= 3


def test_the_environments_tell_the_curriculum_how_it_went() -> None:
    made = curriculum()
    environment = QuestEnvironment(TABLES, made)
    for seed in range(3):
        environment.reset(seed=seed)
        done = False
        while not done:
            _, _, done, _, _ = environment.step(0)
    assert sum(place.plays for place in made._places) == 3


MELODY = {
    "name": "review",
    "nodes": [
        {"id": "log", "player": "symphony/git#log"},
        {"id": "count", "player": "symphony/data#count@^1"},
        {"id": "show", "player": "symphony/report#table"},
        {"id": "ask", "player": "symphony/control#approve"},
    ],
    "edges": [
        {"kind": "data", "from": "log.commits", "to": "count.items"},
        {"kind": "data", "from": "count.counts", "to": "show.rows"},
    ],
}


def melody() -> Level:
    functions, lattice = bundled()
    players = {spec.player: spec for spec in functions}
    count = next(iter(players["symphony/data#count"].outputs))
    MELODY["edges"][1]["from"] = f"count.{count}"  # type: ignore[index]
    return level_of(
        MELODY,
        players,
        lattice,
        name="review",
        prompt="who commits most",
        measured={"symphony/git#log": (2.0, 0.3)},
    )


def test_a_real_melody_becomes_a_level_that_can_be_played() -> None:
    level = melody()
    assert level.prompt == "who commits most" and "list<git/commit>" in level.goal
    assert len(level.functions) > 20 and level.truth["symphony/git#log"].fail == 0.3
    found = a_star(Problem(level))
    assert found.plan and reaches(level, graph_of(level, found.plan))
    session = Session(level)
    for _ in range(24):
        choices = session.choices()
        if not choices:
            break
        session.take(choices[0].id)
    assert session.is_won and session.score().par_nodes == len(found.plan)


def test_a_melody_of_players_that_are_not_installed_is_no_level() -> None:
    functions, lattice = bundled()
    with pytest.raises(BadInput, match="installed"):
        level_of(
            {"nodes": [{"id": "a", "player": "x/y#z"}]}, {s.player: s for s in functions}, lattice, name="m"
        )
