"""What a host knows of the nodes that it has played: what they used, why they ran, who played them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.engine.figures import Figures, Sketch
from symphony.engine.history import History
from symphony.errors import BadInput, InvalidMelody, PermissionDenied
from symphony.telemetry import read_logs
from tests.engine.conftest import PATIENCE, Stage, control, melody, node, shell
from tests.processes import descendants_named

Json = dict[str, Any]

PLAYER = """
from symphony.sdk import PlayerFailure, player


@player.function
def shout(ctx, text="", times=1):
    return {"text": text.upper() * times}


@player.function
def whisper(ctx, text="", times=1):
    return {"text": text.lower() * times}


@player.function
def fail(ctx, text=""):
    raise PlayerFailure("It never works")


@player.function
def burn(ctx, text=""):
    return {"text": str(sum(i * i for i in range(2_000_000)))}


@player.function
def chatter(ctx, text=""):
    for turn in range(3000):
        ctx.log("turn %d" % turn)
        ctx.progress(1.0, "turn %d" % turn)
    return {"text": "done"}


@player.function
def lie(ctx, text=""):
    return {"text": 3}


player.serve()
"""
HEAD = (
    '[extension]\nname = "test/voice"\nversion = "1.0.0"\ntype = "operator"\n[resources]\nmemory = "256MiB"\n'
)
FUNCTION = (
    '[[functions]]\nname = "{0}"\ndescription = "{0}"\nexamples = ["{0}"]\noptional = ["text"]\n'
    'inputs = {{ text = "text" }}\noutputs = {{ text = "text" }}\ndeterministic = true\n'
    'params = {{ times = {{ type = "integer", default = 1 }} }}\n'
)
FUNCTIONS = ("shout", "whisper", "fail", "burn", "chatter", "lie")


@pytest.fixture(autouse=True)
def troupe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled shell, and a Player of the test's own."""
    folder = tmp_path / "extensions"
    (folder / "voice").mkdir(parents=True)
    (folder / "voice" / "player.py").write_text(PLAYER)
    manifest = HEAD + "".join(map(FUNCTION.format, FUNCTIONS))
    for name in ("fail", "burn", "chatter", "lie"):  # they take no parameter
        manifest = manifest.replace(FUNCTION.format(name), FUNCTION.format(name).rpartition("params")[0])
    (folder / "voice" / "Symphony.toml").write_text(manifest)
    (folder / "shell").symlink_to(Path(__file__).parents[2] / "extensions" / "shell")
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(folder))


def voice(name: str, function: str, **more: Any) -> Json:
    return {"id": name, "kind": "operator", "player": f"test/voice#{function}", **more}


async def until(condition: Callable[[], Any]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), PATIENCE)


