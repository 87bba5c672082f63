"""Conditions are read from prompts in four languages, against the columns of the tables that they name."""

from __future__ import annotations

from datetime import datetime

import pytest

from conductor import ProjectFacts
from conductor.columns import fit_columns
from conductor.params.conditions import Rows, conditions
from conductor.params.mentions import mentions_of
from symphony.sdk.testing import Harness
from symphony.types.players import FunctionSpec, ParamSpec

from .conftest import ROOT

NOW = datetime(2026, 7, 15, 12)
TABLES = {
    "sales.csv": ("date", "product", "region", "amount", "units"),
    "vacations.csv": ("name", "days_left"),
    "clients.csv": ("nom", "email", "ville"),
}
PROJECT = ProjectFacts(files=(*TABLES, "leads.csv", "app.jsonl", "books.xml"), columns=TABLES)


def stated(prompt: str) -> list[str]:
    """The conditions that are read from a prompt."""
    return [m.value for m in mentions_of(prompt, PROJECT, NOW) if m.kind == "condition"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("anything in boiler.csv where pressure exceeds 6.5?", "pressure > 6.5"),
        ("how many rows of sales.csv have less then 3 units", "units < 3"),
        ("vacations.csv: who has more than 25 days left?", "days_left > 25"),
        ("in sales.csv, units below two", "units < 2"),
        ("sales.csv, Zeilen mit mehr als 3 units", "units > 3"),
        ("in sales.csv alles mit Betrag größer als 100", "amount > 100"),
        ("sales.csv, les lignes dont le montant dépasse 1,5", "amount > 1.5"),
        ("sales.csv, filas con importe mayor que 1,000", "amount > 1000"),
        ("fichiers de plus de 500 ko", "bytes > 500000"),
        ("tests longer than 2 seconds", "seconds > 2"),
        ("functions longer than 50 lines", "lines > 50"),
        ("payments.csv, only where paid < total", "paid < total"),
        ("sales.csv with price above 50 sorted by name", None),
        ("at most 10 rows of sales.csv", None),
        ("files older than 30 days", None),
    ],
)
def test_amounts_are_compared(prompt: str, expected: str | None) -> None:
    assert stated(prompt) == ([expected] if expected is not None else [])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("In leads.csv I only care about source=webinar.", "source == 'webinar'"),
        (
            "in bestellungen.csv alle Zeilen mit status = storniert, und davon die Anzahl",
            "status == 'storniert'",
        ),
        ("only level error in app.jsonl, rest is noise", "level == 'error'"),
        ("sales.csv, solo región Norte, suma por producto", "region == 'Norte'"),
        ("take sales.csv, region North, and give units by product", "region == 'North'"),
        ("sales.csv: only the ones from region South", "region == 'South'"),
        ("sales.csv, nur Region West", "region == 'West'"),
        ("garde dans sales.csv la région Sud", "region == 'Sud'"),
        ("rows in leads.csv where country is NO", "country == 'NO'"),
        ("rows where status is failed", "status == 'failed'"),
        ("rows of leads.csv with paid != true", "paid != True"),
        ("amount by region from sales.csv as Markdown", None),
        ("only product names from sales.csv", None),
        ("the region column of sales.csv", None),
        ("run `DEBUG=1 make test`", None),
        ("run the tests with LEVEL=debug", None),
    ],
)
def test_a_column_has_a_value(prompt: str, expected: str | None) -> None:
    assert stated(prompt) == ([expected] if expected is not None else [])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("garde les clients de clients.csv dont le champ email n'est pas vide", "email not in (None, '')"),
        ("clients.csv: alle, deren email leer ist", "email in (None, '')"),
        ("in clients.csv, rows whose ville is missing", "ville in (None, '')"),
        ("clients.csv, los que no tienen nada: email está vacío", "email in (None, '')"),
        ("clients.csv without an email", "email in (None, '')"),
        ("Zeilen aus clients.csv mit leerem Feld ville", "ville in (None, '')"),
        ("sales.csv: alle mit negativem Betrag", "amount < 0"),
        ("chart of clients.csv without a legend", None),
        ("is the README empty", None),
    ],
)
def test_a_gap_is_a_value_too(prompt: str, expected: str | None) -> None:
    assert stated(prompt) == ([expected] if expected is not None else [])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("all sales.csv rows of 2026-04-03", "starts_with(date, '2026-04-03')"),
        ("leavers.csv, everyone who left after 2026-01-31", "date > '2026-01-31'"),
        ("Alle Bestellungen vom 24.12.2025 aus shop.json", "starts_with(date, '2025-12-24')"),
        ("books.xml: only books after 2010", "year > 2010"),
        ("sales.csv vor 2025", "date < '2025'"),
        ("sales.csv depuis 2025", "date >= '2025'"),
        ("ventas de sales.csv después de 2024", "date >= '2025'"),
        ("sales.csv between 2026-01-01 and 2026-03-31", "date >= '2026-01-01' and date <= '2026-03-31'"),
        ("branches whose last commit is from before April 2026", "last_commit < '2026-04-01'"),
        ("commits since 2026-03-01, with the owners of clients.csv", None),
        ("vacations.csv of 2026-04-03", None),
        ("what changed since 2026-03-01", None),
    ],
)
def test_rows_are_of_a_time(prompt: str, expected: str | None) -> None:
    assert stated(prompt) == ([expected] if expected is not None else [])


