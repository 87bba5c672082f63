"""`for each file that …, …` becomes a Player that finds the files and a `map` over them, valid and complete."""

from __future__ import annotations

from typing import Any

import pytest

from conductor import Conductor
from conductor.each import each_in
from symphony.melody.model import Melody
from symphony.melody.validation import validate

from .conftest import CONTEXT, bundled
from .judging import prompts

PLAIN = [line["prompt"] for line in [*prompts(), *prompts("unseen.jsonl"), *prompts("natural_*.jsonl")]]


def composed(conductor: Conductor, prompt: str) -> dict[str, Any]:
    """The Melody, which is valid by the host's own validator; every node is explained."""
    made = conductor.compose(prompt, CONTEXT)
    assert made.melody is not None, made.missing
    functions, lattice = bundled()
    findings = validate(Melody.model_validate(made.melody), {s.player: s for s in functions}, lattice)
    assert [f for f in findings if f.severity == "error"] == [], prompt
    assert {n["id"] for n in made.melody["nodes"]} <= {line["node"] for line in made.explanations}
    assert "each-one" not in str(made.to_json()) or "each-one" in prompt, "the stand-in is told to nobody"
    assert made.melody["description"] == prompt
    return made.melody


def players(melody: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["player"].removeprefix("symphony/"): node for node in melody["nodes"]}


@pytest.mark.parametrize(
    ("prompt", "finder", "params", "called", "behind"),
    [
        (
            "for each file that changed this week, give me a summary",
            "git#churn",
            {"since": "2d"},
            "text#summary",
            "report#markdown",
        ),
        (
            "summarise every Markdown file under docs and write a report",
            "files#list",
            {"pattern": "**/*.md", "path": "docs"},
            "text#summary",
            "report#markdown",
        ),
        (
            "count the words of each file under docs and draw a chart",
            "files#list",
            {"path": "docs"},
            "text#count_words",
            "report#chart",
        ),
        (
            "für jede Datei im Ordner docs, fasse sie zusammen",
            "files#list",
            {"path": "docs"},
            "text#summary",
            "",
        ),
        ("pour chaque fichier du dossier docs, compte les mots", "files#list", {}, "text#count_words", ""),
        (
            "extract all URLs from every Markdown file under docs, as csv",
            "files#list",
            {"pattern": "**/*.md", "path": "docs"},
            "data#regex",
            "report#csv",
        ),
    ],
)
def test_a_player_is_called_for_each_file(
    conductor: Conductor, prompt: str, finder: str, params: dict[str, Any], called: str, behind: str
) -> None:
    melody = composed(conductor, prompt)
    nodes = players(melody)
    each = nodes["control#map"]
    assert nodes[finder]["params"].items() >= params.items()
    assert each["params"]["player"] == f"symphony/{called}" and each["params"]["bind"] == {"path": "file"}
    assert f"symphony/{called}" not in {n["player"] for n in melody["nodes"]}, "it plays for each alone"
    edges = {(e["from"], e["to"].partition(".")[0]) for e in melody["edges"]}
    source = next(e["from"] for e in melody["edges"] if e["to"] == f"{each['id']}.items")
    assert source == f"{nodes[finder]['id']}.files"
    if behind:
        assert (f"{each['id']}.items", nodes[behind]["id"]) in edges
    else:
        assert any(a == f"{each['id']}.items" for a, _ in edges), "its results are put together"


def test_what_is_counted_by_something_is_no_such_prompt(conductor: Conductor) -> None:
    for prompt in (
        "sum the amount for each region in data/sales.csv",
        "How many commits did each author make in the last 30 days? Chart please",
        "weekly report: commits of the last 7 days, open TODOs, and the churn of each file",
        "who wrote each line of src/app.py",
    ):
        made = conductor.compose(prompt, CONTEXT)
        assert made.melody is None or "control#map" not in players(made.melody)


def test_what_no_player_finds_or_does_for_a_file_is_refused_as_before(conductor: Conductor) -> None:
    assert not conductor.compose("for each flight to Oslo, tell me the price", CONTEXT).possible
    assert not conductor.compose("for each file under docs, send it to my boss", CONTEXT).possible


def test_nothing_that_changes_the_project_is_done_for_each_unasked(conductor: Conductor) -> None:
    changing = {spec.player for spec in bundled()[0] if spec.effects}
    for prompt in ("for each Python file in src, run it", "for each file in docs, write it to docs/new.md"):
        made = conductor.compose(prompt, CONTEXT)
        nodes = players(made.melody) if made.melody is not None else {}
        each = nodes.get("control#map", {"params": {}})["params"]
        assert each.get("player") not in changing and "melody" not in each


def test_other_prompts_are_read_as_they_were() -> None:
    assert [prompt for prompt in PLAIN if each_in(prompt) is not None] == []


@pytest.mark.parametrize(
    ("prompt", "finding", "acting"),
    [
        ("for each author, list the commits of the last month", {}, {"since": "30d"}),
        ("for each author who committed this month, show what they changed", {"since": "14d"}, {}),
        ("pour chaque auteur, liste les commits", {}, {}),
    ],
)
def test_a_player_that_takes_a_person_is_called_for_each_author(
    conductor: Conductor, prompt: str, finding: dict[str, Any], acting: dict[str, Any]
) -> None:
    nodes = players(composed(conductor, prompt))
    assert nodes["git#authors"]["params"] == finding
    each = nodes["control#map"]["params"]
    assert each["player"] in ("symphony/git#log", "symphony/git#churn") and each["bind"] == {
        "author": "author"
    }
    assert each["params"] == acting, "the person that stood for all is nobody's column"


def test_things_that_nothing_finds_are_told(conductor: Conductor) -> None:
    for prompt, thing in (
        ("for each folder, count the lines of code by language", "folder"),
        ("pour chaque dossier, compte les lignes de code", "dossier"),
    ):
        made = conductor.compose(prompt, CONTEXT)
        assert [text for text in made.missing if f"“{thing}”" in text], made.missing
    for prompt in (
        "for each branch, show its last commit",
        "for each region, sum the amount in data/sales.csv",
    ):
        assert conductor.compose(prompt, CONTEXT).missing == []
    german = conductor.compose("für jeden Ordner die Anzahl der Dateien", CONTEXT)
    assert german.melody is None or "control#map" not in players(german.melody), "a folder is no file"


def test_what_is_done_for_a_file_is_told_without_its_stand_in(conductor: Conductor) -> None:
    melody = composed(conductor, "for each file that changed this week, translate it to German")
    assert "this file" in str(players(melody)["control#map"]["params"])
