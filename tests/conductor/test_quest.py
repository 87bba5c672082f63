"""Function Quest: levels, masks, search, play, and the environment."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.composer import by_chance, play
from conductor.quest import graph as graphs
from conductor.quest.agents import agents, at_random, composing, searching
from conductor.quest.episode import QuestEpisode, QuestTable
from conductor.quest.generator import DEEP, SMALL, generate, truths
from conductor.quest.level import Function, Level, level_from, read_levels, write_levels
from conductor.quest.packs import HARD_ENOUGH, PACKS, easiness
from conductor.quest.problem import Problem
from conductor.quest.search import a_star
from symphony.errors import BadInput


def words_only(texts: Sequence[str]) -> np.ndarray:
    """An embedding by hashed words: enough to know one function from another."""
    found = np.full((len(texts), 384), 1e-3, dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            found[row, sum(map(ord, word)) % 384] += 1.0
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def reduced(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors[:, :128])


def table(level: Level) -> QuestTable:
    return QuestTable(level, words_only, reduced)


LEVELS = [generate(seed, split="test", shape=SMALL) for seed in range(25)]


def function(
    name: str, takes: Sequence[str], gives: Sequence[str], mean: float = 1.0, **more: float
) -> Function:
    return Function(
        name, name, name, {f"i{n}": t for n, t in enumerate(takes)}, {f"o{n}": t for n, t in enumerate(gives)},
        mean, 0.0, more.get("fail", 0.0), more.get("cost", 1.0),
    )  # fmt: skip


def test_a_seed_gives_the_same_level_and_splits_share_none() -> None:
    again = generate(3, split="test", shape=SMALL)
    assert again.to_json() == LEVELS[3].to_json()
    assert generate(3, split="train", shape=SMALL).to_json()["functions"] != again.to_json()["functions"]


def test_packs_are_what_they_were() -> None:
    for pack in PACKS:
        assert pack.digest_now() == pack.digest, pack.name


def test_levels_are_hard_for_plain_players() -> None:
    found = easiness([table(level) for level in LEVELS])
    for name, most in HARD_ENOUGH.items():
        assert found[name] <= most, found


def test_what_is_true_is_not_what_is_declared() -> None:
    worse = 0
    for level in LEVELS:
        for f in level.functions:
            worse += level.truth[f.id].fail > 0.1 >= f.fail
    assert worse > 100
    assert len({t.fail for t in truths().values()}) == len(truths())


def test_a_level_survives_its_file(tmp_path: Path) -> None:
    write_levels(tmp_path / "levels.jsonl", LEVELS[:3])
    read = read_levels(tmp_path / "levels.jsonl")
    assert [level.to_json() for level in read] == [level.to_json() for level in LEVELS[:3]]
    assert not read[0].truth


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"functions": []}, "no functions"),
        ({"goal": []}, "wants nothing"),
        ({"budget": -1}, "budget"),
        ({"have": 3}, "have"),
        ({"functions": [{"id": "a", "fail": 2}]}, "fail"),
        ({"functions": [{"id": "a"}, {"id": "a"}]}, "two functions"),
        ({"functions": [{"id": "a", "latency": 4}]}, "latency"),
        ({"id": ""}, "no id"),
    ],
)
def test_a_bad_level_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        level_from(LEVELS[0].to_json() | change)


def test_whoever_keeps_to_the_masks_reaches_the_goal_within_the_budget() -> None:
    for seed, level in enumerate(LEVELS):
        for agent in (composing(by_chance(seed)), searching):
            graph, _ = agent(table(level))
            assert graphs.reaches(level, graph), (level.id, graph)


def test_without_masks_chance_reaches_nothing() -> None:
    reached = [graphs.reaches(level, at_random(1)(table(level))[0]) for level in LEVELS]
    assert sum(reached) <= 1


TYPES = ["a", "b", "c", "d", "e"]


@st.composite
def tiny_levels(draw: Any) -> Level:
    names = st.sampled_from(TYPES)
    functions = [
        function(
            f"f{n}",
            draw(st.lists(names, max_size=2, unique=True)),
            [draw(names)],
            mean=draw(st.integers(1, 9)),
            fail=draw(st.sampled_from([0.0, 0.1])),
            cost=draw(st.integers(1, 5)),
        )
        for n in range(draw(st.integers(2, 6)))
    ]
    supertypes = {"a": ("b",)} if draw(st.booleans()) else {}
    return Level("tiny", "", functions, supertypes, ("a",), tuple(draw(st.sets(names, min_size=1, max_size=2))),
                 draw(st.sampled_from([math.inf, 4.0, 8.0])))  # fmt: skip


def brute_force(problem: Problem) -> float:
    """The least weight of any order of any functions that reaches the goal within the budget."""
    best = math.inf
    for size in range(len(problem.needs) + 1):
        for order in itertools.permutations(range(len(problem.needs)), size):
            state = problem.have
            for f in order:
                if problem.needs[f] & ~state:
                    break
                state |= problem.gives[f]
            else:
                if not problem.goal & ~state and sum(problem.costs[f] for f in order) <= problem.level.budget:
                    best = min(best, sum(problem.weights[f] for f in order))
    return best


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tiny_levels())
def test_a_star_is_optimal(level: Level) -> None:
    problem = Problem(level)
    best, found = brute_force(problem), a_star(problem)
    if found.plan is None:
        assert math.isinf(best)
        return
    assert graphs.reaches(level, graphs.graph_of(level, found.plan))
    assert problem.lower_bound(problem.have, problem.weights) <= best + 1e-9
    if math.isinf(level.budget):
        assert found.weight == pytest.approx(best)
    else:
        # The masks keep to plans that are known to fit; they may exclude a lighter one, never all of them.
        assert found.weight >= best - 1e-9


def test_a_search_that_gives_up_still_answers_within_the_budget() -> None:
    for level in LEVELS[:10]:
        found = a_star(Problem(level), most=2)
        assert found.plan is not None and not found.is_optimal and found.expansions == 2
        assert graphs.reaches(level, graphs.graph_of(level, found.plan))


def test_branches_run_side_by_side() -> None:
    functions = [
        function("left", ["a"], ["b"], 2.0),
        function("right", ["a"], ["c"], 5.0),
        function("join", ["b", "c"], ["d"], 1.0),
    ]
    level = Level("join", "", functions, {}, ("a",), ("d",), 3.0)
    graph = graphs.graph_of(level, [0, 1, 2])
    outcome = graphs.play(level, graph)
    assert (outcome.success, outcome.makespan, outcome.sequential) == (True, 6.0, 8.0)
    assert not graphs.invalidities(level, graph)
    assert graph.to_json(level)["edges"] == [
        {"from": "n1.o0", "to": "n3.i0"}, {"from": "n2.o0", "to": "n3.i1"},
    ]  # fmt: skip
    level.budget = 2.9
    assert not graphs.play(level, graph).success


def test_what_fails_in_truth_fails_as_often() -> None:
    level = LEVELS[0]
    found = a_star(Problem(level)).plan
    assert found is not None
    graph = graphs.graph_of(level, found)
    often = np.mean([graphs.play(level, graph, draw).success for draw in range(600)])
    assert abs(often - graphs.chance(level, graph)) < 0.07


def test_a_forged_graph_is_invalid() -> None:
    functions = [function("one", ["a"], ["b"]), function("two", ["c"], ["d"])]
    level = Level("forged", "", functions, {}, ("a",), ("d",), 9.0)
    assert graphs.invalidities(level, graphs.Graph([1], [])) == ["input i0 of node 1 is open"]
    assert graphs.invalidities(level, graphs.Graph([0, 1], [(0, "o0", 1, "i0")])) == ["edge from b to c"]
    assert not graphs.reaches(level, graphs.Graph([1], []))


def test_the_episode_is_one_of_the_conductor() -> None:
    episode = QuestEpisode(table(LEVELS[1]))
    state = episode.state(None)
    candidates = episode.candidates()
    facts = episode.matches(candidates)
    assert state.shape == (512,) and np.isfinite(state).all() and 0 < len(candidates) <= 127
    assert facts.shape == (len(candidates), 32) and np.isfinite(facts).all()
    assert episode.owed(candidates) == candidates
    decisions = play(episode, by_chance(1))
    assert episode.is_won and len(decisions) == len(episode.draft.nodes)


def test_deep_levels_need_more_steps() -> None:
    deep = [generate(seed, split="test", shape=DEEP) for seed in range(2)]
    steps = [len(a_star(Problem(level)).plan or ()) for level in deep]
    usual = [len(a_star(Problem(level)).plan or ()) for level in LEVELS]
    assert np.mean(steps) > np.mean(usual) + 2


def test_every_agent_answers_in_the_form_of_the_contracts() -> None:
    from conductor.quest.measure import lines_of, play_all, summary

    levels, results = play_all(agents({}, 1), map(table, LEVELS[:6]))
    lines = lines_of(levels, results)
    assert len(lines) == 6 * len(results) and json.dumps(lines)
    found = summary(results, 0)
    assert set(found) == {"uniform_masked", "cosine", "random", "greedy", "a_star"}
    for row in found.values():
        assert {"n", "success", "valid", "makespan", "expansions", "ms", "ci"} == set(row)
    assert found["a_star"]["valid"] == 1.0 and found["a_star"]["expansions"] > found["greedy"]["expansions"]


def test_the_environment_keeps_to_gymnasium_and_its_masks() -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker")
    from conductor.quest.env import SHOWN, QuestEnvironment

    environment = QuestEnvironment([table(level) for level in LEVELS[:3]])
    checker.check_env(environment, skip_render_check=True)
    seen, _ = environment.reset(seed=4)
    total, ended = 0.0, False
    while not ended:
        assert seen[-SHOWN:].sum() >= 1
        seen, reward, ended, _, _ = environment.step(0)
        total += reward
    assert -2.0 < total < 1.0
    environment.reset(seed=4)
    assert environment.step(SHOWN - 1)[1:3] == (0.0, True)
