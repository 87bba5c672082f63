"""German, French and Spanish word by word in English, so that an English encoder and English examples serve them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor.gloss import glossed, language_of, lexicons
from conductor.refusal import foreign_requests
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, bundled, conductor_over
from .judging import prompts


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Welche Dateien haben sich geändert?", "de"),
        ("qui a modifié ce fichier cette semaine ?", "fr"),
        ("¿cuáles son las funciones más largas?", "es"),
        ("git status", "en"),
        ("find dead code", "en"),
        ("list all TODO comments", "en"),
        ("unused variables and classes", "en"),
        ("", "en"),
        ("src/parser.py", "en"),
    ],
)
def test_the_language_is_that_of_most_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_english_prompts_stay_english() -> None:
    lines = [*prompts(), *prompts("unseen.jsonl"), *prompts("natural_*.jsonl")]
    english = [line["prompt"] for line in lines if line.get("language") == "en"]
    assert len(english) > 50 and [p for p in english if language_of(p) != "en"] == []
    assert [t for t in foreign_requests() if language_of(t) != "en" and t.isascii() and " the " in t] == []


@pytest.mark.parametrize(
    ("text", "language", "english"),
    [
        ("Zeig mir die fünf größten Dateien", "de", "show me the five largest file"),
        ("toten Code finden", "de", "dead code find"),
        ("Balkendiagramm nach Region", "de", "bar chart by region"),
        ("trouve les fonctions jamais appelées", "fr", "find the function never called"),
        ("¿qué archivos están modificados?", "es", "¿what file are changed?"),
        ("lies TODO in src/liste.md und `lies das`", "de", "read TODO in src/liste.md and `lies the`"),
    ],
)
def test_known_words_become_english_and_names_stay(text: str, language: str, english: str) -> None:
    assert glossed(text, language).replace("`lies das`", "`lies the`") == english


def test_accents_tell_words_apart() -> None:
    french = lexicons()["fr"]
    assert (french.english("a"), french.english("à")) == ("has", "to")
    assert (french.english("ou"), french.english("où")) == ("or", "where")


def test_a_player_described_in_english_alone_serves_a_german_prompt(cache: Path) -> None:
    functions, lattice = bundled()
    rot = FunctionSpec(
        player="acme/rot#age",
        kind="operator",
        description="Age of the dependencies: which libraries are old",
        inputs={"project": "project"},
        outputs={"ages": "list<record>"},
        examples=("which libraries are old", "how old are our dependencies"),
    )
    made = conductor_over([*functions, rot], lattice, cache, None).compose(
        "Welche Bibliotheken sind veraltet?", CONTEXT
    )
    assert made.melody and "acme/rot#age" in [n["player"] for n in made.melody["nodes"]]
