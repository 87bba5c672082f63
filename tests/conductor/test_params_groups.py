"""Groups, measures and orders are read in four languages, and nothing that was not asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from conductor import ProjectFacts
from conductor.params.conditions import Rows
from conductor.params.fill import Scope, fill
from conductor.params.groups import groups, measure, orders
from conductor.params.mentions import mentions_of
from symphony.types.players import FunctionSpec, ParamSpec

NOW = datetime(2026, 7, 15, 12)
TABLES = {"sales.csv": ("date", "product", "region", "amount", "units")}
PROJECT = ProjectFacts(files=(*TABLES, "other.csv"), columns=TABLES)
GROUP = {
    "by": ParamSpec("list", "the columns whose values make the groups"),
    "measure": ParamSpec("string", "the column to aggregate; empty counts rows"),
    "aggregate": ParamSpec(
        "string", "what to compute", default="count", choices=("count", "sum", "mean", "max")
    ),
}
SORT = {
    "by": ParamSpec("list", "the columns, the most important first"),
    "descending": ParamSpec("boolean", "largest or latest first", default=False),
}
TOP = {"by": ParamSpec("string", "the column that decides; empty keeps the order that the rows have")}


def filled(prompt: str, params: dict[str, ParamSpec]) -> dict[str, Any]:
    spec = FunctionSpec("a/b#c", "operator", "", {}, {}, params)
    return fill(spec, Scope(prompt, prompt, mentions_of(prompt, PROJECT, NOW), PROJECT, NOW)).params


@pytest.mark.parametrize(
    ("prompt", "by", "column", "how"),
    [
        ("line graph units over months from sales.csv", "date:month", "units", "sum"),
        ("revenue per month (column amount in other.csv)", "date:month", "amount", "sum"),
        ("Turnover by region from sales.csv", "region", "amount", "sum"),
        ("Umsatz je region aus sales.csv", "region", "amount", "sum"),
        ("ventes par region de sales.csv", "region", "amount", "sum"),
        ("ventas totales mes a mes de sales.csv", "date:month", "amount", "sum"),
        ("sales.csv, units by product as table", "product", "units", "sum"),
        ("each product's share of the units in sales.csv", "product", "units", "sum"),
        ("durchschnittlicher amount je product aus sales.csv", "product", "amount", "mean"),
        ("sales.csv: promedio de amount por region", "region", "amount", "mean"),
        ("sales.csv: moyenne de amount par region", "region", "amount", "mean"),
    ],
)
def test_groups_have_a_measure(prompt: str, by: str, column: str, how: str) -> None:
    assert filled(prompt, GROUP) == {"by": [by], "measure": column, "aggregate": how}


@pytest.mark.parametrize(
    ("prompt", "by"),
    [
        ("which service throws most errors, other.csv", "service"),
        ("wieviel offene Notizen hat jede Datei", "datei"),
        ("combien de notes dans chaque fichier", "fichier"),
        ("cuántas notas tiene cada archivo", "archivo"),
        ("rows per region of sales.csv", "region"),
        ("list each once", None),
        ("which file has the most lines", None),
        ("which of the rows in sales.csv have the most sense", None),
        ("every monday run the tests", None),
    ],
)
def test_what_is_counted_for(prompt: str, by: str | None) -> None:
    assert filled(prompt, GROUP).get("by") == (None if by is None else [by])


@pytest.mark.parametrize(
    ("prompt", "by", "is_down"),
    [
        ("Turnover by region from sales.csv, strongest on top", "sum_amount", True),
        ("durchschnittlicher amount je product aus sales.csv, höchster Wert oben", "mean_amount", True),
        ("sales.csv: promedio de amount por region, de mayor a menor", "mean_amount", True),
        ("sales.csv: amount par region, du plus petit au plus grand", "sum_amount", False),
        ("commits per author, biggest number first", "count", True),
        ("commits pro Autor, von groß nach klein", "count", True),
        ("branches, oldest on top", "date", False),
        ("branches, most recently used on top", "date", True),
        ("las abiertas, primero las más antiguas", "date", False),
        ("files by size, largest first", "size", True),
        ("sales.csv by month", "month", False),
    ],
)
def test_orders_may_name_no_column(prompt: str, by: str, is_down: bool) -> None:
    assert filled(prompt, SORT) == {"by": [by]} | ({"descending": True} if is_down else {})


@pytest.mark.parametrize(
    "prompt", ["the biggest files", "first run the tests", "most of the code", "top of the list"]
)
def test_no_order_is_made_up(prompt: str) -> None:
    assert filled(prompt, SORT) == {}


def test_groups_are_no_column_to_rank_by() -> None:
    assert filled("which service throws most errors, other.csv", TOP) == {}
    assert filled("top 5 of sales.csv by amount", TOP) == {"by": "amount"}


@pytest.mark.parametrize(
    "piece",
    ["which a b ", "month by ", "jede ", "share of the ", "highest a b ", "du plus haut ", "a by ", "sales "],
)
def test_what_was_pasted_costs_little(piece: str) -> None:
    text = (piece * 8000)[:8000]
    for rows in (Rows(), Rows(True, TABLES["sales.csv"], "de")):
        groups(text, rows)
        measure(text, rows)
        orders(text)


@pytest.mark.parametrize(
    ("prompt", "is_meant"),
    [
        ("total sales per region", True),
        ("die Verkäufe pro Monat", True),
        ("les ventes par région", True),
        ("ventas totales mes a mes", True),
        ("mail the sales team", False),
        ("unused code in src/sales.py", False),
        ("how are the tests doing", False),
        ("sales of orders.csv", False),
    ],
)
def test_the_only_table_is_meant_by_its_name(prompt: str, is_meant: bool) -> None:
    only = ProjectFacts(files=("data/sales.csv", "src/sales.py", "README.md"))
    paths = [m.value for m in mentions_of(prompt, only, NOW) if m.kind == "path"]
    assert ("data/sales.csv" in paths) is is_meant
    two = ProjectFacts(files=("data/sales.csv", "old/sales.csv"))
    assert "data/sales.csv" not in [m.value for m in mentions_of(prompt, two, NOW) if m.kind == "path"]
