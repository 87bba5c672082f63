"""A Player that writes into the project itself: its changes are kept with the nodes that made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

MANIFEST = """
[extension]
name = "test/writer"
version = "1.0.0"
type = "operator"
[[functions]]
name = "write"
description = "Writes a file"
inputs = { project = "project", after = "text/plain" }
optional = ["after"]
outputs = { text = "text/plain" }
params = { name = { type = "string" } }
[capabilities]
files = ["write:project/**"]
"""

PLAYER = """
from pathlib import Path
from symphony.sdk import player

@player.function
def write(ctx, project, name="", after=None):
    place = Path(project) / name
    place.write_text("by the Player")
    return str(sorted(path.name for path in Path(project).iterdir()))

player.serve()
"""

MELODY = """
format: symphony.melody/1
name: two
nodes:
  - {id: one, kind: operator, player: test/writer#write, params: {name: first.txt}}
  - {id: two, kind: operator, player: test/writer#write, params: {name: second.txt}}
edges:
  - {kind: data, from: one.text, to: two.after}
"""


def test_each_node_has_what_its_player_wrote_since_the_last(symphony: Run, tmp_path: Path) -> None:
    folder, project = tmp_path / "bundled" / "writer", tmp_path / "project"
    folder.mkdir(parents=True)
    project.mkdir()
    (folder / "Symphony.toml").write_text(MANIFEST)
    (folder / "player.py").write_text(PLAYER)
    (tmp_path / "two.yaml").write_text(MELODY)
    env = {"SYMPHONY_BUNDLED": str(tmp_path / "bundled")}
    done = symphony("play", tmp_path / "two.yaml", "--project", project, "--yes", "--json", **env)
    assert done.code == 0, done.err
    assert not list(project.iterdir())
    sets = json.loads(symphony("changes", "list", "--json", **env).out)["changes"]
    shown = [json.loads(symphony("changes", "show", found["id"], "--json", **env).out) for found in sets]
    paths = {path["path"] for found in shown for path in found["paths"]}
    assert paths == {"first.txt", "second.txt"}
    assert sum(len(found["paths"]) for found in shown) == 2  # none is kept twice
    for found in sets:
        assert symphony("changes", "apply", found["id"], **env).code == 0
    assert {path.name for path in project.iterdir()} == {"first.txt", "second.txt"}
