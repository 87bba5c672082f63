"""Changes from a program to the user's project, through the real command line and host."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

MELODY = """
format: symphony.melody/1
name: edit
nodes:
  - id: edit
    kind: operator
    player: symphony/shell#run
    params: {command: [sh, -c, "echo two >> a.txt; mkdir d; echo x > d/x"]}
edges: []
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    (place / "a.txt").write_text("one\n")
    (tmp_path / "edit.yaml").write_text(MELODY)
    return place


def played(symphony: Run, project: Path) -> dict[str, Any]:
    """Plays the Melody and answers its set of changes."""
    done = symphony("play", project.parent / "edit.yaml", "--project", project, "--yes", "--json")
    assert done.code == 0, done.err
    run = json.loads(done.out)["run"]["id"]
    (found,) = json.loads(symphony("changes", "list", "--run", run, "--json").out)["changes"]
    changes: dict[str, Any] = found
    return changes


def test_changes_wait_for_a_word_and_can_be_taken_back(symphony: Run, project: Path) -> None:
    changes = played(symphony, project)
    assert (changes["state"], changes["node"]) == ("open", "edit")
    assert changes["counts"] == {"added": 2, "changed": 1, "removed": 0, "refused": 0}
    assert (project / "a.txt").read_text() == "one\n"
    assert "+two" in symphony("changes", "show", changes["id"]).out
    assert symphony("changes", "undo", changes["id"]).code == 2
    assert symphony("changes", "apply", changes["id"]).code == 0
    assert (project / "a.txt").read_text() == "one\ntwo\n" and (project / "d/x").is_file()
    (project / "d/x").write_text("mine\n")
    refused = symphony("changes", "undo", changes["id"])
    assert refused.code == 1 and "d/x" in refused.err
    (project / "d/x").write_text("x\n")
    assert symphony("changes", "undo", changes["id"]).code == 0
    assert (project / "a.txt").read_text() == "one\n" and not (project / "d").exists()


def test_who_plays_is_told_of_changes_that_wait(symphony: Run, project: Path) -> None:
    done = symphony("play", project.parent / "edit.yaml", "--project", project, "--yes")
    (waiting,) = json.loads(symphony("changes", "list", "--json").out)["changes"]
    assert (
        f"2 added, 1 changed in a private copy of the project: `symphony changes show {waiting['id']}`"
        in done.err
    )


def test_a_setting_takes_changes_over_unasked(symphony: Run, project: Path) -> None:
    assert symphony("config", "set", "stage.changes", "apply").code == 0
    assert played(symphony, project)["state"] == "applied"
    assert (project / "a.txt").read_text() == "one\ntwo\n"


def test_an_application_that_was_killed_goes_on_or_back(symphony: Run, project: Path, home: Path) -> None:
    changes = played(symphony, project)
    file = home / "runs" / changes["run"] / "changes" / f"{changes['id']}.json"
    # As a host leaves it that was killed after the first of the files; the steps are killed in tests/stage.
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "applying"}))
    (project / "d").mkdir()
    assert symphony("changes", "undo", changes["id"]).code == 0
    assert not (project / "d").exists()
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "applying"}))
    (project / "d").mkdir()
    assert symphony("changes", "apply", changes["id"]).code == 0
    assert (project / "d/x").read_text() == "x\n"
