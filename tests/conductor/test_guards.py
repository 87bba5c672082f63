"""Conditions, tries and approvals of a prompt become control nodes; what stands side by side is done for each."""

from __future__ import annotations

from typing import Any

import pytest

from conductor import Composition, Conductor
from conductor.guards import guards_in, without_guards
from symphony.melody.model import Melody
from symphony.melody.validation import validate

from .conftest import CONTEXT, bundled
from .judging import prompts


def compose(conductor: Conductor, prompt: str) -> Composition:
    """A composition whose Melody is valid by the host's own validator."""
    made = conductor.compose(prompt, CONTEXT)
    assert made.melody is not None, made.missing
    functions, lattice = bundled()
    melody = Melody.model_validate(made.melody)
    findings = validate(melody, {s.player: s for s in functions}, lattice)
    assert [f for f in findings if f.severity == "error"] == [], prompt
    assert made.melody["description"] == prompt
    return made


def nodes(made: Composition, player: str) -> list[dict[str, Any]]:
    assert made.melody is not None
    return [node for node in made.melody["nodes"] if node["player"] == f"symphony/{player}"]


def edges(made: Composition, kind: str) -> set[tuple[str, str, str]]:
    assert made.melody is not None
    return {(e["from"], e["to"], e.get("when", "")) for e in made.melody["edges"] if e["kind"] == kind}


@pytest.mark.parametrize(
    ("prompt", "about", "guarded", "when"),
    [
        (
            "list TODOs and write a report only if there are more than 10 TODOs",
            "todos.todos",
            "report",
            "len(value) > 10",
        ),
        ("if there are no lint findings, run the tests", "lint.findings", "test", "len(value) == 0"),
        (
            "draw a chart of the commits per author if there are at least five commits",
            "",
            "chart",
            "len(value) >= 5",
        ),
        ("zeichne ein Diagramm der Commits, wenn es mehr als 3 Commits gibt", "", "chart", "len(value) > 3"),
    ],
)
def test_a_condition_decides_what_plays(
    conductor: Conductor, prompt: str, about: str, guarded: str, when: str
) -> None:
    made = compose(conductor, prompt)
    (control,) = nodes(made, "control#if")
    (conditional,) = edges(made, "conditional")
    assert conditional == (control["id"], guarded, when)
    (source,) = [a for a, b, _ in edges(made, "data") if b == f"{control['id']}.value"]
    assert source == about or not about
    assert any(line["node"] == control["id"] for line in made.explanations)


def test_a_condition_on_nothing_is_named(conductor: Conductor) -> None:
    made = compose(conductor, "find dead code if there are any flights to Oslo")
    assert nodes(made, "control#if") == [] and any("Oslo" in text for text in made.missing)


@pytest.mark.parametrize(
    ("prompt", "attempts"),
    [
        ("run the tests until they pass, at most 3 times", 3),
        ("run the tests until they pass", 5),
        ("führe die Tests aus bis sie laufen, höchstens vier Mal", 4),
    ],
)
def test_until_it_works_is_tried_again(conductor: Conductor, prompt: str, attempts: int) -> None:
    (loop,) = nodes(compose(conductor, prompt), "control#loop")
    (inner,) = loop["params"]["melody"]["nodes"]
    assert inner["player"] == "symphony/shell#test", "tests that fail are an answer, no failure"
    assert (loop["params"]["times"], loop["params"]["output"], loop["params"]["until"]) == (
        attempts,
        "passed",
        "value",
    )


def test_what_fails_is_tried_again_until_it_works(conductor: Conductor) -> None:
    (run,) = nodes(compose(conductor, "run make check until it passes, at most 4 times"), "shell#run")
    assert run["retry"]["attempts"] == 4


@pytest.mark.parametrize("words", ["but ask me first", "after my approval", "aber frag mich vorher"])
def test_a_person_is_asked_before_something_changes(conductor: Conductor, words: str) -> None:
    made = compose(conductor, f"find dead code and save the report to docs/dead.md, {words}")
    (approve,) = nodes(made, "control#approve")
    (write,) = nodes(made, "files#write")
    control = edges(made, "control")
    assert (approve["id"], write["id"], "") in control
    assert any(target == approve["id"] for _, target, _ in control), "what shall be approved is there by then"


@pytest.mark.parametrize(
    ("prompt", "player", "values"),
    [
        ("compare the churn of src and docs", "git#churn", ["src", "docs"]),
        (
            "count the words in README.md and docs/guide.md",
            "text#count_words",
            ["README.md", "docs/guide.md"],
        ),
        ("commits by Ada and Bob", "git#log", ["Ada", "Bob"]),
        (
            "summarise README.md, docs/guide.md and docs/architecture.md in one report",
            "text#summary",
            ["README.md", "docs/guide.md", "docs/architecture.md"],
        ),
    ],
)
def test_the_same_player_serves_each_of_several_things(
    conductor: Conductor, prompt: str, player: str, values: list[str]
) -> None:
    made = compose(conductor, prompt)
    twins = nodes(made, player)
    assert [next(v for v in node["params"].values() if v in values) for node in twins] == values
    assert made.missing == []
    for report in nodes(made, "report#markdown"):
        sources = {a.partition(".")[0] for a, b, _ in edges(made, "data") if b == f"{report['id']}.sections"}
        assert {node["id"] for node in twins} <= sources, "all of them are gathered"


def test_what_changes_something_is_not_repeated(conductor: Conductor) -> None:
    made = compose(conductor, "find dead code and save the report to docs/dead.md and docs/other.md")
    assert len(nodes(made, "files#write")) == 1


def test_prompts_without_such_words_stay_as_they_are() -> None:
    free = [line["prompt"] for line in prompts() if not guards_in(line["prompt"])]
    assert len(free) >= 0.95 * len(prompts())
    assert all(without_guards(prompt, guards_in(prompt)) == prompt for prompt in free)