def test_what_and_or_or_joins_is_one_condition() -> None:
    assert stated("sales.csv where amount is over 100 and region = North") == [
        "amount > 100 and region == 'North'"
    ]
    assert stated("sales.csv with amount over 100 or units below 3") == ["amount > 100 or units < 3"]
    assert stated("files with more than 300 lines and complexity over 10") == [
        "lines > 300 and complexity > 10"
    ]
    apart = "sales.csv where amount is over 100. Then draw a chart of the products with more than 3 units"
    assert stated(apart) == ["amount > 100", "units > 3"]


def test_conditions_hold_for_rows_that_they_mean() -> None:
    rows = [
        {"date": "2026-04-03T10:00", "amount": 120, "region": "North", "email": "a@b"},
        {"date": "2025-12-24", "amount": -5, "region": "South", "email": None},
        {"date": "2024-01-01", "amount": 7, "region": "O'Hara", "email": ""},
    ]
    data = Harness(ROOT / "extensions" / "data" / "player.py")
    for prompt, kept in (
        ("x.csv of 2026-04-03", [0]),
        ("x.csv before 2025-01-01", [2]),
        ("x.csv whose email is empty", [1, 2]),
        ("x.csv with amount over 100 or region = South", [0, 1]),
        ('x.csv where region = "O\'Hara"', [2]),
        ("x.csv where email is not empty", [0]),
    ):
        (where,) = stated(prompt)
        assert data.call("filter", {"where": where}, {"items": rows})["items"] == [rows[k] for k in kept], (
            where
        )


def test_all_names_of_a_condition_become_those_of_the_rows() -> None:
    where = ParamSpec("string", "condition on the columns", required=True)
    catalogue = {
        "a/git#log": FunctionSpec(
            "a/git#log",
            "operator",
            "",
            {},
            {"commits": "list<record>"},
            columns={"commits": ("day", "author")},
        ),
        "a/data#filter": FunctionSpec(
            "a/data#filter",
            "operator",
            "",
            {"items": "list<record>"},
            {"items": "list<record>"},
            {"where": where},
        ),
    }
    said = {"where": "starts_with(date, '2026') and authors == 'date'"}
    melody = {
        "nodes": [
            {"id": "a", "player": "a/git#log", "params": {}},
            {"id": "b", "player": "a/data#filter", "params": said},
        ],
        "edges": [{"kind": "data", "from": "a.commits", "to": "b.items"}],
    }
    assert fit_columns(melody, catalogue) == ([], [])
    assert said["where"] == "starts_with(day, '2026') and author == 'date'"


@pytest.mark.parametrize(
    "piece",
    ["more than ", "region North ", "a = b = ", "is not ", "1,", "without a ", "x" * 40, "'", "where a "],
)
def test_what_was_pasted_costs_little(piece: str) -> None:
    text = (piece * 8000)[:8000]
    for rows in (Rows(), Rows(True), Rows(True, ("region", "amount"), "de")):
        conditions(text, rows)
