"""A second prompt changes the Melody as little as it can."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conductor import Conductor
from conductor.negation import unwanted_in, without
from symphony.errors import BadInput
from tests.conductor.conftest import CONTEXT, bundled
from tests.conductor.judging import invalidities, revision_faults, revisions

CHURN = "Which files changed most in the last 90 days? Draw a chart and write me a report"


def composed(conductor: Conductor, prompt: str) -> dict[str, Any]:
    melody = conductor.compose(prompt, CONTEXT).melody
    assert melody is not None
    return melody


def players(melody: dict[str, Any] | None) -> list[str]:
    assert melody is not None
    return [node["player"].partition("/")[2] for node in melody["nodes"]]


def edges(melody: dict[str, Any] | None) -> set[tuple[str, str]]:
    assert melody is not None
    return {(e["from"], e["to"]) for e in melody["edges"]}


def test_what_is_said_then_changes_what_it_asks_for_and_nothing_else(conductor: Conductor) -> None:
    wrong = {}
    for line in revisions():
        before = composed(conductor, line["prompt"])
        found = revision_faults(line, before, conductor.revise(line["then"], before, CONTEXT))
        if found:
            wrong[line["then"]] = found
    assert len(wrong) <= 1, wrong


def test_every_revision_is_valid(conductor: Conductor) -> None:
    functions, lattice = bundled()
    catalogue = {spec.player: spec for spec in functions}
    for line in revisions():
        before = composed(conductor, line["prompt"])
        for then in (line["then"], *(other["then"] for other in revisions()[::5])):
            revised = conductor.revise(then, before, CONTEXT)
            if revised.melody is not None:
                assert invalidities(revised.melody, catalogue, lattice) == [], (line["prompt"], then)


def test_the_melody_that_is_revised_stays_as_it_is(conductor: Conductor) -> None:
    before = composed(conductor, CHURN)
    kept = copy.deepcopy(before)
    conductor.revise("without the chart, and only the last 7 days", before, CONTEXT)
    assert before == kept


def test_one_prompt_takes_out_adds_and_sets(conductor: Conductor) -> None:
    before = composed(conductor, CHURN)
    revised = conductor.revise(
        "a table instead of the chart, and only the last 7 days", before, CONTEXT
    ).melody
    assert "report#chart" not in players(revised) and "report#table" in players(revised)
    assert revised is not None
    assert next(n for n in revised["nodes"] if n["player"].endswith("#churn"))["params"]["since"] == "7d"
    assert edges(revised) == {("churn.files", "table.items"), ("table.table", "report.sections")}
    more = conductor.revise("also a table", before, CONTEXT).melody
    assert {("churn.files", "report.sections"), ("table.table", "report.sections")} <= edges(more)


def test_what_was_drawn_by_hand_stays(conductor: Conductor) -> None:
    before = composed(conductor, CHURN)
    before["nodes"].append(
        {"id": "ask", "kind": "control", "player": "symphony/control#approve", "params": {}}
    )
    before["nodes"].append({"id": "own", "kind": "operator", "player": "me/tool#do", "params": {"x": 1}})
    before["edges"].append({"kind": "control", "from": "ask", "to": "report"})
    before["nodes"][0]["timeout"] = "30s"
    revised = conductor.revise("also a table", before, CONTEXT).melody
    assert revised is not None
    assert [n for n in revised["nodes"] if n["id"] in ("ask", "own")] == before["nodes"][-2:]
    assert before["edges"][-1] in revised["edges"]
    assert revised["nodes"][0]["timeout"] == "30s"
    assert len({n["id"] for n in revised["nodes"]}) == len(revised["nodes"])


def test_a_step_between_leaves_and_its_neighbours_meet(conductor: Conductor) -> None:
    before = composed(conductor, "Read data/sales.csv and sum the amount by region. Draw a chart")
    assert players(before) == ["data#parse_csv", "data#group", "report#chart"]
    revised = conductor.revise("without the sum by region", before, CONTEXT).melody
    assert edges(revised) == {("parse-csv.items", "chart.items")}


def test_a_filter_goes_between_and_something_more_goes_beside(conductor: Conductor) -> None:
    before = composed(conductor, "Read data/sales.csv and draw a chart")
    assert players(before) == ["data#parse_csv", "report#chart"]
    between = conductor.revise("keep only rows where amount > 100", before, CONTEXT).melody
    assert edges(between) == {("parse-csv.items", "filter.items"), ("filter.items", "chart.items")}
    beside = conductor.revise("also group the rows by region", before, CONTEXT).melody
    assert ("parse-csv.items", "chart.items") in edges(beside)
    assert ("parse-csv.items", "group.items") in edges(beside)


def test_who_cannot_be_fed_goes_with_its_source(conductor: Conductor) -> None:
    before = composed(conductor, "List the authors with their commits in a chart. Find dead code")
    source = next(n for n in before["nodes"] if n["player"].startswith("symphony/git#"))
    revised = conductor.revise("drop the commits by author", before, CONTEXT)
    assert revised.melody is not None, revised.missing
    assert source["player"].partition("/")[2] not in players(revised.melody)
    assert any("taken out with" in line["why"] for line in revised.explanations) == (
        "report#chart" not in players(revised.melody)
    )


def test_nothing_is_left_is_refused(conductor: Conductor) -> None:
    before = composed(conductor, "find dead code")
    refused = conductor.revise("drop the dead code", before, CONTEXT)
    assert not refused.possible and refused.melody is None


def test_half_of_a_wish_is_named(conductor: Conductor) -> None:
    before = composed(conductor, CHURN)
    revised = conductor.revise("only the last 7 days, and send it to Bob by e-mail", before, CONTEXT)
    assert revised.possible
    assert any("e-mail" in text for text in revised.missing)
    refused = conductor.revise("without the sauerkraut", before, CONTEXT)
    assert not refused.possible
    assert refused.missing == ["what “sauerkraut” stands for in this Melody"]


def test_each_change_is_told(conductor: Conductor) -> None:
    before = composed(conductor, CHURN)
    revised = conductor.revise("without the chart, only the last 7 days", before, CONTEXT)
    told = {line["node"]: line["why"] for line in revised.explanations}
    assert told["chart"] == "taken out, as asked: “chart”"
    assert told["churn"] == "since = 7d, was 90d"


def test_titles_and_name_follow_a_value(conductor: Conductor) -> None:
    before = composed(conductor, "Which files changed most in the last 90 days? Write me a report")
    revised = conductor.revise("only the last 7 days", before, CONTEXT).melody
    assert revised is not None
    report = next(n for n in revised["nodes"] if n["player"].endswith("#markdown"))
    assert report["params"]["title"] == "Which files changed most in the last 7 days?"
    assert "90" in before["name"] and "90" not in revised["name"]
    kept = conductor.revise("only the last 7 days", {**before, "name": "mine"}, CONTEXT).melody
    assert kept is not None and kept["name"] == "mine"


def test_an_empty_prompt_is_no_revision(conductor: Conductor) -> None:
    with pytest.raises(BadInput):
        conductor.revise("  ", composed(conductor, CHURN), CONTEXT)


@pytest.mark.parametrize(
    ("prompt", "gone", "rest"),
    [
        ("without the chart", ["chart"], ""),
        ("drop the report and give me a CSV", ["report"], "and give me a CSV"),
        ("a table instead of a chart", ["chart"], "a table"),
        ("average the amount instead", [], "average the amount"),
        ("lass das Diagramm weg", ["Diagramm"], ""),
        ("ohne Tabelle, mit Diagramm", ["Tabelle"], ", mit Diagramm"),
        ("sans le graphique", ["graphique"], ""),
        ("sin el informe", ["informe"], ""),
        ("there is no", [], "there is no"),
        ("only the last 30 days", [], "only the last 30 days"),
    ],
)
def test_negations(prompt: str, gone: list[str], rest: str) -> None:
    found = unwanted_in(prompt)
    assert [part.text for part in found] == gone
    assert without(prompt, found).strip() == rest
