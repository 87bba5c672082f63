"""The run loop as Python sees it: real Players in the real sandbox, a real store, a journal on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import BadInput, CycleError, NotFound, SymphonyError
from tests.pit.test_pool_players import is_ready, until
from tests.pit.theatre import Json, Theatre, node, source


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path / "home")
    theatre.register()
    yield theatre
    theatre.close()


def test_outputs_flow_are_stored_and_registered(theatre: Theatre) -> None:
    plan = theatre.plan(
        [
            node("a", "echo", params={"value": {"x": [1, 2.5, None, "é"]}}),
            node("b", "echo", inputs={"value": source("a")}),
            node("t", "text", outputs={"report": "text/markdown"}),
        ]
    )
    assert theatre.play(plan)["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "b") == {"value": {"x": [1, 2.5, None, "é"]}}
    nodes = theatre.nodes("run")
    made = nodes["t"]["artifacts"][0]
    assert (made["name"], made["type"], made["port"]) == ("t.report.md", "text/markdown", "report")
    assert theatre.store.get(made["id"]) == b"# Title"
    info = theatre.store.info(made["id"])
    assert (info["run"], info["node"], info["meta"]["prompt"]) == ("run", "t", "do it")
    stored = nodes["b"]["artifacts"][0]
    assert json.loads(theatre.store.get(stored["id"])) == {"x": [1, 2.5, None, "é"]}
    registered = theatre.stale.item(stored["id"])
    assert registered is not None and registered["size"] == stored["bytes"]
    assert nodes["a"]["state"] == "succeeded" and nodes["a"]["seconds"] > 0


def test_a_player_is_told_what_it_would_read_in_its_manifest(theatre: Theatre) -> None:
    """Its name and the types of its outputs: reading TOML takes longer than all the rest of its start."""
    plan = theatre.plan([node("m", "has_read_its_manifest", outputs={"value": "boolean"})])
    assert theatre.play(plan)["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "m") == {"value": False}


def test_the_player_knows_where_it_plays_and_lists_are_gathered(theatre: Theatre) -> None:
    gather = node("g", "echo", inputs={"items": {"value": None}}, list_inputs=["items"])
    gather["inputs"]["items"] = [source("a"), source("b"), {"value": [3, 4]}]
    plan = theatre.plan(
        [
            node("a", "echo", params={"value": 1}),
            node("b", "echo", params={"value": [2]}),
            gather,
            node("w", "who"),
        ]
    )
    plan["project"] = "/some/where"
    assert theatre.play(plan)["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "g")["value"] == [1, 2, 3, 4]
    assert theatre.runtime.outputs("run", "w")["value"] == ["run", "w", "/some/where"]


def test_a_failure_names_itself_and_leaves_other_branches_alone(theatre: Theatre) -> None:
    plan = theatre.plan(
        [
            node("bad", "fail", params={"code": "bad_input"}, retry={"attempts": 5}),
            node("after", "echo", inputs={"value": source("bad")}),
            node("other", "echo", params={"value": 1}),
        ]
    )
    end = theatre.play(plan)
    assert end["state"] == "failed"
    assert end["error"]["message"] == "Node bad failed: It does not work"
    nodes = theatre.nodes("run")
    assert [nodes[n]["state"] for n in ("bad", "after", "other")] == ["failed", "skipped", "succeeded"]
    assert nodes["bad"]["attempt"] == 1 and nodes["bad"]["error"]["remedy"] == "try something else"
    assert nodes["after"]["reason"] == "bad failed"


def test_a_player_that_is_killed_comes_back_and_the_run_goes_on(theatre: Theatre) -> None:
    plan = theatre.plan(
        [node("s", "slow", params={"seconds": 1.0}), node("e", "echo", inputs={"value": source("s")})]
    )
    theatre.runtime.start(plan)
    theatre.until(lambda e: e["event"] == "node" and e["node"] == "s" and e["state"] == "running")
    ready = theatre.until(lambda e: e["event"] == "player" and e["state"] == "ready")
    os.kill(ready["pid"], signal.SIGKILL)
    lost = theatre.until(lambda e: e["event"] == "player" and e["state"] == "unloaded")
    assert lost["reason"] == "it ended: signal 9"
    assert theatre.end("run")["state"] == "succeeded"
    assert theatre.nodes("run")["s"]["attempt"] == 2


@pytest.mark.parametrize(("function", "how"), [("die", "signal 9"), ("leave", "exit status 3")])
def test_a_player_that_ends_each_time_fails_its_node_with_a_clear_error(
    theatre: Theatre, function: str, how: str
) -> None:
    end = theatre.play(theatre.plan([node("d", function), node("e", "echo", params={"value": 1})]))
    assert end["state"] == "failed"
    error = theatre.nodes("run")["d"]["error"]
    assert error["code"] == "crashed"
    assert (
        error["message"] == f"The Player symphony/test ended while running symphony/test#{function} ({how})"
    )
    assert theatre.nodes("run")["d"]["attempt"] == 2


def test_a_timeout_cancels_and_a_player_that_hangs_is_ended(theatre: Theatre) -> None:
    assert theatre.play(theatre.plan([node("s", "slow", timeout=0.2)], run="one"))["state"] == "failed"
    assert theatre.nodes("one")["s"]["error"]["code"] == "timeout"
    pid = theatre.runtime.player_states()["test"]["pid"]
    assert theatre.play(theatre.plan([node("h", "hang", timeout=0.2)], run="two"))["state"] == "failed"
    assert "was ended" in theatre.nodes("two")["h"]["error"]["message"]
    assert theatre.play(theatre.plan([node("e", "echo")], run="three"))["state"] == "succeeded"
    assert theatre.runtime.player_states()["test"]["pid"] != pid


def test_cancelling_reaches_the_player_and_keeps_what_is_done(theatre: Theatre) -> None:
    plan = theatre.plan(
        [node("a", "echo", params={"value": 7}), node("s", "slow", inputs={"seconds": {"value": 60.0}})]
    )
    plan["edges"] = [{"kind": "control", "from": "a", "to": "s"}]
    theatre.runtime.start(plan)
    theatre.until(lambda e: e["event"] == "node" and e["node"] == "s" and e["state"] == "running")
    assert theatre.runtime.cancel("run")
    assert theatre.end("run")["state"] == "cancelled"
    nodes = theatre.nodes("run")
    assert (nodes["a"]["state"], nodes["s"]["state"]) == ("succeeded", "cancelled")
    assert theatre.runtime.outputs("run", "a") == {"value": 7}
    assert not theatre.runtime.cancel("run")
    assert theatre.arbiter.fairness()["held"] == 0


def test_what_a_player_says_and_asks_reaches_python(theatre: Theatre) -> None:
    def answer(event: Json) -> None:
        assert (event["run"], event["node"], event["key"]) == ("run", "t", "test")
        assert (event["method"], event["body"]["path"]) == ("fs.read", "file.txt")
        assert theatre.runtime.respond(event["id"], {"content": b"content"})
        assert not theatre.runtime.respond(event["id"], {}), "a request is answered once"

    theatre.answers["request"] = answer
    assert theatre.play(theatre.plan([node("t", "talk")]))["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "t") == {"value": "content"}
    said = {e["event"]: e for e in theatre.events if e["event"] in ("progress", "log")}
    assert (said["progress"]["node"], said["progress"]["fraction"], said["progress"]["note"]) == (
        "t",
        0.5,
        "half",
    )
    assert (said["log"]["extension"], said["log"]["level"], said["log"]["message"]) == (
        "symphony/test",
        "warning",
        "said",
    )


def test_a_refused_request_is_the_nodes_error(theatre: Theatre) -> None:
    theatre.answers["request"] = lambda event: theatre.runtime.respond_error(
        event["id"], "permission_denied", "It may not read file.txt", "grant it"
    )
    assert theatre.play(theatre.plan([node("t", "talk", retry={"attempts": 3})]))["state"] == "failed"
    failed = theatre.nodes("run")["t"]
    assert (failed["attempt"], failed["error"]["code"]) == (1, "permission_denied")


def control(name: str, **more: Any) -> Json:
    return {
        **node(name, "if", **more),
        "kind": "control",
        "key": "",
        "player": "symphony/control#if",
        "resources": {},
    }


def test_conditions_and_control_nodes_are_pythons(theatre: Theatre) -> None:
    theatre.answers["control"] = lambda e: theatre.runtime.decide(
        e["token"], {"outputs": {"value": e["inputs"]["value"]}}
    )
    theatre.answers["condition"] = lambda e: theatre.runtime.decide(e["token"], e["outputs"]["value"] > 3)
    nodes = [
        node("a", "echo", params={"value": 3}),
        control("if", inputs={"value": source("a")}),
        node("yes", "echo"),
        node("b", "echo", params={"value": 4}),
        node("also", "echo"),
    ]
    edges = [
        {"kind": "conditional", "from": "if", "to": "yes", "when": "value > 3", "token": 0},
        {"kind": "conditional", "from": "b", "to": "also", "when": "value > 3", "token": 1},
    ]
    assert theatre.play(theatre.plan(nodes, edges))["state"] == "succeeded"
    states = {name: event["state"] for name, event in theatre.nodes("run").items()}
    assert (states["if"], states["yes"], states["also"]) == ("succeeded", "skipped", "succeeded")
    asked = next(e for e in theatre.events if e["event"] == "condition")
    assert asked["when"] == "value > 3"


def test_a_node_waits_for_a_person(theatre: Theatre) -> None:
    theatre.runtime.start(theatre.plan([control("ask", inputs={"value": {"value": 1}})]))
    question = theatre.until(lambda e: e["event"] == "control")
    assert theatre.runtime.decide(question["token"], {"waiting": True})
    theatre.until(lambda e: e["event"] == "node" and e["state"] == "waiting")
    error = {"code": "not_approved", "message": "A person said no", "remedy": ""}
    assert theatre.runtime.decide(question["token"], {"error": error})
    assert theatre.end("run")["error"]["code"] == "not_approved"


def test_python_may_decide_after_a_failure(theatre: Theatre) -> None:
    theatre.answers["failure"] = lambda e: theatre.runtime.decide(
        e["token"], {"action": "retry", "delay": 0.01} if e["attempt"] < 3 else {"action": "skip"}
    )
    plan = theatre.plan([node("f", "fail")])
    plan["ask_failure"] = True
    assert theatre.play(plan)["state"] == "succeeded"
    assert (theatre.nodes("run")["f"]["state"], theatre.nodes("run")["f"]["attempt"]) == ("skipped", 3)


def test_the_plain_default_is_an_answer_after_a_failure(theatre: Theatre) -> None:
    asked = []

    def answer(event: Json) -> None:
        asked.append(event["attempt"])
        theatre.runtime.decide(event["token"], {"action": "default"})

    theatre.answers["failure"] = answer
    plan = theatre.plan([node("f", "fail", retry={"attempts": 2, "backoff": "none", "delay": 0.01})])
    plan["ask_failure"] = True
    assert theatre.play(plan)["state"] == "failed"
    assert asked == [1, 2] and theatre.nodes("run")["f"]["attempt"] == 2


def test_resources_that_do_not_exist_fail_the_node(theatre: Theatre) -> None:
    plan = theatre.plan([node("big", "echo", resources={"cpu": 99.0})])
    assert theatre.play(plan)["state"] == "failed"
    error = theatre.nodes("run")["big"]["error"]
    assert error["code"] == "infeasible" and "99 cpu" in error["message"]


def test_the_cache_answers_and_follows_the_inputs(theatre: Theatre) -> None:
    def plan(run: str, value: int) -> Json:
        return theatre.plan(
            [
                node("a", "echo", params={"value": value}),
                node("c", "echo", inputs={"value": source("a")}, cache_key="echo-1"),
            ],
            run=run,
        )

    for run, value, cached in [("one", 1, False), ("two", 1, True), ("three", 2, False)]:
        assert theatre.play(plan(run, value))["state"] == "succeeded"
        assert theatre.nodes(run)["c"].get("cached", False) is cached
        assert theatre.runtime.outputs(run, "c") == {"value": value}


def test_the_idempotency_key_is_the_same_in_every_attempt_and_after_a_resume(theatre: Theatre) -> None:
    def plan(fails: int) -> Json:
        retry = {"attempts": 2, "backoff": "none", "delay": 0.0}
        nodes = [
            node("k", "key", inputs={"fails": {"value": fails}}, retry=retry, effects=True),
            node("other", "key", inputs={"fails": {"value": 0}}),
        ]
        return theatre.plan(nodes)

    assert theatre.play(plan(2))["state"] == "failed"
    key = theatre.nodes("run")["k"]["error"]["message"]
    start = len(theatre.events)
    theatre.runtime.resume(plan(3)["dir"], plan(3))
    assert theatre.end("run", start)["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "k") == {"value": key}
    assert theatre.runtime.outputs("run", "other") != {"value": key}


def test_a_request_is_withdrawn_when_its_call_has_ended(theatre: Theatre) -> None:
    theatre.runtime.start(theatre.plan([node("t", "talk")]))
    request = theatre.until(lambda e: e["event"] == "request")
    assert theatre.runtime.charge(request["id"], 1.5, 1 << 30)
    theatre.runtime.cancel("run")
    theatre.until(lambda e: e["event"] == "withdrawn" and e["id"] == request["id"])
    theatre.end("run")
    assert not theatre.runtime.charge(request["id"], 1.0, 1)
    used = theatre.nodes("run")["t"]
    assert used["cpu_seconds"] > 1.5 and used["peak_memory"] == 1 << 30


def test_one_function_alone(theatre: Theatre) -> None:
    body = {"function": "join", "params": {"by": "-"}, "inputs": {"left": "a", "right": "b"}, "context": {}}
    theatre.runtime.call_player(7, "test", body, 20.0)
    assert theatre.until(lambda e: e["event"] == "call_done")["outputs"] == {"value": "a-b"}
    theatre.runtime.call_player(8, "test", {"function": "slow", "params": {}, "inputs": {}}, 0.1)
    done = theatre.until(lambda e: e["event"] == "call_done" and e["token"] == 8)
    assert done["error"]["code"] == "timeout"
    theatre.runtime.call_player(9, "absent", body, 20.0)
    done = theatre.until(lambda e: e["event"] == "call_done" and e["token"] == 9)
    assert done["error"]["code"] == "not_found"


def test_players_are_prewarmed_shown_and_forgotten(theatre: Theatre) -> None:
    assert theatre.runtime.player_states()["test"]["state"] == "unloaded"
    assert theatre.runtime.prewarm(["test"]) == 1
    theatre.until(lambda e: e["event"] == "player" and e["state"] == "ready")
    until(theatre, lambda: is_ready(theatre, "test"))  # the pool books its memory before it gives it out
    state = theatre.runtime.player_states()["test"]
    assert state["extension"] == "symphony/test" and state["pid"] > 0
    assert theatre.runtime.unregister_player("test")
    theatre.until(lambda e: e["event"] == "player" and e["state"] == "unloaded" and not e["reason"])
    assert theatre.runtime.player_states() == {}


def test_a_player_that_does_not_start_says_why(theatre: Theatre, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('this entry is broken')\n")
    theatre.register("broken", broken)
    plan = theatre.plan([{**node("b", "echo"), "key": "broken"}])
    assert theatre.play(plan)["state"] == "failed"
    error = theatre.nodes("run")["b"]["error"]
    assert "symphony/test could not be started" in error["message"]
    assert "this entry is broken" in error["message"]
    silent = tmp_path / "silent.py"
    silent.write_text("import os\nos._exit(5)\n")
    theatre.register("silent", silent)
    plan = theatre.plan([{**node("b", "echo"), "key": "silent"}], run="two")
    assert theatre.play(plan)["state"] == "failed"
    assert "exit status 5" in theatre.nodes("two")["b"]["error"]["message"]


def test_bad_plans_are_refused_with_the_reason(theatre: Theatre) -> None:
    with pytest.raises(BadInput, match="node a: timeout must be a number"):
        theatre.runtime.start(theatre.plan([{**node("a", "echo"), "timeout": "soon"}]))
    with pytest.raises(CycleError) as cycle:
        nodes = [
            node("a", "echo", inputs={"value": source("b")}),
            node("b", "echo", inputs={"value": source("a")}),
        ]
        theatre.runtime.start(theatre.plan(nodes))
    assert cycle.value.cycle == ["a", "b", "a"]
    with pytest.raises(NotFound):
        theatre.runtime.outputs("nothing", "a")
    assert theatre.play(theatre.plan([node("a", "echo")]))["state"] == "succeeded"
    with pytest.raises(BadInput, match="begun before"):
        theatre.runtime.start(theatre.plan([node("a", "echo")]))


def test_a_full_disk_ends_the_run_with_its_reason(theatre: Theatre) -> None:
    plan = theatre.plan([node("a", "echo")])
    plan["dir"] = "/dev/full/run"
    with pytest.raises(SymphonyError):
        theatre.runtime.start(plan)


HOST = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from tests.pit.theatre import Theatre, node, source
theatre = Theatre(Path({home!r}))
theatre.register()
nodes = [node("n0", "echo", params={{"value": 0}})]
nodes += [node(f"n{{i}}", "echo", inputs={{"value": source(f"n{{i - 1}}")}}) for i in range(1, 30)]
nodes += [node("last", "slow", params={{"seconds": 60.0}}, inputs={{"value": source("n29")}})]
del nodes[-1]["inputs"]["value"]
plan = theatre.plan(nodes, [{{"kind": "control", "from": "n29", "to": "last"}}])
theatre.runtime.start(plan)
seen = 0
while True:
    # Several events come at once; each of them is told.
    event = theatre.until(lambda e: e["event"] == "node" and e["state"] == "succeeded", seen)
    seen = theatre.events.index(event, seen) + 1
    print(event["node"], flush=True)
"""


