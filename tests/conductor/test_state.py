"""Each part of what the Conductor sees changes its state and a decision: the graph so far, resources, the quality of
what was made, the project, the installed Players, history, preferences, and the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor import ComposeContext, Conductor
from conductor.core import WEIGHTS
from conductor.episode import Episode
from conductor.needs import Means, Measured
from symphony.config.orchestration import Policies
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, PROJECT, bundled, conductor_over

FIRST, OTHER = "symphony/code#todos", "acme/notes#todos"
PROMPT = "list all open TODOs"


def with_twin(**first: Any) -> list[FunctionSpec]:
    """The bundled Players and another one that does just what one of them does; `first` changes that one."""
    functions, _ = bundled()
    (todos,) = [s for s in functions if s.player == FIRST]
    return [*(replace(s, **first) if s is todos else s for s in functions), replace(todos, player=OTHER)]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Conductor:
    return conductor_over(with_twin(), bundled()[1], tmp_path_factory.mktemp("twins"), WEIGHTS)


def chosen(conductor: Conductor, context: ComposeContext, prompt: str = PROMPT) -> list[str]:
    made = conductor.compose(prompt, context)
    return [node["player"] for node in made.melody["nodes"]] if made.melody else []


def having(**given: Any) -> ComposeContext:
    return replace(CONTEXT, means=Means(**given))


def state(conductor: Conductor, context: ComposeContext, *, steps: int = 0) -> np.ndarray[Any, Any]:
    table, _, _ = conductor._indexed()
    encoder, policy = conductor._encoder, conductor._policy
    assert encoder is not None and policy is not None
    episode = Episode(table, PROMPT, encoder.embed, context)
    for _ in range(steps):
        episode.step(episode.candidates()[0])
    return episode.state(policy.project)


def measured(of: Mapping[str, Measured]) -> ComposeContext:
    return having(measured=dict(of))


def test_the_state_has_512_numbers_and_every_part_is_in_them(twins: Conductor) -> None:
    plain = having(measured={FIRST: Measured(runs=5, quality=0.5)}, free={"cpu": 4.0}, capacity={"cpu": 8.0})
    parts = {
        "graph": (plain, 1),
        "resources": (replace(plain, means=replace(plain.means or Means(), free={"cpu": 1.0})), 0),
        "history": (
            having(measured={FIRST: Measured(runs=500)}, free={"cpu": 4.0}, capacity={"cpu": 8.0}),
            0,
        ),
        "project": (replace(plain, project=replace(PROJECT, is_git=False)), 0),
        "preferences": (replace(plain, preferences={"since": "30d"}), 0),
        "budget": (
            having(
                measured={FIRST: Measured(runs=5, quality=0.5)},
                free={"cpu": 4.0},
                capacity={"cpu": 8.0},
                policies=Policies.model_validate({"budget": {"seconds": "9s"}}),
            ),
            0,
        ),
    }
    before = state(twins, plain)
    assert before.shape == (512,)
    for part, (context, steps) in parts.items():
        assert not np.array_equal(before, state(twins, context, steps=steps)), part
    good = having(measured={p: Measured(runs=5, quality=0.9) for p in (FIRST, OTHER)})
    poor = having(measured={p: Measured(runs=5, quality=0.4) for p in (FIRST, OTHER)})
    assert not np.array_equal(state(twins, good, steps=1), state(twins, poor, steps=1)), "quality"


def test_what_was_used_is_used_again(twins: Conductor) -> None:
    for player in (FIRST, OTHER):
        assert chosen(twins, measured({player: Measured(runs=40)})) == [player]


def test_what_made_better_results_is_chosen(twins: Conductor) -> None:
    for player, rival in ((FIRST, OTHER), (OTHER, FIRST)):
        seen = {player: Measured(runs=9, quality=0.95), rival: Measured(runs=9, quality=0.3)}
        assert chosen(twins, measured(seen)) == [player]


def test_what_fails_is_not_chosen(twins: Conductor) -> None:
    for player, rival in ((FIRST, OTHER), (OTHER, FIRST)):
        seen = {player: Measured(runs=9), rival: Measured(runs=9, failed=30)}
        assert chosen(twins, measured(seen)) == [player]


def test_the_machine_decides_what_can_be_played(tmp_path: Path) -> None:
    conductor = conductor_over(with_twin(gpu=1.0), bundled()[1], tmp_path, WEIGHTS)
    favours = {FIRST: Measured(runs=40)}
    small = {"cpu": 4.0, "memory": float(8 << 30), "gpu": 0.0}
    assert chosen(conductor, having(measured=favours, free=small, capacity=small)) == [OTHER]
    large = {**small, "gpu": 1.0}
    assert chosen(conductor, having(measured=favours, free=large, capacity=large)) == [FIRST]


def test_a_player_for_which_there_is_room_now_goes_first(tmp_path: Path) -> None:
    conductor = conductor_over(with_twin(memory=4 << 30), bundled()[1], tmp_path, WEIGHTS)
    capacity = {"cpu": 4.0, "memory": float(16 << 30)}
    busy = having(free={"cpu": 4.0, "memory": float(1 << 30)}, capacity=capacity)
    assert chosen(conductor, busy) == [OTHER]


def test_installed_players_decide(conductor: Conductor, twins: Conductor, tmp_path: Path) -> None:
    assert chosen(conductor, CONTEXT) == [FIRST]
    gone = conductor_over(with_twin(available=False), bundled()[1], tmp_path, WEIGHTS)
    assert chosen(gone, CONTEXT) == [OTHER]


def test_the_project_decides(conductor: Conductor) -> None:
    bare = replace(CONTEXT, project=replace(PROJECT, files=("main.c",)))
    assert chosen(conductor, CONTEXT, "summarise README.md") == ["symphony/text#summary"]
    assert chosen(conductor, CONTEXT, "summarise the README") == ["symphony/text#summary"]
    assert chosen(conductor, bare, "summarise the README") != ["symphony/text#summary"]


def test_preferences_decide(conductor: Conductor) -> None:
    liked = replace(CONTEXT, preferences={"path": "src/parser.py"})
    assert chosen(conductor, CONTEXT, "git blame") == []
    assert chosen(conductor, liked, "git blame") == ["symphony/git#blame"]


def test_the_graph_so_far_decides(conductor: Conductor) -> None:
    first, second, *_ = conductor.compose("find dead code and draw a chart", CONTEXT).decisions
    assert first["action"] != second["action"]


def test_the_budget_decides(conductor: Conductor) -> None:
    prompt = "Which files change most and are hardest to maintain? Write me a report with a chart"
    rules = Policies.model_validate({"budget": {"nodes": 2}})
    assert len(chosen(conductor, CONTEXT, prompt)) > 2
    assert 0 < len(chosen(conductor, having(policies=rules), prompt)) <= 2
    slow = {s.player: Measured(runs=9, seconds=60.0) for s in bundled()[0]}
    hasty = Policies.model_validate({"budget": {"seconds": "30s"}})
    assert chosen(conductor, having(policies=hasty, measured=slow), PROMPT) == []
