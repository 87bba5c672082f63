"""The measurements run whole, on small invented data in the form of the real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conductor import Conductor
from conductor.evaluate.__main__ import main
from conductor.evaluate.chains import f1, least_risk, mean_f1
from conductor.evaluate.prompts import facts_of, faults, paired_difference
from conductor.params.values import is_one_piece, typed_value
from symphony.errors import BadInput

from .conftest import CONTEXT, ENCODER, NOW, PROJECT
from .judging import prompts

pytest.importorskip("torch")

from conductor.training import composing

PLACES = ("Oslo", "Lima", "Riga", "Bern", "Cairo", "Quito", "Turin", "Malmö")
TOOLS = {
    "weather_lookup": "Tells the weather of a place",
    "boat_rental": "Rents a boat at a harbour",
    "museum_search": "Finds museums of a city",
    "ticket_purchase": "Buys tickets for an exhibition",
    "recipe_finder": "Finds recipes for a dish",
    "unused_tool": "Polishes spoons",
}
WORDED = [
    ("Tell me the weather in {} and then rent a boat there.", ["weather_lookup", "boat_rental"]),
    ("Find the museums of {} and buy tickets for the exhibition.", ["museum_search", "ticket_purchase"]),
    ("Find a recipe from {} and tell me the weather.", ["recipe_finder", "weather_lookup"]),
]


def written(file: Path, lines: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def planned(one: str, request: str, tools: list[str]) -> dict[str, Any]:
    return {"id": one, "user_request": request, "task_nodes": [{"task": tool} for tool in tools]}


def toolgraph(tmp_path: Path, out: str, *more: str) -> list[str]:
    """The command line over invented prompts; the training lines and tools are written beside."""
    lines = [
        planned(f"{kind}-{place}", words.format(place), tools)
        for place in PLACES
        for kind, (words, tools) in enumerate(WORDED)
    ]
    nodes = {"nodes": [{"id": name, "desc": text} for name, text in TOOLS.items()]}
    (tmp_path / "tools.json").write_text(json.dumps(nodes), encoding="utf-8")
    test = [{"id": f"t{k}", "user_request": words.format("Paris")} for k, (words, _) in enumerate(WORDED)]
    return [
        "toolgraph", "--tools", str(tmp_path / "tools.json"),
        "--train", str(written(tmp_path / "train.jsonl", lines)),
        "--test", str(written(tmp_path / "test.jsonl", test)),
        "--out", str(tmp_path / out), "--encoder", str(ENCODER), *more,
    ]  # fmt: skip


def test_toolgraph_learns_the_chains_the_same_way_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with many lines: the encoder's upper layers are trained, too.
    monkeypatch.setattr(composing, "ENOUGH", 10)
    assert main(toolgraph(tmp_path, "a.jsonl")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["slice"]) == {"policy", "knn15", "cosine", "behaviour_cloning", "no_mask"}
    assert printed["truncated"] is False
    plans = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [p["id"] for p in plans] == ["t0", "t1", "t2"]
    assert [[n["task"] for n in p["task_nodes"]] for p in plans] == [tools for _, tools in WORDED]
    assert plans[0]["task_links"] == [{"source": "weather_lookup", "target": "boat_rental"}]
    assert main(toolgraph(tmp_path, "b.jsonl")) == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_toolgraph_learns_from_few_lines_with_the_encoder_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(composing, "UpperLayers")
    assert main(toolgraph(tmp_path, "a.jsonl")) == 0
    printed = json.loads(capsys.readouterr().out)["slice"]
    assert printed["policy"]["link_f1"] > printed["cosine"]["link_f1"]
    plans = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [[n["task"] for n in p["task_nodes"]] for p in plans] == [tools for _, tools in WORDED]


def test_toolgraph_says_that_the_clock_stopped_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toolgraph(tmp_path, "a.jsonl", "--minutes", "0.01")) == 0
    assert json.loads(capsys.readouterr().out)["truncated"] is True
    assert len((tmp_path / "a.jsonl").read_text("utf-8").splitlines()) == 3


def test_bad_lines_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = toolgraph(tmp_path, "a.jsonl")
    written(tmp_path / "test.jsonl", [{"id": "x"}])
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "test.jsonl:1 lacks user_request" in error and error.count("\n") == 1


def typed_tool(name: str, text: str, **parameters: tuple[str, str]) -> dict[str, Any]:
    return {
        "api_name": name,
        "api_description": text,
        "parameters": {p: {"type": kind, "description": words} for p, (kind, words) in parameters.items()},
        "required": list(parameters),
        "responses": {"result": {"type": "str"}, "state": {"type": "str"}},
    }


def slots(tmp_path: Path, *more: str) -> list[str]:
    tools = [
        typed_tool("getWeather", "The weather of a city", city=("str", "The city")),
        typed_tool("rentBoat", "Rents a boat", days=("int", "The number of days to rent the boat for")),
        typed_tool("findMuseum", "Finds museums of a city", city=("str", "The city of the museum")),
        typed_tool("polishSpoons", "Polishes spoons", count=("int", "How many spoons")),
    ]
    lines = []
    for k, place in enumerate(PLACES * 3):
        boat = {"api": "rentBoat", "parameters": {"days": k + 2}}
        weather = {"api": "getWeather", "parameters": {"city": place}}
        museum = {"api": "findMuseum", "parameters": {"city": place}}
        lines.append(
            {
                "query": f"What is the weather of {place}? Rent a boat for {k + 2} days.",
                "calling": [weather, boat],
            }
        )
        lines.append({"query": f"Find a museum of {place}.", "calling": [museum]})
    test = [
        {"id": "t0", "query": "What is the weather of Paris? Rent a boat for 31 days.",
         "calling": [{"api": "getWeather"}, {"api": "rentBoat"}]},
        {"id": "t1", "query": "Find a museum of Paris.", "calling": [{"api": "findMuseum"}]},
    ]  # fmt: skip
    return [
        "slots", "--tools", str(written(tmp_path / "tools.jsonl", tools)),
        "--train", str(written(tmp_path / "train.jsonl", lines)),
        "--test", str(written(tmp_path / "test.jsonl", test)),
        "--out", str(tmp_path / "out.jsonl"), "--encoder", str(ENCODER), *more,
    ]  # fmt: skip


@pytest.mark.parametrize("more", [(), ("--gold-tools",)])
def test_slots_chooses_tools_and_reads_their_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert main(slots(tmp_path, *more)) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == 2
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert found[0]["calling"] == [
        {"api": "getWeather", "parameters": {"city": "Paris"}, "responses": ["API_call_0", "API_call_1"]},
        {"api": "rentBoat", "parameters": {"days": 31}, "responses": ["API_call_2", "API_call_3"]},
    ]
    assert found[1]["calling"][0]["parameters"] == {"city": "Paris"}
    assert sorted(found[0]["candidates"]) == ["findMuseum", "getWeather", "polishSpoons", "rentBoat"]


def test_prompts_counts_what_is_right_and_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app" / "src").mkdir(parents=True)
    (tmp_path / "app" / "src" / "main.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "app" / ".git").mkdir()
    churn, log = "symphony/git#churn", "symphony/git#log"
    lines: list[dict[str, Any]] = [
        {"prompt": "Which files change most?", "possible": True, "project": "app", "essential": [[churn]]},
        {"prompt": "Which files change most?", "possible": True, "essential": [[log]], "forbidden": [churn]},
        {"prompt": "Welche Dateien ändern sich am meisten?", "possible": False, "project": {"is_git": True}},
        {"prompt": "Water the plants on my balcony", "possible": False},
    ]
    command = ["prompts", "--file", str(written(tmp_path / "p.jsonl", lines)), "--encoder", str(ENCODER)]
    assert main([*command, "--arm", "policy"]) == 0
    found = json.loads(capsys.readouterr().out)["policy"]
    assert (found["n"], found["right"]) == (4, 0.5)
    assert (found["wrongly_refused"], found["wrongly_accepted"]) == (0.0, 0.5)
    assert found["by_language"]["de"]["wrongly_accepted"] == 1.0
    assert found["by_language"]["de"]["n"] == 1 and found["by_language"]["de"]["wrongly_refused"] is None
    written(tmp_path / "p.jsonl", [lines[0] | {"project": "nowhere"}])
    assert main([*command, "--arm", "policy"]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


def test_prompts_over_a_folder_count_as_over_its_facts(
    conductor: Conductor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PROJECT.files:
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x\n")
    for branch in PROJECT.branches:
        head = tmp_path / "project" / ".git" / "refs" / "heads" / branch
        head.parent.mkdir(parents=True, exist_ok=True)
        head.write_text("0" * 40)
    file = Path(__file__).parent / "unseen.jsonl"
    told = ["--project", str(tmp_path / "project"), "--now", NOW.isoformat(), "--encoder", str(ENCODER)]
    assert main(["prompts", "--file", str(file), "--arm", "policy", *told]) == 0
    counted = json.loads(capsys.readouterr().out)["policy"]["right"]
    lines = prompts("unseen.jsonl")
    right = [not faults(line, conductor.compose(line["prompt"], CONTEXT)) for line in lines]
    assert counted == pytest.approx(sum(right) / len(lines), abs=1e-4)
    with pytest.raises(BadInput, match="is no folder"):
        facts_of(tmp_path / "nothing")


def test_a_difference_of_pairs_has_an_interval() -> None:
    found = paired_difference([True] * 30 + [False] * 10, [True] * 20 + [False] * 20)
    assert found["points"] == 25.0 and 10.0 < found["low"] < 25.0 < found["high"] < 45.0
    assert paired_difference([True, False], [True, False]) == {"points": 0.0, "low": 0.0, "high": 0.0}


def test_the_chain_of_least_risk_agrees_with_most() -> None:
    assert least_risk([(1, 2, 3), (1, 2), (1, 2, 4)], [0.34, 0.33, 0.33]) == (1, 2)
    assert least_risk([(1,), (2, 3)], [0.4, 0.6]) == (2, 3)
    assert f1((), ()) == 1.0 and f1((1,), ()) == 0.0
    assert mean_f1([(1, 2)], [(1, 2, 3)]) == {"node_f1": 80.0, "link_f1": 66.67}


@pytest.mark.parametrize(
    ("text", "kind", "name", "value"),
    [
        ("$1,250.50", "float", "price", 1250.5),
        ("30 days", "int", "days", 30),
        ("3.5", "int", "days", None),
        ("'Berlin'.", "str", "city", "Berlin"),
        ("January 19th, 2020", "str", "start_date", "2020-01-19"),
        ("January 19th, 2020", "str", "title", "January 19th, 2020"),
        ("next week", "str", "start_date", "next week"),
        ("'Get 20% off!'", "str", "message", "Get 20% off!"),
        ("without", "bool", "verbose", False),
        ("Apple Inc.", "str", "company", "Apple Inc."),
        ("fever, cough, and sore throat", "str", "symptoms", "fever, cough, sore throat"),
        ("salt and pepper", "str", "seasoning", "salt and pepper"),
        (
            "We came, we saw what was there to see, and left.",
            "str",
            "text",
            "We came, we saw what was there to see, and left.",
        ),
        ("from 3 to 5", "int", "days", None),
    ],
)
def test_text_becomes_a_value_of_its_type(text: str, kind: str, name: str, value: Any) -> None:
    assert typed_value(text, kind, name, "") == value


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("'The Night Train'", True),
        ('the dog\'s "red" ball', True),
        ("The Night Train' and belongs to the genre of mystery", False),
        ("in English. Then compare", False),
        ("version 3.5 of it", True),
    ],
)
def test_a_value_is_one_piece_of_the_prompt(text: str, whole: bool) -> None:
    assert is_one_piece(text) is whole
