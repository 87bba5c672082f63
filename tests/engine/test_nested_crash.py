"""A host that is killed inside of a `map` or a `loop`: items and rounds that were finished are not repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")

STAMP = 'x=$(cat); if [ "$x" = STOP ] && ! [ -e ok ]; then sleep 300; fi; date +%s%N'
ROUND = 'x=$(cat); if [ ${#x} -ge 3 ] && ! [ -e ok ]; then sleep 300; fi; date +%s%N >&2; printf "%sx" "$x"'


def program(name: str, script: str) -> Json:
    params = {"command": ["sh", "-c", script]}
    return {"id": name, "kind": "operator", "player": "symphony/shell#run", "params": params}


def mapped() -> Json:
    texts = ["a", "b", "c", "STOP"]  # those that write one project play one after the other
    nodes = [program(f"t{i}", f"printf {text}") for i, text in enumerate(texts)]
    each = {
        "player": "symphony/shell#run",
        "input": "input",
        "params": {"command": ["sh", "-c", STAMP]},
    }
    nodes += [
        {"id": "list", "kind": "control", "player": "symphony/control#join"},
        {"id": "outer", "kind": "control", "player": "symphony/control#map", "params": each},
    ]
    edges = [{"from": f"t{i}.stdout", "to": "list.items"} for i in range(len(texts))]
    return melody(nodes, [*edges, {"from": "list.items", "to": "outer.items"}])


def looped() -> Json:
    inner = melody([program("more", ROUND)], [])
    params = {"melody": inner, "times": 5, "until": "len(value) >= 5"}
    nodes = [program("start", "printf a")]
    nodes.append({"id": "outer", "kind": "control", "player": "symphony/control#loop", "params": params})
    return melody(nodes, [{"from": "start.stdout", "to": "outer.value"}])


def melody(nodes: list[Json], edges: list[Json]) -> Json:
    edges = [{"kind": "data", **edge} for edge in edges]
    return {"format": "symphony.melody/1", "name": "killed", "nodes": nodes, "edges": edges}


def outer(home: Path) -> Json:
    for file in home.glob("runs/*/run.json"):
        body = json.loads(file.read_text())
        return {"run": body["run"]["id"], **next(n for n in body["run"]["nodes"] if n["id"] == "outer")}
    return {}


@pytest.mark.parametrize(("document", "done"), [(mapped(), 3), (looped(), 2)], ids=["map", "loop"])
def test_what_was_finished_inside_is_not_repeated(
    symphony: Any, home: Path, tmp_path: Path, document: Json, done: int
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = tmp_path / "melody.json"
    file.write_text(json.dumps(document))
    # Each item and each round makes three artifacts; the exit code is the same for all, as is empty text.
    arguments = [SYMPHONY, "play", str(file), "--project", str(project), "--yes"]
    errors = tmp_path / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            arguments, env={**os.environ, "SYMPHONY_HOME": str(home)}, stdin=subprocess.DEVNULL, stderr=stderr
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 90
            while len(outer(home).get("artifacts", ())) < done + 2:
                assert process.poll() is None, errors.read_text()
                assert time.monotonic() < deadline, outer(home)
                time.sleep(0.02)
        finally:
            process.kill()
    before = outer(home)
    (project / "ok").write_text("")
    resumed = symphony("runs", "resume", before["run"], "--yes", "--json")
    assert resumed.code == 0, resumed.err
    after = next(n for n in json.loads(resumed.out)["run"]["nodes"] if n["id"] == "outer")
    # Every item prints the time: had one been played again, what it had made would not be all there is of it.
    assert set(before["artifacts"]) <= set(after["artifacts"])
    stamps = sum(is_time(symphony("artifacts", "show", artifact).out) for artifact in after["artifacts"])
    assert stamps == 4


def is_time(text: str) -> bool:
    return text.strip().isdigit() and len(text.strip()) > 15
