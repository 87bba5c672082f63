"""The columns that a manifest tells are those that its Players make."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from symphony.types.port_types import element_type

EXTENSIONS = Path(__file__).parents[2] / "extensions"
CALLS: dict[str, dict[str, dict[str, Any]]] = {
    "git": {
        "log": {}, "status": {}, "churn": {}, "authors": {}, "activity": {}, "branches": {}, "tags": {},
        "untouched": {"age": "1d"}, "blame": {"path": "src/engine.py"},
    },
    "files": {
        "list": {}, "search": {"query": "a"}, "stats": {}, "replace": {"text": "engine", "replacement": "motor"},
    },
    "code": {"outline": {}, "complexity": {}, "imports": {}, "todos": {}, "dead_code": {}},
    "text": {"keywords": {"path": "README.md"}, "count_words": {"path": "README.md"}},
}  # fmt: skip
SOMETIMES = {"parent", "former", "person", "body"}
"""Columns that a row has only where there is something to tell."""


@pytest.mark.parametrize(("name", "function"), [(n, f) for n, calls in CALLS.items() for f in calls])
def test_the_rows_have_the_columns_that_the_manifest_tells(player, repository, name, function):
    declared = tomllib.loads((EXTENSIONS / name / "Symphony.toml").read_text("utf-8"))
    repository.write("src/todo.py", "import os  # TODO(ada) later\n\n\ndef unused():\n    return 1\n")
    repository.git("tag", "v1")
    [about] = [one for one in declared["functions"] if one["name"] == function]
    made = player(name, repository.root).call(function, CALLS[name][function])
    seen = 0
    for port, kind in about["outputs"].items():
        element = element_type(kind)
        if element not in declared["columns"]:
            continue
        rows = made[port]
        assert rows, f"{function} makes no row of {kind} here"
        told = declared["columns"][element]
        keys = {key for row in rows for key in row}
        assert keys <= set(told), f"{element} lacks {keys - set(told)}"
        assert set(told) - keys <= SOMETIMES, f"{element} has no {set(told) - keys}"
        seen += 1
    assert seen


def test_what_keeps_the_columns_keeps_them(player):
    data = player("data")
    declared = tomllib.loads((EXTENSIONS / "data" / "Symphony.toml").read_text("utf-8"))
    keeping = {one["name"] for one in declared["functions"] if one.get("keeps")}
    params = {"filter": {"where": "a > 0"}, "sort": {"by": ["a"]}, "top": {"by": "a", "limit": 1}}
    assert keeping == set(params)
    for function, given in params.items():
        rows = data.call(function, given, {"items": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]})["items"]
        assert rows and all(set(row) == {"a", "b"} for row in rows), function
