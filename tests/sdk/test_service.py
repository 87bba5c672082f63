"""A Player process speaks the stage protocol: calls, capabilities, cancellation, failures, its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

SAMPLE = """
import threading
import time
from symphony.sdk import Artifact, Cancelled, Context, PlayerFailure, player
from symphony.sdk.ui import h

@player.on_activate
def remember(configuration):
    if configuration.get("broken"):
        raise PlayerFailure("no model", remedy="install one", code="unavailable")

@player.function(outputs=["value"])
def echo(ctx: Context, value, twice=False):
    return value * 2 if twice else value

@player.function(outputs=["about"])
def about(ctx):
    return [ctx.project, ctx.run, ctx.node, ctx.attempt, ctx.configuration]

@player.function(outputs=["text"])
def read(ctx, path):
    return ctx.read_text(path)

@player.function(outputs=[])
def report(ctx):
    ctx.progress(0.5, "half")
    for _ in range(1000):
        ctx.progress(0.6)
    ctx.log("said", level="warning", count=3)
    ctx.output({"line": 1})
    ctx.progress(1)

@player.function(outputs=["chart", "note"])
def draw(ctx):
    return {"chart": Artifact(b"png", name="c.png", type="image/png"), "note": "n"}

@player.function
def fail(ctx, how):
    if how == "own":
        raise PlayerFailure("no such branch", remedy="choose another", code="bad_input")
    if how == "exit":
        raise SystemExit(3)
    if how == "big":
        return {"x": b"0" * (2 << 20)}
    if how == "set":
        return {"x": {1, 2}}
    return 1 / 0

@player.function(outputs=["pressed"])
def panel(ctx):
    pressed = []
    while True:
        ctx.ui(h("Button", key="more", label=f"pressed {len(pressed)} times"))
        event = ctx.event()
        if event["key"] == "done":
            return pressed
        pressed.append(event["key"])

@player.function(outputs=["said"])
def spin(ctx):
    while not ctx.cancelled:
        time.sleep(0.001)
    return "stopped"

@player.function(outputs=["caught"])
def wait(ctx):
    try:
        ctx.read("slow")
    except Exception:
        return "swallowed"

barrier = threading.Barrier(8)

@player.function(outputs=["n"])
def meet(ctx, n):
    barrier.wait(20)
    return n

@player.function(outputs=["text"])
def complete(ctx):
    pieces = []
    answer = ctx.complete("hi", stream=pieces.append)
    return [pieces, str(answer), answer.model]

@player.function(outputs=["names"])
def modules(ctx):
    import sys
    return sorted(sys.modules)

