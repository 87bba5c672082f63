"""Where two readings of a prompt are likely, one short question is asked, and its answer is what is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conductor import ComposeContext, Composition, Conductor
from conductor.core import WEIGHTS
from conductor.question import MARGIN, player_question
from symphony.types.players import FunctionSpec

from .conftest import NOW, PROJECT, bundled, conductor_over

TWICE = replace(
    PROJECT,
    files=(*PROJECT.files, "src/a/helper.py", "src/b/helper.py", "data/stock.csv"),
    columns={
        "data/sales.csv": ("date", "Region", "amount_net", "amount_gross", "quantity"),
        "data/stock.csv": ("product", "shelf", "quantity"),
    },
)


def compose(conductor: Conductor, prompt: str, answers: dict[str, str] | None = None) -> Composition:
    return conductor.compose(prompt, ComposeContext(project=TWICE, now=NOW, answers=answers or {}))


def values(composition: Composition) -> list[Any]:
    assert composition.melody is not None
    return [value for node in composition.melody["nodes"] for value in node["params"].values()]


def choices(composition: Composition) -> list[str]:
    assert composition.question is not None
    return [choice["value"] for choice in composition.question["choices"]]


@pytest.mark.parametrize(
    ("prompt", "text", "readings"),
    [
        ("lint helper.py", "Which file is “helper.py”?", ["src/a/helper.py", "src/b/helper.py"]),
        ("commits since 3/4/2026", "Which day is “3/4/2026”?", ["2026-03-04", "2026-04-03"]),
        (
            "sum the amount by region in data/sales.csv",
            "Which column is “amount”?",
            ["amount_net", "amount_gross"],
        ),
        ("what is the total quantity", "Which file is meant?", ["data/sales.csv", "data/stock.csv"]),
    ],
)
def test_files_days_and_columns_are_asked_about(
    conductor: Conductor, prompt: str, text: str, readings: list[str]
) -> None:
    first = compose(conductor, prompt)
    assert first.question is not None, values(first)
    assert first.question["text"] == text and choices(first) == readings
    assert readings[0] in values(first), "the likelier reading is there meanwhile"
    assert any(line["why"].startswith(text) for line in first.explanations), "and it is told"
    other = compose(conductor, prompt, {first.question["name"]: readings[1]})
    assert other.question is None
    assert readings[1] in values(other) and readings[0] not in values(other)


def test_the_answered_file_brings_its_own_columns(conductor: Conductor) -> None:
    other = compose(conductor, "what is the total quantity", {"path:": "data/stock.csv"})
    assert "data/stock.csv" in values(other)


def test_what_is_clear_is_not_asked_about(conductor: Conductor) -> None:
    for prompt in (
        "lint src/a/helper.py",
        "commits since 13/4/2026",
        "sum the quantity by region",
        "find dead code",
    ):
        assert compose(conductor, prompt).question is None, prompt


def test_a_calculation_without_rows_asks_for_the_file_and_takes_the_one_that_is_named(
    conductor: Conductor,
) -> None:
    bare = ComposeContext(project=replace(TWICE, columns={}), now=NOW)
    refused = conductor.compose("sum the turnover by region", bare)
    assert not refused.possible and "a file with the column turnover" in refused.missing[0]
    named = conductor.compose("total the turnover column by month from data/sales.csv", bare)
    assert named.possible and "data/sales.csv" in values(named)


def test_a_value_that_nobody_uses_is_not_asked_about(conductor: Conductor) -> None:
    assert compose(conductor, "find dead code. Forget what I said on 3/4/2026").question is None


def test_there_is_never_a_second_question(conductor: Conductor) -> None:
    prompt = "Lint helper.py. Commits since 3/4/2026"
    first = compose(conductor, prompt)
    assert first.question is not None
    second = compose(conductor, prompt, {first.question["name"]: choices(first)[1]})
    assert second.question is None
    assert any("may also be" in line["why"] for line in second.explanations), "what else is open is told"


def test_two_players_that_fit_alike_are_asked_about_and_the_answer_is_played(tmp_path: Path) -> None:
    """Of Players that others made; where past requests say which of the bundled ones is meant nobody is asked."""
    prompt = "count the sheep"
    rivals = [
        FunctionSpec(f"{by}#sheep", "operator", told, {}, {"items": "list<record>"}, examples=(prompt,))
        for by, told in (("ann/farm", "Counts sheep"), ("bob/flock", "Counts the sheep"))
    ]
    functions, lattice = bundled()
    conductor = conductor_over([*functions, *rivals], lattice, tmp_path, WEIGHTS)
    first = compose(conductor, prompt)
    assert first.question is not None and first.question["name"] == player_question(prompt)
    assert MARGIN < 0.1, "only what is close is asked about"
    for player in choices(first):
        answered = compose(conductor, prompt, {first.question["name"]: player})
        assert answered.melody is not None and answered.question is None
        assert player in [node["player"] for node in answered.melody["nodes"]]


def test_a_slip_of_the_fingers_finds_the_file(conductor: Conductor) -> None:
    made = compose(conductor, "who is to blame for each line in src/praser.py?")
    assert "src/parser.py" in values(made) and made.question is None


def test_a_file_that_shall_be_written_may_be_new(conductor: Conductor) -> None:
    made = compose(conductor, "find dead code and save the report to docs/guides.md")
    assert "docs/guides.md" in values(made)
