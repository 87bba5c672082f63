"""What steps inside of `melody`, `map` and `loop` change is seen by the steps that come after them, in and outside."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from symphony.kit.bundled import bundled_folder

from .conftest import Stage, control, melody, node, shell

Json = dict[str, Any]

MANIFEST = """
[extension]
name = "test/{name}"
version = "1.0.0"
type = "operator"
[[functions]]
name = "look"
description = "Reads the project that it is shown"
inputs = {{ project = "project", after = "text/plain" }}
optional = ["after"]
outputs = {{ text = "text/plain" }}
[capabilities]
files = ["{files}"]
"""

LOOKING = """
import os
from symphony.sdk import player

@player.function
def look(ctx, project, after=None):
    found = []
    for name in sorted(os.listdir(project)):
        with open(os.path.join(project, name)) as file:
            found.append(f"{name}={' '.join(file.read().split())}")
    return "; ".join(found)

player.serve()
"""

FAILING = """
import os
from symphony.sdk import player

@player.function
def look(ctx, project, after=None):
    with open(os.path.join(project, "half"), "w") as file:
        file.write("half")
    raise RuntimeError("half of it")

player.serve()
"""


@pytest.fixture(autouse=True)
def troupe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled shell, one that looks, and one that writes and fails."""
    folder = tmp_path / "extensions"
    for name, code, files in (
        ("looker", LOOKING, "read:project/**"),
        ("failing", FAILING, "write:project/**"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "player.py").write_text(code)
        (folder / name / "Symphony.toml").write_text(MANIFEST.format(name=name, files=files))
    shutil.copytree(bundled_folder() / "shell", folder / "shell")
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(folder))


def looks(name: str, player: str = "looker") -> Json:
    return {"id": name, "kind": "operator", "player": f"test/{player}#look"}


def chain(name: str, *nodes: Json) -> Json:
    """One after the other, with nothing between them but the project."""
    document = melody(name, list(nodes))
    pairs = itertools.pairwise(nodes)
    document["edges"] = [{"kind": "control", "from": a["id"], "to": b["id"]} for a, b in pairs]
    return document


def texts(stage: Stage, run: Json) -> dict[str, str]:
    """What each looker saw, by its place in the run."""
    store = stage.host.services.pit.store
    runs = {entry["meta"]["run"] for entry in store.list(limit=1000)}
    assert run["run"]["id"] in runs
    found = {}
    for entry in store.list(limit=1000):
        of, place = entry["meta"]["run"], entry["meta"]["node"]
        if of.split("/")[0] == run["run"]["id"] and entry["type"] == "text/plain":
            inner = of.partition("/")[2]
            found[f"{inner}/{place}" if inner else place] = bytes(store.get(entry["id"])).decode()
    return found


async def sets(stage: Stage, run: Json) -> list[tuple[str, bool]]:
    """Place of each set of changes, oldest first, and whether it is replaced by another."""
    listed = await stage.host.services.changes.listed(run["run"]["id"])
    return [(found["node"], found["replaced"]) for found in reversed(listed)]


async def test_steps_inside_of_a_melody_are_links_of_the_chain(stage: Stage) -> None:
    (stage.project / "a").write_text("one\n")
    deeper = chain("deeper", shell("third", "cat a > b"), looks("see"))
    inner = chain(
        "inner",
        looks("before"),
        shell("second", "echo three >> a"),
        looks("between"),
        control("deep", "melody", melody=deeper),
    )
    whole = chain(
        "outer", shell("first", "echo two >> a"), control("m", "melody", melody=inner), looks("end")
    )
    run = await stage.play(whole)
    assert run["run"]["status"] == "succeeded", run
    seen = texts(stage, run)
    assert seen["m/before"] == "a=one two"
    assert seen["m/between"] == "a=one two three"
    assert seen["m/deep/see"] == seen["end"] == "a=one two three; b=one two three"
    assert await sets(stage, run) == [("first", False), ("m/second", False), ("m/deep/third", False)]
    await stage.host.apply_run_changes(run["run"]["id"])
    assert (stage.project / "b").read_text() == "one\ntwo\nthree\n"


async def test_each_round_of_a_loop_sees_those_before_it(stage: Stage) -> None:
    inner = chain("grow", shell("more", "echo x >> a; wc -l < a"))
    looped = control("loop", "loop", melody=inner, times=3)
    whole = chain("looped", shell("start", "echo x >> a; echo go"), looped, looks("end"))
    whole["edges"][0] = {"kind": "data", "from": "start.stdout", "to": "loop.value"}
    run = await stage.play(whole)
    assert run["run"]["status"] == "succeeded", run
    assert stage.output(run, "end") == {"text": "a=x x x x"}
    places = [f"loop/{number}/more" for number in (1, 2, 3)]
    assert await sets(stage, run) == [("start", False), *((place, False) for place in places)]


async def test_what_the_items_of_a_map_change_is_seen_after_it(stage: Stage) -> None:
    params = {"command": ["sh", "-c", "read -r x; echo $x > $x"]}
    each = control("map", "map", player="symphony/shell#run", input="input", params=params)
    nodes = [shell("p", "printf p"), shell("q", "printf q"), control("list", "join"), each, looks("end")]
    whole = melody(
        "mapped", nodes, "p.stdout > list.items", "q.stdout > list.items", "list.items > map.items"
    )
    whole["edges"].append({"kind": "control", "from": "map", "to": "end"})
    run = await stage.play(whole)
    assert stage.output(run, "end") == {"text": "p=p; q=q"}, run
    assert sorted(await sets(stage, run)) == [("map/0.item", False), ("map/1.item", False)]


async def test_a_step_inside_that_plays_again_begins_without_what_it_had_changed(stage: Stage) -> None:
    step = shell("step", "echo x >> a; exit 1", retry={"attempts": 3, "delay": 0.01})
    run = await stage.play(chain("outer", control("m", "melody", melody=chain("inner", step))))
    assert run["run"]["status"] == "failed", run
    # Each attempt saw the project without the line of the one before.
    assert await sets(stage, run) == [("m/step", True), ("m/step", True), ("m/step", False)]
    (found,) = [s for s in await stage.host.services.changes.listed(run["run"]["id"]) if not s["replaced"]]
    assert (await stage.host.services.changes.show(found["id"]))["diff"].count("\n+x") == 1


async def test_a_resumed_run_keeps_what_finished_steps_inside_have_changed(stage: Stage) -> None:
    def whole(script: str) -> Json:
        inner = chain("inner", shell("done", "echo two >> a"), shell("fails", script), looks("see"))
        return chain("outer", control("m", "melody", melody=inner), looks("end"))

    run = await stage.play(whole("echo half >> a; exit 1"))
    assert run["run"]["status"] == "failed"
    document = json.loads(json.dumps(whole("echo whole >> a")))
    answer = await stage.host.execute_melody(
        document, project=str(stage.project), agreed=True, resume=run["run"]["id"]
    )
    again = await stage.end(answer["run"])
    assert again["run"]["status"] == "succeeded", again
    seen = texts(stage, again)
    assert seen["m/see"] == seen["end"] == "a=two whole"
    assert await sets(stage, again) == [("m/done", False), ("m/fails", True), ("m/fails", False)]


async def test_what_a_player_inside_wrote_before_it_failed_is_kept(stage: Stage) -> None:
    run = await stage.play(
        chain("outer", control("m", "melody", melody=chain("inner", looks("w", "failing"))))
    )
    assert run["run"]["status"] == "failed"
    assert node(run, "m")["error"]["message"]
    await stage.host._player_changes.stop()
    assert await sets(stage, run) == [("m/w", False)]
