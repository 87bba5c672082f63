"""No step is added for what the draft does already, for what nobody asked, or for what cannot be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conductor import Conductor
from conductor.core import WEIGHTS
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, bundled, conductor_over


def nodes_of(conductor: Conductor, prompt: str) -> dict[str, dict[str, Any]]:
    melody = conductor.compose(prompt, CONTEXT).melody
    assert melody is not None
    return {n["player"].removeprefix("symphony/"): n["params"] for n in melody["nodes"]}


def test_a_count_goes_to_the_step_that_can_limit_itself(conductor: Conductor) -> None:
    nodes = nodes_of(
        conductor, "Where is it most likely that we introduce bugs? Give me the top 10 in a chart"
    )
    assert nodes["code#hotspots"]["limit"] == 10 and "data#top" not in nodes
    nodes = nodes_of(conductor, "how many orders per customer in data/sales.csv? top three is enough")
    assert nodes["data#top"]["limit"] == 3, "what groups cannot limit"


@pytest.mark.parametrize(
    ("prompt", "player", "surplus"),
    [
        ("the 5 files with the most commits this year", "git#churn", "git#log"),
        ("functions with more than seven branches, worst first", "code#complexity", "git#branches"),
        ("I have an hour. Where are the hotspots?", "code#hotspots", "git#activity"),
    ],
)
def test_words_of_a_part_that_is_served_ask_for_no_other_source(
    conductor: Conductor, prompt: str, player: str, surplus: str
) -> None:
    nodes = nodes_of(conductor, prompt)
    assert player in nodes and surplus not in nodes


def test_a_time_in_a_story_limits_nothing(conductor: Conductor) -> None:
    assert "since" not in nodes_of(conductor, "I have an hour. Which files change most?")["git#churn"]
    away = nodes_of(conductor, "I was away last week. What was committed?")
    assert away["git#log"]["since"], "this one limits"


def test_what_cannot_be_served_adds_no_step(conductor: Conductor) -> None:
    made = conductor.compose("find dead code and order ten pizzas by weekday for the team", CONTEXT)
    assert made.melody and [n["player"] for n in made.melody["nodes"]] == ["symphony/code#dead_code"]
    assert "pizzas" in made.missing[0]


def test_what_says_nobody_does_not_answer_what_says_most(cache: Path) -> None:
    """To the encoder `files that nobody changes` is nearly `files that change`."""
    functions, lattice = bundled()
    left = FunctionSpec(
        "a/left#alone",
        "operator",
        "Files that nobody has changed for a long time",
        {"project": "project"},
        {"files": "list<record>"},
        examples=("files that were never changed", "which files have not changed", "files nobody has edited"),
    )
    conductor = conductor_over([*functions, left], lattice, cache, WEIGHTS)
    assert "a/left#alone" not in nodes_of(conductor, "most changed files")
    assert "a/left#alone" in nodes_of(conductor, "which files have never been changed by anybody")
