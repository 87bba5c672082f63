"""Columns that are kept and rows that are wanted once, in four languages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from conductor import ProjectFacts
from conductor.params.conditions import Rows
from conductor.params.fill import Scope, fill
from conductor.params.kept import ONCE, kept
from conductor.params.mentions import mentions_of
from symphony.types.players import FunctionSpec, ParamSpec

NOW = datetime(2026, 7, 15, 12)
PROJECT = ProjectFacts(
    files=("sales.csv", "hits.csv"), columns={"sales.csv": ("date", "product", "region", "amount")}
)
SELECT = {
    "columns": ParamSpec("list", "the columns; old=new renames"),
    "distinct": ParamSpec("boolean", "leave out rows that repeat", default=False),
}


def filled(prompt: str) -> dict[str, Any]:
    spec = FunctionSpec("a/b#c", "operator", "", {}, {}, SELECT)
    return fill(spec, Scope(prompt, prompt, mentions_of(prompt, PROJECT, NOW), PROJECT, NOW)).params


@pytest.mark.parametrize(
    ("prompt", "columns"),
    [
        ("most recent 15 commits but just author and subject", ["author", "subject"]),
        ("just the names and files of all classes, nothing else", ["names", "files"]),
        ("solo emails y nombres de los que han contribuido", ["emails", "nombres"]),
        ("un tableau avec juste la date et le sujet des 30 derniers commits", ["date", "sujet"]),
        ("nur Autor und Betreff der Commits", ["Autor", "Betreff"]),
        ("from sales.csv only date, product and amount", ["date", "product", "amount"]),
        ("only tests and docs", None),
        ("just do it and go", None),
    ],
)
def test_columns_are_named_after_only(prompt: str, columns: list[str] | None) -> None:
    assert filled(prompt) == ({} if columns is None else {"columns": columns})


@pytest.mark.parametrize(
    ("prompt", "column"),
    [
        ("every product name that occurs in sales.csv, once each", "product"),
        ("the distinct products that occur in sales.csv", "product"),
        ("Which products do we sell at all? Each just once, from sales.csv.", "product"),
        ("alle Produkte aus sales.csv, ohne Doppelte", "product"),
        ("tous les produits de sales.csv, sans doublons", "product"),
        ("todos los productos de sales.csv sin repes", "product"),
        ("every visitor in hits.csv, once each", "visitor"),
    ],
)
def test_values_are_wanted_once(prompt: str, column: str) -> None:
    assert filled(prompt) == {"columns": [column], "distinct": True}


@pytest.mark.parametrize("prompt", ["all rows of sales.csv", "run it once", "every product in sales.csv"])
def test_nothing_is_dropped_unasked(prompt: str) -> None:
    assert filled(prompt) == {}


@pytest.mark.parametrize("piece", ["only a, ", "just a and ", "every ", "all products distinct ", "a,"])
def test_what_was_pasted_costs_little(piece: str) -> None:
    text = (piece * 8000)[:8000]
    for rows in (Rows(), Rows(True, ("product", "amount"), "de")):
        kept(text, rows)
    ONCE.search(text)
