"""Steps of one run build upon each other's changes before anybody has taken them over."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.kit.bundled import bundled_folder

Run = Callable[..., Any]

LOOKER = """
[extension]
name = "test/looker"
version = "1.0.0"
type = "operator"
[[functions]]
name = "look"
description = "Reads the project that it is shown"
inputs = { project = "project", after = "text/plain" }
optional = ["after"]
outputs = { text = "text/plain" }
[capabilities]
files = ["read:project/**"]
"""

LOOKING = """
import os
from symphony.sdk import player

@player.function
def look(ctx, project, after=None):
    found = []
    for folder, _, files in os.walk(project):
        for name in files:
            path = os.path.join(folder, name)
            with open(path) as file:
                found.append(f"{os.path.relpath(path, project)}={file.read().strip()}")
    return " ".join(sorted(found))

player.serve()
"""

ASKER = LOOKER.replace("test/looker", "test/asker").replace("read:project/**", "read:project/*")
ASKING = """
from symphony.sdk import player

@player.function
def look(ctx, project, after=None):
    return " ".join(f"{path}={ctx.read(path).decode().strip()}" for path in sorted(ctx.list("*")))

player.serve()
"""

WRITER = LOOKER.replace("test/looker", "test/writer").replace("read:", "write:")
WRITING = LOOKING.replace(
    "    found = []\n",
    "    found = []\n    with open(os.path.join(project, 'a.txt'), 'a') as file:\n        file.write('by hand\\n')\n"
    "    if os.path.exists(os.path.join(project, 'old/b')):\n"
    "        os.remove(os.path.join(project, 'old/b'))\n        os.rmdir(os.path.join(project, 'old'))\n",
)


def shell(step: str, script: str) -> dict[str, Any]:
    return {
        "id": step,
        "kind": "operator",
        "player": "symphony/shell#run",
        "params": {"command": ["sh", "-c", script]},
    }


def melody(place: Path, nodes: list[dict[str, Any]], edges: list[list[str]]) -> Path:
    body = {
        "format": "symphony.melody/1",
        "name": "chain",
        "nodes": nodes,
        "edges": [{"kind": "control", "from": a, "to": b} for a, b in edges],
    }
    place.write_text(json.dumps(body))
    return place


def looks(step: str, player: str = "test/looker") -> dict[str, Any]:
    return {"id": step, "kind": "operator", "player": f"{player}#look"}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for name, manifest, code in (
        ("looker", LOOKER, LOOKING),
        ("asker", ASKER, ASKING),
        ("writer", WRITER, WRITING),
    ):
        folder = tmp_path / "bundled" / name
        folder.mkdir(parents=True)
        (folder / "Symphony.toml").write_text(manifest)
        (folder / "player.py").write_text(code)
    shutil.copytree(bundled_folder() / "shell", tmp_path / "bundled" / "shell")
    return {"SYMPHONY_BUNDLED": str(tmp_path / "bundled")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "old").mkdir(parents=True)
    (place / "a.txt").write_text("one\n")
    (place / "old/b").write_text("b\n")
    return place


def text_of(symphony: Run, answer: dict[str, Any], node: str) -> str:
    (artifact,) = next(n["artifacts"] for n in answer["run"]["nodes"] if n["id"] == node)
    text: str = symphony("artifacts", "show", artifact).out
    return text.strip()


def waiting(symphony: Run, run: str) -> list[dict[str, Any]]:
    """Oldest first."""
    sets = json.loads(symphony("changes", "list", "--run", run, "--json").out)["changes"]
    return list(reversed(sets))


def play(symphony: Run, place: Path, project: Path, env: dict[str, str]) -> dict[str, Any]:
    done = symphony("play", place, "--project", project, "--yes", "--json", **env)
    assert done.code == 0, done.out
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def test_a_step_sees_what_those_before_it_have_changed(
    symphony: Run, project: Path, env: dict[str, str]
) -> None:
    nodes = [
        looks("first"),
        shell("change", "echo two >> a.txt; rm -r old; mkdir new; echo c > new/c"),
        looks("second"),
        looks("asked", "test/asker"),
        shell("again", "test ! -e old && echo three >> a.txt && rm new/c"),
        looks("third"),
    ]
    order = [node["id"] for node in nodes]
    edges = [[a, b] for a, b in itertools.pairwise(order)]
    answer = play(symphony, melody(project.parent / "m.json", nodes, edges), project, env)
    assert text_of(symphony, answer, "first") == "a.txt=one old/b=b"
    assert text_of(symphony, answer, "second") == "a.txt=one\ntwo new/c=c"
    assert text_of(symphony, answer, "asked") == "a.txt=one\ntwo"
    assert text_of(symphony, answer, "third") == "a.txt=one\ntwo\nthree"
    assert (project / "a.txt").read_text() == "one\n"  # the project waits for a word
    run = answer["run"]["id"]
    change, again = waiting(symphony, run)
    early = symphony("changes", "apply", again["id"])
    assert early.code == 1 and f"apply {change['id']} first" in early.err
    assert symphony("changes", "apply", "--run", run).code == 0
    assert (project / "a.txt").read_text() == "one\ntwo\nthree\n" and not (project / "old").exists()
    late = symphony("changes", "undo", change["id"])
    assert late.code == 1 and f"undo {again['id']} first" in late.err
    for found in (again, change):
        assert symphony("changes", "undo", found["id"]).code == 0
    assert (project / "a.txt").read_text() == "one\n" and (project / "old/b").read_text() == "b\n"
    # The next run begins with the project.
    answer = play(symphony, melody(project.parent / "m.json", nodes[:1], []), project, env)
    assert text_of(symphony, answer, "first") == "a.txt=one old/b=b"


def test_what_a_player_writes_itself_is_seen_too(symphony: Run, project: Path, env: dict[str, str]) -> None:
    nodes = [
        shell("change", "echo two >> a.txt"),
        looks("one", "test/writer"),
        looks("seen"),
        looks("two", "test/writer"),
        shell("last", "grep -c hand a.txt"),
    ]
    order = [node["id"] for node in nodes]
    edges = [[a, b] for a, b in itertools.pairwise(order)]
    answer = play(symphony, melody(project.parent / "m.json", nodes, edges), project, env)
    assert text_of(symphony, answer, "seen") == "a.txt=one\ntwo\nby hand"
    assert text_of(symphony, answer, "two") == "a.txt=one\ntwo\nby hand\nby hand"
    sets = waiting(symphony, answer["run"]["id"])
    assert [found["node"] for found in sets] == ["change", "one", "two"]
    assert symphony("changes", "apply", "--run", answer["run"]["id"]).code == 0
    assert (project / "a.txt").read_text() == "one\ntwo\nby hand\nby hand\n"
    assert not (project / "old").exists()


def test_of_two_steps_that_change_a_file_at_once_the_second_is_not_applied(
    symphony: Run, project: Path, env: dict[str, str], tmp_path: Path
) -> None:
    # Each waits until the other has begun, told by a file of the shared project folder that the test makes.
    nodes = [
        shell("left", "sleep 1; echo left >> a.txt"),
        shell("right", "sleep 1; echo right >> a.txt"),
        looks("seen"),
    ]
    place = melody(tmp_path / "m.json", nodes, [["left", "seen"], ["right", "seen"]])
    answer = play(symphony, place, project, env)
    first, second = waiting(symphony, answer["run"]["id"])
    assert text_of(symphony, answer, "seen").splitlines()[1].split()[0] == first["node"]
    assert symphony("changes", "apply", first["id"]).code == 0
    assert symphony("changes", "apply", second["id"]).code == 1


def test_a_run_that_is_resumed_sees_what_its_finished_steps_have_changed(
    symphony: Run, project: Path, env: dict[str, str], tmp_path: Path
) -> None:
    nodes = [
        shell("change", "echo two >> a.txt"),
        shell("fails", "echo half >> a.txt; exit 1"),
        looks("seen"),
    ]
    edges = [["change", "fails"], ["fails", "seen"]]
    done = symphony(
        "play", melody(tmp_path / "m.json", nodes, edges), "--project", project, "--yes", "--json", **env
    )
    run = json.loads(done.out)["run"]["id"]
    nodes[1] = shell("fails", "echo whole >> a.txt")
    again = symphony(
        "play", melody(tmp_path / "m.json", nodes, edges), "--resume", run, "--yes", "--json", **env
    )
    assert again.code == 0, again.err
    assert text_of(symphony, json.loads(again.out), "seen") == "a.txt=one\ntwo\nwhole old/b=b"
    assert symphony("changes", "apply", "--run", run).code == 0
    assert (project / "a.txt").read_text() == "one\ntwo\nwhole\n"