async def test_use_is_recorded_and_gathered_by_player(stage: Stage) -> None:
    busy = shell("busy", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    run = await stage.play(melody("used", [voice("burn", "burn"), busy, voice("quiet", "shout")]))
    assert run["run"]["status"] == "succeeded", run
    burn, quiet, program = node(run, "burn"), node(run, "quiet"), node(run, "busy")
    assert burn["cpu_seconds"] > quiet["cpu_seconds"] >= 0
    # The shell's Player only waits: what the program burnt is counted as the node's.
    assert program["cpu_seconds"] > 0.01 and program["peak_memory"] > 1 << 20
    assert all(n["queue_seconds"] >= 0 and n["gpu_share"] is None for n in run["run"]["nodes"])
    metrics = await stage.host.metrics()
    assert metrics["nodes"] == 3 and metrics["throughput"] > 0
    of_burn = metrics["by_player"]["test/voice#burn"]
    assert (of_burn["nodes"], of_burn["peak_memory"]) == (1, burn["peak_memory"])
    assert of_burn["p50"] == pytest.approx(burn["ended"] - burn["started"], rel=0.02)
    assert (await stage.host.metrics(run["run"]["id"]))["by_player"] == metrics["by_player"]
    # Another host finds the same in the history.
    again = Figures(record.info for record in History(stage.host.services.home.runs).newest(100))
    assert again.to_json() == {key: metrics[key] for key in again.to_json()}
    assert (stage.host.services.engine.figures.expected_seconds("test/voice#burn") or 0.0) > 0


def test_a_sketch_is_right_within_one_percent() -> None:
    sketch = Sketch()
    for value in range(1, 10_001):
        sketch.add(value / 1000)
    assert sketch.summary()["average"] == pytest.approx(5.0005)
    assert sketch.quantile(0.5) == pytest.approx(5.0, rel=0.011)
    assert sketch.quantile(0.99) == pytest.approx(9.9, rel=0.011)
    assert Sketch().summary() == {"average": 0.0, "p50": 0.0, "p99": 0.0}


async def test_a_node_that_runs_again_says_why(stage: Stage) -> None:
    def chain(times: int) -> Json:
        nodes = [voice("first", "shout", params={"times": times}), voice("second", "whisper")]
        return melody("why", [*nodes, voice("aside", "shout")], "first.text > second.text")

    await stage.play(chain(1))
    run = await stage.play(chain(1))
    assert all(n["cached"] and not n["ran_because"] for n in run["run"]["nodes"])
    start = shell("start", "printf hi")
    loud = melody("loud", [start, voice("first", "shout")], "start.stdout > first.text")
    await stage.play(loud)
    start["params"]["command"][2] = "printf ho"
    run = await stage.play(loud)
    assert node(run, "start")["ran_because"].startswith("parameter command changed from ")
    assert node(run, "first")["ran_because"] == "input text changed"
    run = await stage.play(chain(2))
    # Nothing twice is nothing: the second node's input is what it was, and it is not played.
    assert node(run, "first")["ran_because"] == "parameter times changed from 1 to 2"
    assert [n["id"] for n in run["run"]["nodes"] if n["cached"]] == ["second", "aside"]


async def test_a_fallback_plays_with_the_same_inputs(stage: Stage) -> None:
    bad = voice("bad", "fail", fallback="test/voice#whisper", retry={"attempts": 2, "delay": 0.01})
    nodes = [voice("first", "shout"), bad, voice("after", "shout")]
    run = await stage.play(melody("f", nodes, "first.text > bad.text", "bad.text > after.text"))
    assert run["run"]["status"] == "succeeded", run
    played = node(run, "bad")
    assert (played["fallback"], played["attempts"], played["error"]) == ("test/voice#whisper", 3, None)
    metrics = await stage.host.metrics()
    assert metrics["by_player"]["test/voice#whisper"]["nodes"] == 1
    for fallback, problem in (
        ("test/voice#absent", "no such Player"),
        ("test/voice#fail", "own Player"),
        ("symphony/shell#run", "no input text"),
        ("symphony/control#if", "control Player"),
    ):
        bad["fallback"] = fallback
        with pytest.raises(InvalidMelody) as caught:
            await stage.host.execute_melody(melody("f", nodes, "first.text > bad.text"), agreed=True)
        assert any(problem in f["message"] for f in caught.value.findings), caught.value.findings


async def test_an_answer_of_the_wrong_form_is_named(stage: Stage) -> None:
    run = await stage.play(melody("lie", [voice("lie", "lie")]))
    error = node(run, "lie")["error"]
    assert error["code"] == "bad_output"
    for part in ("lie", "output text", "declared text", "an integer"):
        assert part in error["message"]


async def test_what_players_log_is_all_in_the_log(stage: Stage) -> None:
    run = await stage.play(melody("chatter", [voice("c", "chatter")]))
    assert node(run, "c")["status"] == "succeeded", run
    assert (node(run, "c")["progress"], node(run, "c")["note"]) == (1.0, "turn 2999")
    shown = await stage.host.task_logs(run["run"]["id"], "c", limit=5)
    assert shown["logs"][-1]["message"] == "turn 2999"
    said = list(read_logs(stage.host.services.home, component="player.test/voice", limit=None))
    assert [entry["message"] for entry in said] == [f"turn {turn}" for turn in range(3000)]


async def test_cancelling_ends_the_programs_of_a_player(stage: Stage) -> None:
    run = await stage.begin(melody("sleep", [shell("s", "exec sleep 300")]))
    await until(lambda: descendants_named("sleep"))
    await stage.host.cancel_run(run)
    await until(lambda: not descendants_named("sleep"))
    assert node(await stage.end(run), "s")["status"] == "cancelled"


async def test_a_resume_asks_for_what_was_not_agreed_to(stage: Stage) -> None:
    await stage.host.save_melody(melody("inner", [voice("v", "fail")]), "inner")
    outer = melody("outer", [control("m", "melody", melody="inner")])
    answer = await stage.host.execute_melody(outer, project=str(stage.project))
    run = await stage.end(answer["run"])
    assert run["run"]["status"] == "failed"
    await stage.host.save_melody(melody("inner", [shell("go", "echo hi")]), "inner")
    with pytest.raises(PermissionDenied, match="runs programs"):
        await stage.host.resume_run(run["run"]["id"])
    await stage.host.resume_run(run["run"]["id"], agreed=True)
    run = await stage.end(run["run"]["id"])
    assert run["run"]["status"] == "succeeded", run
    with pytest.raises(BadInput, match="has succeeded"):
        await stage.host.resume_run(run["run"]["id"])


async def test_a_node_that_runs_anew_on_resume_has_only_what_it_made_last(stage: Stage) -> None:
    flow = "first.stdout > each.items"

    def steps(first: str, item: str) -> Json:
        inner = melody("inner", [shell("say", item)])
        each = {
            "id": "each",
            "kind": "control",
            "player": "symphony/control#map",
            "params": {"melody": inner, "input": "say.input"},
        }
        document = melody("anew", [shell("first", first), each, shell("last", "exit 3")], flow)
        document["edges"].append({"kind": "control", "from": "each", "to": "last"})
        return document

    run = await stage.play(steps("printf one", "cat; date +%s%N"))
    assert run["run"]["status"] == "failed", run
    before = {name: node(run, name)["artifacts"] for name in ("first", "each")}
    assert all(before.values())
    answer = await stage.host.execute_melody(
        steps("printf other", "cat; date +%s%N"),
        project=str(stage.project),
        agreed=True,
        resume=run["run"]["id"],
    )
    again = await stage.end(answer["run"])
    store = stage.host.services.pit.store
    for name, old in before.items():
        new = node(again, name)["artifacts"]
        # The exit code and the empty standard error are the same bytes each time.
        assert new and len(new) == len(old) and new != old, name
        assert all(store.info(id)["id"] == id for id in old), "what was made before is in the store"
