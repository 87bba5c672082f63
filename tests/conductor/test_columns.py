"""Columns that a composed step names are those that the step before it makes."""

from __future__ import annotations

from typing import Any

import pytest

from conductor import Conductor
from conductor.columns import fit_columns
from symphony.types.players import FunctionSpec, ParamSpec

from .conftest import CONTEXT

ROWS = "list<record>"
CATALOGUE = {
    spec.player: spec
    for spec in (
        FunctionSpec(
            "a/git#log", "operator", "", {}, {"commits": ROWS},
            columns={"commits": ("date", "author", "lines_changed")},
        ),
        FunctionSpec("a/any#read", "operator", "", {}, {"items": ROWS}),
        FunctionSpec(
            "a/data#top", "operator", "", {"items": ROWS}, {"items": ROWS},
            {"by": ParamSpec("string", "the column that decides")}, keeps=frozenset({"items"}),
        ),
        FunctionSpec(
            "a/data#group", "operator", "", {"items": ROWS}, {"items": ROWS},
            {"by": ParamSpec("list", "the columns whose values make the groups", required=True)},
        ),
        FunctionSpec("a/report#chart", "operator", "", {"items": ROWS}, {"chart": "image/svg+xml"}),
    )
}  # fmt: skip


def melody(*steps: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Steps one after the other."""
    nodes = [{"id": f"n{k}", "player": player, "params": params} for k, (player, params) in enumerate(steps)]
    edges = []
    for k in range(1, len(nodes)):
        output = next(iter(CATALOGUE[steps[k - 1][0]].outputs))
        edges.append({"kind": "data", "from": f"n{k - 1}.{output}", "to": f"n{k}.items"})
    return {"nodes": nodes, "edges": edges}


@pytest.mark.parametrize(
    ("said", "column"),
    [("authors", "author"), ("Author", "author"), ("lines", "lines_changed"), ("month", "date:month")],
)
def test_a_name_is_written_as_the_column_is(said: str, column: str) -> None:
    made = melody(("a/git#log", {}), ("a/data#group", {"by": [said]}))
    assert fit_columns(made, CATALOGUE) == ([], [])
    assert made["nodes"][1]["params"] == {"by": [column]}


def test_what_no_column_is_called_is_told_and_a_step_that_keeps_its_rows_is_left_out() -> None:
    made = melody(("a/git#log", {}), ("a/data#top", {"by": "weather"}), ("a/report#chart", {}))
    missing, gone = fit_columns(made, CATALOGUE)
    assert gone == ["n1"] and "weather" in missing[0] and "lines_changed" in missing[0]
    assert [node["id"] for node in made["nodes"]] == ["n0", "n2"]
    assert made["edges"] == [{"kind": "data", "from": "n0.commits", "to": "n2.items"}]
    grouped = melody(("a/git#log", {}), ("a/data#group", {"by": ["weather"]}))
    missing, gone = fit_columns(grouped, CATALOGUE)
    assert missing and gone == ["n1"] and [node["id"] for node in grouped["nodes"]] == ["n0"]


def test_columns_go_through_what_keeps_them_and_no_further() -> None:
    kept = melody(("a/git#log", {}), ("a/data#top", {"by": "authors"}), ("a/data#group", {"by": ["dates"]}))
    assert fit_columns(kept, CATALOGUE) == ([], [])
    assert [node["params"] for node in kept["nodes"][1:]] == [{"by": "author"}, {"by": ["date"]}]
    unknown = melody(
        ("a/git#log", {}), ("a/data#group", {"by": ["author"]}), ("a/data#top", {"by": "weather"})
    )
    assert fit_columns(unknown, CATALOGUE) == ([], [])
    assert fit_columns(melody(("a/any#read", {}), ("a/data#top", {"by": "weather"})), CATALOGUE) == ([], [])


def test_words_of_other_languages_mean_the_same_columns() -> None:
    made = melody(("a/git#log", {}), ("a/data#top", {"by": "autoren"}))
    assert fit_columns(made, CATALOGUE, "de") == ([], [])
    assert made["nodes"][1]["params"] == {"by": "author"}


def test_a_prompt_gets_columns_that_are_there(conductor: Conductor) -> None:
    made = conductor.compose("find all functions longer than 50 lines", CONTEXT)
    assert made.melody is not None and not made.missing
    assert {"where": "lines > 50"} in [node["params"] for node in made.melody["nodes"]]
    told = conductor.compose("functions with over 10 branches", CONTEXT)
    assert told.melody is not None and "symphony/data#filter" not in {
        n["player"] for n in told.melody["nodes"]
    }
    assert any("branches" in text and "complexity" in text for text in told.missing)
    names = {node["id"] for node in told.melody["nodes"]} | {""}
    assert {one["node"] for one in told.explanations} <= names
