"""Conditions: what they can say, and what they cannot do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from symphony.errors import InvalidMelody
from symphony.melody.conditions import check, evaluate


@pytest.mark.parametrize(
    ("expression", "outputs", "holds"),
    [
        ("value > 0", {"value": 3}, True),
        ("value > 0", {"value": 0}, False),
        ("value.count >= 2 and not value.done", {"value": {"count": 2, "done": False}}, True),
        ("rows[0]['name'] == 'a' or false", {"rows": [{"name": "a"}]}, True),
        ("len(rows) in [1, 2]", {"rows": [1]}, True),
        ("'risk' in lower(text)", {"text": "High RISK"}, True),
        ("value is None", {"value": None}, True),
        ("value == null", {"value": None}, True),
        ("(value * 3 + 1) % 2 == 0 if value else true", {"value": 1}, True),
        ("rows", {"rows": []}, False),
        ("1 < value < 3", {"value": 2}, True),
    ],
)
def test_what_holds(expression: str, outputs: dict[str, Any], holds: bool) -> None:
    assert evaluate(expression, outputs) is holds


@pytest.mark.parametrize(
    "expression",
    [
        "", "value >", "a b", "9**999999999", "1 << 99", "[x for x in value]", "value.__class__", "value._x",
        "__import__('os')", "open('/etc/passwd')", "'a'.ljust(10**9)", "f'{value}'", "lambda: 1", "missing > 1",
        "'a' * 1000000000", "[[1] * 99999] * 99999", "'%1000000000d' % 1", "not " * 300 + "1", "-" * 900 + "1",
        "(" * 300, "x" * 5000, "value + 'a'", "1 / 0", "max(value, key=len)", "value()", "(y := 3)", "b'x'", "...",
        "value if", "int('9' + value)", "str.mro()",
    ],
)  # fmt: skip
def test_what_is_refused_quickly(expression: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidMelody):
        evaluate(expression, {"value": 1})
    assert time.perf_counter() - began < 1


def test_the_names_that_are_used() -> None:
    assert check("value > 0 and len(tags) > 1 or rows.total == null") == {"value", "tags", "rows"}
    assert check("true") == set()
    with pytest.raises(InvalidMelody, match="cannot be read"):
        check("value >")
