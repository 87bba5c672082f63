"""A person plays a level: the session, and the command in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conductor.quest.generator import SMALL, generate
from conductor.quest.level import write_levels
from conductor.quest.problem import Problem
from conductor.quest.search import a_star
from conductor.quest.session import Session
from symphony.cli.quest import quest
from symphony.errors import BadInput

LEVEL = generate(2, split="test", shape=SMALL)


def test_whoever_plays_the_plan_of_a_star_is_at_par() -> None:
    plan = a_star(Problem(LEVEL)).plan
    assert plan is not None
    session = Session(LEVEL)
    for function in plan:
        assert not session.is_won
        session.take(LEVEL.functions[function].id)
    score = session.score()
    assert session.is_won and session.choices() == []
    assert score.outcome == score.par and not score.is_below_par


def test_a_step_can_be_taken_back_and_what_is_masked_cannot_be_taken() -> None:
    session = Session(LEVEL)
    with pytest.raises(BadInput, match="Nothing"):
        session.undo()
    first = session.choices()
    session.take(first[0].id)
    assert session.spent == first[0].cost
    session.undo()
    assert (session.choices(), session.spent) == (first, 0)
    with pytest.raises(BadInput, match="cannot be added"):
        session.take("nothing")


def test_a_player_who_gives_up_has_lost() -> None:
    score = Session(LEVEL).score()
    assert not score.outcome.success and score.par_nodes > 2


def played(*arguments: str, given: str) -> Result:
    return CliRunner().invoke(quest, ["play", *arguments], input=given)


def test_a_level_is_played_in_the_terminal(tmp_path: Path) -> None:
    write_levels(tmp_path / "levels.jsonl", [LEVEL])
    level = ("--level", str(tmp_path / "levels.jsonl"), "--json")
    done = played(*level, given="1\nu\n999\nword\n" + "1\n" * 24)
    assert LEVEL.prompt in done.stderr and "999" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["id"] == LEVEL.id and answer["nodes"] and answer["par"]["nodes"] > 2
    assert done.exit_code == (0 if answer["success"] else 1)
    stopped = played(*level, given="q\n")
    assert (stopped.exit_code, json.loads(stopped.stdout)["success"]) == (1, False)
    text = played(*level[:2], given="q\n")
    assert text.stdout.startswith("Lost") and "Par:" in text.stdout


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for name, content in (("absent", None), ("empty", ""), ("words", "no level")):
        if content is not None:
            (tmp_path / name).write_text(content)
        done = played("--level", str(tmp_path / name), given="")
        assert isinstance(done.exception, BadInput) and name in str(done.exception)


def test_a_real_melody_is_played_and_written_as_a_level(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "history.yaml"
    file.write_text(
        "format: symphony.melody/1\nname: history\nversion: 1.0.0\nnodes:\n"
        "  - {id: log, kind: operator, player: symphony/git#log}\n"
        "  - {id: count, kind: operator, player: symphony/data#count}\n"
        "edges:\n  - {kind: data, from: log.commits, to: count.items}\n"
    )
    done = played("--melody", str(file), "--json", given="1\n" * 24)
    assert "list<git/commit>" in done.stderr and json.loads(done.stdout)["par"]["nodes"] >= 2
    written = CliRunner().invoke(quest, ["levels", str(file), "--out", str(tmp_path / "levels.jsonl")])
    assert written.exit_code == 0
    assert played("--level", str(tmp_path / "levels.jsonl"), given="q\n").stdout.startswith("Lost")
    wrong = played("--melody", str(file), "--seed", "3", given="")
    assert isinstance(wrong.exception, BadInput)
    assert played("--melody", "nowhere", given="").exception is not None
