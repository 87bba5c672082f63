"""A report is headed by what the prompt asks, without how the answer shall be shown."""

from __future__ import annotations

import pytest

from conductor import Conductor

from .conftest import CONTEXT


def headline(conductor: Conductor, prompt: str) -> str | None:
    """The title that the prompt's report gets."""
    melody = conductor.compose(prompt, CONTEXT).melody
    assert melody is not None
    [report] = [n for n in melody["nodes"] if n["player"] == "symphony/report#markdown"]
    title: str | None = report["params"].get("title")
    return title


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        (
            "Which files change most and are hardest to maintain? Write me a report with a chart",
            "Which files change most and are hardest to maintain?",
        ),
        (
            "Write a report with a chart: which files are edited all the time and too complex?",
            "Which files are edited all the time and too complex?",
        ),
        ("List all TODOs in src/ and write them to a report", "All TODOs in src/"),
        ("I want a report about our hotspots with a bar chart, last 90 days only", "Our hotspots"),
        (
            "Show churn and complexity per file, chart it, and put everything in a markdown report",
            "Churn and complexity per file",
        ),
        (
            "Welche Dateien ändern sich am meisten und sind am schwersten zu warten? Bericht mit Diagramm bitte",
            "Welche Dateien ändern sich am meisten und sind am schwersten zu warten?",
        ),
        ("Rédige un rapport sur les fichiers les plus modifiés", "Les fichiers les plus modifiés"),
        ("Create a report titled 'Quarterly risks' about the authors", "Quarterly risks"),
        ("Write a report", None),
    ],
)
def test_the_headline_is_what_was_asked(conductor: Conductor, prompt: str, title: str | None) -> None:
    assert headline(conductor, prompt) == title


def test_a_long_headline_ends_between_words(conductor: Conductor) -> None:
    question = "Which files " + "in the very old and rarely read parts " * 4 + "change most"
    title = headline(conductor, f"{question}? Write a report")
    assert title and len(title) <= 101 and title.endswith("…")
    assert question.startswith(title[:-1]) and question[len(title) - 1] == " "


def test_other_titles_stay_those_of_the_data(conductor: Conductor) -> None:
    melody = conductor.compose("Which files change most? Draw a chart", CONTEXT).melody
    assert melody is not None
    assert all("title" not in node["params"] for node in melody["nodes"])