player.serve()
"""

Start = Callable[..., Any]


async def activated(start_player: Start) -> Any:
    host = await start_player(SAMPLE)
    await host.ask("activate", {"configuration": {"depth": 3}})
    return host


async def test_hello_and_activation(start_player: Start) -> None:
    host = await start_player(SAMPLE)
    hello = host.hello
    assert (hello["v"], hello["kind"], hello["method"], hello["re"]) == (1, "request", "hello", None)
    assert hello["from"] == hello["body"]["extension"] == "tests/sample"
    assert hello["body"]["versions"] == [1]
    assert hello["body"]["version"] == "1.0.0"
    assert len(hello["id"]) == 16
    refused = await host.ask("activate", {"configuration": {"broken": True}})
    assert (refused["code"], refused["message"], refused["remedy"]) == (
        "unavailable",
        "no model",
        "install one",
    )
    ready = await host.ask("activate", {"configuration": {"depth": 3}})
    assert "echo" in ready["functions"] and ready["functions"] == sorted(ready["functions"])


async def test_a_call_and_its_context(start_player: Start) -> None:
    host = await activated(start_player)
    body = (await host.answer(host.call("echo", value="é" * 64)))["body"]
    assert body == {"outputs": {"value": "é" * 64}, "artifacts": {}}
    body = (await host.answer(host.call("about", project="/p")))["body"]
    assert body["outputs"]["about"] == ["/p", "r1", "n1", 2, {"depth": 3}]
    body = (await host.answer(host.call("draw")))["body"]
    assert body == {
        "outputs": {"chart": b"png", "note": "n"},
        "artifacts": {"chart": {"name": "c.png", "type": "image/png"}},
    }


async def test_reports_belong_to_their_call(start_player: Start) -> None:
    host = await activated(start_player)
    call = host.call("report")
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["kind"] != "response":
        seen.append(await host.read())
    assert {message["re"] for message in seen} == {call}
    bodies = {(message["kind"], message["method"]): message["body"] for message in seen}
    assert bodies["event", "log"] == {"level": "warning", "message": "said", "fields": {"count": 3}}
    assert bodies["stream", "output"] == {"piece": {"line": 1}}
    progress = [message["body"] for message in seen if message["method"] == "progress"]
    assert progress[0] == {"fraction": 0.5, "note": "half"}
    assert progress[-1] == {"fraction": 1.0, "note": ""}
    assert len(progress) < 100, "a tight loop is thinned"


async def test_a_capability_is_asked_in_its_call(start_player: Start) -> None:
    host = await activated(start_player)
    call = host.call("read", path="a.txt")
    request = await host.read()
    assert (request["kind"], request["method"], request["re"]) == ("request", "fs.read", call)
    assert request["body"] == {"path": "a.txt"}
    host.send("response", "fs.read", {"content": b"text"}, re=request["id"])
    assert (await host.answer(call))["body"]["outputs"] == {"text": "text"}

    call = host.call("read", path="b.txt")
    request = await host.read()
    refusal = {"code": "permission_denied", "message": "b.txt is not granted", "remedy": "ask"}
    host.send("error", "fs.read", refusal, re=request["id"])
    error = await host.answer(call)
    assert error["kind"] == "error"
    assert {key: error["body"][key] for key in refusal} == refusal


async def test_a_model_answers_in_pieces(start_player: Start) -> None:
    host = await activated(start_player)
    call = host.call("complete")
    request = await host.read()
    assert request["body"]["stream"] is True
    for piece in ("he", "llo"):
        host.send("stream", "model.complete", {"text": piece}, re=request["id"])
    host.send("response", "model.complete", {"text": "hello", "model": "m", "usage": {}}, re=request["id"])
    assert (await host.answer(call))["body"]["outputs"] == {"text": [["he", "llo"], "hello", "m"]}


@pytest.mark.parametrize(
    ("how", "code", "message", "remedy"),
    [
        ("own", "bad_input", "no such branch", "choose another"),
        ("exit", "failed", "the function called sys.exit(3)", ""),
        ("other", "failed", "ZeroDivisionError: division by zero", ""),
        ("set", "failed", "fail: output x is a set, which cannot travel", None),
        ("big", "failed", "the response call is 2097", None),
    ],
)
async def test_a_failure_is_explained(
    start_player: Start, how: str, code: str, message: str, remedy: str | None
) -> None:
    host = await activated(start_player)
    error = await host.answer(host.call("fail", how=how))
    assert error["kind"] == "error"
    assert error["body"]["code"] == code
    assert error["body"]["message"].startswith(message)
    assert remedy is None or error["body"]["remedy"] == remedy
    if how == "other":
        trace = error["body"]["traceback"]
        assert "1 / 0" in trace and "symphony/sdk" not in trace
    assert (await host.answer(host.call("echo", value=1)))["kind"] == "response", "it goes on"


async def test_wrong_calls_are_bad_input(start_player: Start) -> None:
    host = await activated(start_player)
    for function, inputs, words in [
        ("nothing", {}, "there is no function 'nothing'"),
        ("echo", {}, "'value' is missing"),
        ("echo", {"value": 1, "more": 2}, "'more' is unknown"),
    ]:
        body = (await host.answer(host.call(function, **inputs)))["body"]
        assert body["code"] == "bad_input"
        assert words in body["message"]
    body = await host.ask("fly", {})
    assert "does not know the request 'fly'" in body["message"]


async def test_calls_run_at_the_same_time(start_player: Start) -> None:
    host = await activated(start_player)
    calls = {host.call("meet", n=n): n for n in range(8)}
    for _ in range(8):
        answer = await host.read()
        assert answer["body"]["outputs"] == {"n": calls.pop(answer["re"])}


async def test_more_calls_than_threads_wait_and_pings_do_not(start_player: Start) -> None:
    host = await activated(start_player)
    calls = [host.call("spin") for _ in range(40)]
    assert await host.ask("ping", {}) == {}
    for call in calls:
        host.send("event", "cancel", {}, re=call)
    answered = {(await host.read())["re"] for _ in calls}
    assert answered == set(calls)


async def test_cancel_wakes_a_waiting_function(start_player: Start) -> None:
    host = await activated(start_player)
    call = host.call("wait")
    request = await host.read()
    assert request["method"] == "fs.read"
    host.send("event", "cancel", {}, re=call)
    error = await host.answer(call)
    assert (error["kind"], error["body"]["code"]) == ("error", "cancelled")
    # The host's late answer finds nobody and harms nothing.
    host.send("response", "fs.read", {"content": b""}, re=request["id"])
    host.send("event", "cancel", {}, re=call)
    assert (await host.answer(host.call("echo", value=1)))["kind"] == "response"


async def test_a_slow_call_after_many_quick_ones_keeps_nothing_waiting(start_player: Start) -> None:
    host = await activated(start_player)
    for _ in range(3):
        for number in range(50):
            assert (await host.answer(host.call("echo", value=number)))["body"]["outputs"] == {
                "value": number
            }
        slow = host.call("spin")
        assert await host.ask("ping", {}) == {}
        quick = host.call("echo", value="beside")
        assert (await host.answer(quick))["body"]["outputs"] == {"value": "beside"}
        host.send("event", "cancel", {}, re=slow)
        assert (await host.answer(slow))["re"] == slow


async def test_a_call_that_asks_after_many_quick_ones_is_answered(start_player: Start) -> None:
    host = await activated(start_player)
    for number in range(50):
        await host.answer(host.call("echo", value=number))
    calls = [host.call("wait") for _ in range(30)]
    answered: set[bytes] = set()
    asked: set[bytes] = set()
    while len(answered) < len(calls):
        message = await host.read()
        if message["kind"] == "request":
            assert message["method"] == "fs.read"
            asked.add(message["re"])
            host.send("response", "fs.read", {"content": b"x"}, re=message["id"])
        else:
            answered.add(message["re"])
    assert answered == asked == set(calls)


async def test_calls_of_every_kind_at_once_are_all_answered(start_player: Start) -> None:
    host = await activated(start_player)
    kinds = random.Random(7)
    open_calls: dict[bytes, str] = {}
    for _ in range(400):
        kind = kinds.choices(["echo", "wait", "spin"], [20, 3, 1])[0]
        arguments = {"value": 1} if kind == "echo" else {}
        open_calls[host.call(kind, **arguments)] = kind
    for call, kind in open_calls.items():
        if kind == "spin":
            host.send("event", "cancel", {}, re=call)
    answered: set[bytes] = set()
    while len(answered) < len(open_calls):
        message = await host.read()
        if message["kind"] == "request":
            host.send("response", "fs.read", {"content": b"x"}, re=message["id"])
        else:
            assert message["re"] not in answered
            answered.add(message["re"])
    assert await host.ask("ping", {}) == {}


async def test_events_reach_the_call_that_shows_the_tree(start_player: Start) -> None:
    host = await activated(start_player)
    first, second = host.call("panel"), host.call("panel")
    shown = [await host.read(), await host.read()]
    assert {tree["re"] for tree in shown} == {first, second}
    assert shown[0]["body"]["tree"]["props"] == {"label": "pressed 0 times"}
    host.send("event", "ui.event", {"key": "more", "name": "press", "value": None}, re=second)
    again = await host.read()
    assert (again["re"], again["body"]["tree"]["props"]["label"]) == (second, "pressed 1 times")
    # One that belongs to no open call finds nobody.
    host.send("event", "ui.event", {"key": "more", "name": "press", "value": None})
    host.send("event", "ui.event", {"key": "done", "name": "press", "value": None}, re=second)
    assert (await host.answer(second))["body"]["outputs"] == {"pressed": ["more"]}
    host.send("event", "cancel", {}, re=first)
    assert (await host.answer(first))["body"]["code"] == "cancelled"


async def test_pause_holds_calls_and_resume_lets_them_go(start_player: Start) -> None:
    host = await activated(start_player)
    assert await host.ask("pause", {}) == {}
    call = host.call("echo", value=1)
    assert await host.ask("ping", {}) == {}
    resume = host.send("request", "resume", {})
    assert {(await host.read())["re"], (await host.read())["re"]} == {resume, call}


async def test_shutdown_and_a_closed_connection_end_the_process(start_player: Start) -> None:
    host = await activated(start_player)
    host.call("spin")
    assert await host.ask("shutdown", {}) == {}
    assert await asyncio.wait_for(host.process.wait(), 20) == 0
    host = await activated(start_player)
    host.call("spin")
    assert await host.end() == 0


async def test_an_entry_that_cannot_be_loaded_says_so(start_player: Start) -> None:
    host = await start_player("import player_of_nobody")
    body = await host.ask("activate", {"configuration": {}})
    assert body["code"] == "failed"
    assert body["message"] == "ModuleNotFoundError: No module named 'player_of_nobody'"
    assert "player.py" in body["traceback"]


async def test_a_refused_hello_is_written_to_standard_error(start_player: Start) -> None:
    host = await start_player(SAMPLE, welcome=False)
    host.send("error", "hello", {"code": "protocol", "message": "not you"}, re=host.hello["id"])
    _, said = await asyncio.wait_for(host.process.communicate(), 20)
    assert host.process.returncode == 1
    assert said.decode() == "the session with the host failed: not you\n"


async def test_the_manifest_names_the_extension_and_its_outputs(start_player: Start) -> None:
    manifest = (
        '[extension]\nname = "sample"\nversion = "2.0.0"\n'
        '[[functions]]\nname = "shape"\noutputs = { record = "record" }\n'
    )
    source = "from symphony.sdk import player\n@player.function\ndef shape(ctx):\n    return {'a': 1}\n"
    host = await start_player(source, manifest=manifest)
    assert (host.hello["body"]["extension"], host.hello["body"]["version"]) == ("local/sample", "2.0.0")
    answer = await host.answer(host.call("shape"))
    assert answer["body"]["outputs"] == {"record": {"a": 1}}, "serve() at the end may be left out"


async def test_the_host_may_tell_the_outputs(start_player: Start) -> None:
    """Then the manifest is not read, and what is returned is held to the types that were told."""
    source = "from symphony.sdk import player\n@player.function\ndef rows(ctx, items):\n    return items\n"
    host = await start_player(source)
    await host.ask("activate", {"configuration": {}})
    body = {"function": "rows", "params": {}, "context": {}, "outputs": {"found": "list<record>"}}
    answer = await host.ask("call", {**body, "inputs": {"items": [{"a": 1}]}})
    assert answer["outputs"] == {"found": [{"a": 1}]}
    refused = await host.ask("call", {**body, "inputs": {"items": 5}})
    assert refused["code"] == "bad_output"
    assert refused["message"] == (
        "rows: output found is declared list<record>, so it must be a list, but it is an integer"
    )


async def test_nothing_heavy_is_imported(start_player: Start) -> None:
    host = await activated(start_player)
    names = (await host.answer(host.call("modules")))["body"]["outputs"]["names"]
    heavy = {
        "asyncio",
        "dataclasses",
        "inspect",
        "json",
        "re",
        "subprocess",
        "tomllib",
        "traceback",
        "typing",
    }
    assert not heavy & set(names)
    assert not [
        name
        for name in names
        if name.startswith("symphony") and not name.startswith("symphony.sdk") and name != "symphony"
    ]
