"""The Motif explorer: rows are searched, sorted and summed up; a text is measured."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.sdk.failures import Cancelled
from symphony.ui.foreign import adopt

ROWS: list[dict[str, Any]] = [
    {"name": "core.py", "commits": 12, "risk": 0.5},
    {"name": "Web.ts", "commits": 3, "risk": None},
    {"name": "lib.rs", "commits": 40, "risk": 0.25, "note": "größer"},
]


def shown(harness: Any, function: str, *events: tuple[str, Any], **inputs: Any) -> list[dict[str, Any]]:
    """The trees that a function shows: the first one, and one after each event."""
    harness.host.events.clear()
    harness.host.coming = [{"key": key, "name": "change", "value": value} for key, value in events]
    with pytest.raises(Cancelled):
        harness.call(function, inputs=inputs)
    trees = [body["tree"] for body in harness.host.reported("ui")]
    for tree in trees:
        adopt(tree, "component-1")
    return trees


def cells(tree: dict[str, Any]) -> list[list[str]]:
    tables = [child for child in tree["children"] if child["type"] == "Table"]
    return [row["cells"] for row in tables[0]["props"]["rows"]] if tables else []


def texts(tree: dict[str, Any]) -> str:
    return " ".join(child if isinstance(child, str) else texts(child) for child in tree["children"]) + str(
        tree["props"].get("text", "")
    )


def test_rows_are_sorted_and_those_without_a_value_stand_last(player):
    explorer = player("explorer")
    trees = shown(explorer, "rows", ("sort", "risk"), ("descending", True), ("sort", "name"), items=ROWS)
    assert cells(trees[0])[0] == ["core.py", "12", "0.5", ""]
    assert [row[0] for row in cells(trees[1])] == ["lib.rs", "core.py", "Web.ts"]
    assert [row[0] for row in cells(trees[2])] == ["core.py", "lib.rs", "Web.ts"]
    assert [row[0] for row in cells(trees[3])] == ["Web.ts", "lib.rs", "core.py"]
    assert "risk: least 0.25, greatest 0.5, mean 0.375, sum 0.75" in texts(trees[1])


def test_every_word_of_a_search_is_found_in_some_cell(player):
    trees = shown(
        player("explorer"),
        "rows",
        ("search", "GRÖSS lib"),
        ("search", "größ LIB"),
        ("search", "x"),
        items=ROWS,
    )
    assert cells(trees[1]) == [] and "No row matches" in texts(trees[1])
    assert [row[0] for row in cells(trees[2])] == ["lib.rs"] and "1 of 3 rows" in texts(trees[2])
    assert cells(trees[3]) == []


def test_many_rows_come_page_by_page(player):
    rows = [{"n": number} for number in range(120)]
    trees = shown(
        player("explorer"), "rows", ("next", None), ("next", None), ("next", None), ("back", None), items=rows
    )
    assert [cells(tree)[0][0] for tree in trees] == ["0", "50", "100", "100", "50"]
    assert "101–120 of 120" in texts(trees[2])


def test_odd_rows_are_drawn(player):
    rows = [{}, {"a": {"b": [1]}, "long": "x" * 5000}, {"a": True}]
    (tree,) = shown(player("explorer"), "rows", items=rows)
    assert len(cells(tree)) == 3 and max(len(cell) for row in cells(tree) for cell in row) == 200
    (empty,) = shown(player("explorer"), "rows", items=[])
    assert cells(empty) == []


def test_a_text_is_measured(player):
    trees = shown(player("explorer"), "measure", ("text", "It's three-fold. Is it? Yes!"))
    badges = [badge["props"]["text"] for badge in trees[1]["children"][1]["children"]]
    assert badges == ["words 5", "sentences 3", "characters 28", "reading time 1 s"]
