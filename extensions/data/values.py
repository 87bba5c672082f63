"""Compares and recognises the values of cells: numbers, truth values, dates, texts and gaps."""

from __future__ import annotations

import re

Row = dict[str, object]
Rows = list[Row]

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d{1,3})?")
_TRUTH = {"true": True, "false": False}


def recognise(text: str) -> object:
    """The number, truth value, None or text that a cell of a text file stands for.

    A number with a leading zero stays text: it is a code, not an amount.
    """
    stripped = text.strip()
    if not stripped:
        return None
    if _INTEGER.fullmatch(stripped):
        return int(stripped)
    if _DECIMAL.fullmatch(stripped) and not re.match(r"[+-]?0\d", stripped):
        return float(stripped)
    return _TRUTH.get(stripped.lower(), text)


def number(value: object) -> float | None:
    """The value as a number, or None when it is none; texts such as `12` count."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        found = recognise(value)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
    return None


def order_key(value: object) -> tuple[int, float, str]:
    """A key by which values of mixed kinds can be sorted: numbers, then texts without regard to case."""
    amount = number(value)
    if amount is not None:
        return (0, amount, "")
    return (1, 0.0, str(value).casefold())


def identity(value: object) -> object:
    """A hashable stand-in under which equal cells are equal: `1` and `1.0`, lists by their content."""
    if isinstance(value, list):
        return ("list", *(identity(v) for v in value))
    if isinstance(value, dict):
        return ("map", *sorted((str(k), identity(v)) for k, v in value.items()))
    return value