def test_a_run_survives_the_end_of_its_host(tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = HOST.format(folder=str(Path(__file__).parents[2]), home=str(home))
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    done = [host.stdout.readline().strip() for _ in range(12)]
    host.kill()
    host.wait()
    host.stdout.close()
    theatre = Theatre(home)
    try:
        theatre.register()
        nodes = [node("n0", "echo", params={"value": 0})]
        nodes += [node(f"n{i}", "echo", inputs={"value": source(f"n{i - 1}")}) for i in range(1, 30)]
        nodes += [node("last", "slow", params={"seconds": 60.0})]
        plan = theatre.plan(nodes, [{"kind": "control", "from": "n29", "to": "last"}])
        resumed = theatre.runtime.resume(plan["dir"], plan)
        assert set(done) <= set(resumed["kept"])
        theatre.until(lambda e: e["event"] == "node" and e["node"] == "last" and e["state"] == "running")
        ran = {e["node"] for e in theatre.events if e["event"] == "node" and e["state"] == "running"}
        assert not ran & set(resumed["kept"])
        assert theatre.runtime.outputs("run", "n29") == {"value": 0}
        theatre.runtime.cancel("run")
        assert theatre.end("run")["state"] == "cancelled"
    finally:
        theatre.close()


def test_ten_thousand_nodes_without_a_player(theatre: Theatre) -> None:
    nodes = [{"id": f"n{i}", "kind": "pass"} for i in range(10_000)]
    edges = [{"kind": "control", "from": f"n{i // 2}", "to": f"n{i}"} for i in range(1, 10_000)]
    assert theatre.play({**theatre.plan(nodes, edges), "dir": ""})["state"] == "succeeded"
    assert len(theatre.nodes("run")) == 10_000


FULL = """
import resource, sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from tests.pit.theatre import Theatre
theatre = Theatre(Path({home!r}))
nodes = [{{"id": f"n{{i}}", "kind": "pass"}} for i in range(200)]
plan = theatre.plan(nodes, [{{"kind": "control", "from": f"n{{i - 1}}", "to": f"n{{i}}"}} for i in range(1, 200)])
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
end = theatre.play(plan)
print(end["state"], end["error"]["code"], end["error"]["message"])
theatre.runtime.stop(5.0)
"""


def test_a_journal_that_cannot_be_written_ends_the_run_and_tears_nothing(tmp_path: Path) -> None:
    script = FULL.format(folder=str(Path(__file__).parents[2]), home=str(tmp_path))
    host = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert host.stdout.startswith("failed storage_full The run's journal could not be written"), host
    theatre = Theatre(tmp_path)
    try:
        nodes: list[Json] = [{"id": f"n{i}", "kind": "pass"} for i in range(200)]
        edges = [{"kind": "control", "from": f"n{i - 1}", "to": f"n{i}"} for i in range(1, 200)]
        plan = theatre.plan(nodes, edges)
        resumed = theatre.runtime.resume(plan["dir"], plan)
        assert resumed["torn"] == 0 and resumed["left"] > 0
        assert theatre.end("run")["state"] == "succeeded"
    finally:
        theatre.close()


NO_ROOM = """
import resource, sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from symphony.errors import StorageFull
from tests.pit.theatre import Theatre
theatre = Theatre(Path({home!r}))
plan = theatre.plan([{{"id": "n", "kind": "pass"}}])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, most))
try:
    theatre.runtime.start(plan)
except StorageFull as error:
    print(error.remedy)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print(theatre.play(plan)["state"])
theatre.close()
"""


def test_a_run_that_could_not_be_begun_can_be_begun_again(tmp_path: Path) -> None:
    script = NO_ROOM.format(folder=str(Path(__file__).parents[2]), home=str(tmp_path))
    host = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert host.stdout.splitlines() == ["free some space, then resume the run", "succeeded"], host


def test_large_values_pass(theatre: Theatre) -> None:
    big = "x" * (3 << 20)
    plan = theatre.plan(
        [node("a", "echo", params={"value": big}), node("b", "echo", inputs={"value": source("a")})]
    )
    assert theatre.play(plan)["state"] == "succeeded"
    assert theatre.runtime.outputs("run", "b")["value"] == big


def test_many_calls_of_one_player_run_at_once(theatre: Theatre) -> None:
    nodes = [node(f"n{i}", "slow", params={"seconds": 0.3}) for i in range(8)]
    assert theatre.play(theatre.plan(nodes))["seconds"] < 8 * 0.3
    assert theatre.runtime.stats()["players"]["loads"] == 1
