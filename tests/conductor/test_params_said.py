"""Sizes, delimiters, elements, headlines and people as a prompt says them, each for one parameter."""

from __future__ import annotations

import pytest

from conductor.params import said
from conductor.params.mentions import mentions_of
from conductor.params.phrases import exchange

from .conftest import NOW, PROJECT


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("copied code of at least 12 lines", 12),
        ("doppelter code, mind. 12 zeilen", 12),
        ("kopierte Stellen ab 20 Zeilen aufwärts", 20),
        ("doublons d'au moins dix lignes", 10),
        ("duplicados de 15 líneas o más", 15),
        ("clones longer than 30 lines", 31),
        ("passages with 8+ lines", 8),
        ("the last 12 lines of the log", None),
        ("lines of code at least", None),
    ],
)
def test_the_least_number_of_lines(text: str, lines: int | None) -> None:
    assert said.least_lines(text) == lines


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("as CSV, separated by semicolons", ";"),
        ("pásalo a CSV separado por punto y coma", ";"),
        ("CSV mit Semikolon", ";"),
        ("un csv avec des points-virgules", ";"),
        ("tab-separated, please", "\t"),
        ("delimited by pipes", "|"),
        ("open the tabs", None),
        ("pipe it into a file", None),
        ("a CSV of the authors", None),
    ],
)
def test_the_character_between_fields(text: str, character: str | None) -> None:
    assert said.delimiter(text) == character


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("coverage.xml has <class> elements", "class"),
        ("die Elemente <testcase> aus junit.xml", "testcase"),
        ("alle <testcase>-Knoten", "testcase"),
        ("les balises <item> du flux", "item"),
        ("the size is < 5 and > 3 elements", None),
    ],
)
def test_the_elements_of_a_document(text: str, name: str | None) -> None:
    assert said.element(text) == name


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("a line chart, title should be Revenue H1", "Revenue H1"),
        ("as a report, headline: State of the code, with a chart", "State of the code"),
        ("un gráfico, título: Ventas", "Ventas"),
        ("Bericht, Titel: Stand der Dinge.", "Stand der Dinge"),
        ("change the title of the page", None),
        ("is there a title", None),
    ],
)
def test_a_headline_without_quotes(text: str, title: str | None) -> None:
    assert said.headline(text) == title


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("show me what Anna committed since June", ["Anna"]),
        ("everything that Ada Lovelace changed", ["Ada Lovelace"]),
        ("lo que María hizo ayer", ["María"]),
        ("was Bernd hat gemacht", ["Bernd"]),
        ("what Everybody knows", []),
    ],
)
def test_who_did_something(text: str, people: list[str]) -> None:
    assert [m.value for m in mentions_of(text, PROJECT, NOW) if m.kind == "person"] == people


def test_quotes_of_the_french_have_spaces_within() -> None:
    assert exchange("remplace « Acme Corp » par « Acme SAS »") == ("Acme Corp", "Acme SAS")


def test_what_was_summed_is_a_measure() -> None:
    for text in ("bars of summed amount per product", "summierter amount je product"):
        assert [m.value for m in mentions_of(text, PROJECT, NOW) if m.kind == "measure"] == ["amount"]


@pytest.mark.parametrize("piece", ["<a ", "title ", "at least 1 ", "separated by ", "what Anna ", "ab 12 "])
def test_pasted_text_is_read_as_well(piece: str) -> None:
    """What is quadratic takes minutes here."""
    text = (piece * 100_000)[:100_000]
    assert [read(text) for read in (said.delimiter, said.element)] == [None, None]
    said.least_lines(text), said.headline(text)
