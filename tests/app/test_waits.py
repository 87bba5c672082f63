"""What ready nodes wait for is told: model slots in a real run, and looks that are gathered."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from symphony.app.waits import Waits
from symphony.engine.record import RunRecord
from symphony.types.runs import NodeRun, RunInfo
from tests.conftest import Done
from tests.hosting import hosted

Json = dict[str, Any]
ANSWER = json.dumps({"choices": [{"message": {"content": "An answer."}}], "model": "m"}).encode()


class Endpoint:
    """An OpenAI-compatible server that answers when it is let go; `most` were asked at a time."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = self.most = 0
        lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with lock:
                    endpoint.asked += 1
                    endpoint.most = max(endpoint.most, endpoint.asked)
                self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.go.wait(60)
                with lock:
                    endpoint.asked -= 1
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A model that thinks until it is let go."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.go.set()
    endpoint.server.shutdown()
    endpoint.server.server_close()


def asks(name: str) -> Json:
    return {"id": name, "kind": "instrument", "player": "symphony/model#complete", "params": {"prompt": name}}


async def test_nodes_that_ask_a_model_wait_for_their_slot_and_say_so(
    home: Path, endpoint: Endpoint, symphony: Callable[..., Done]
) -> None:
    home.mkdir()
    lines = ["pit.arbitration.model_slots = 1", "pit.arbitration.cpu = 8", "conductor.enabled = false"]
    lines += [f'model.endpoint = "{endpoint.address}"', 'model.name = "m"']
    (home / "config.toml").write_text("\n".join(lines))
    names = ["first", "second", "third"]
    melody = {"format": "symphony.melody/1", "name": "ask", "nodes": [asks(n) for n in names], "edges": []}
    async with hosted(home) as host:
        events = host.watch()
        assert (await anext(events))["event"] == "watching"
        run = (await host.execute_melody(melody))["run"]
        waiting: dict[str, str] = {}
        async with asyncio.timeout(60):
            while len(waiting) < 2:
                event = await anext(events)
                if event["event"] == "taskProgress" and event["node"]["waits_for"]:
                    waiting[event["node"]["id"]] = event["node"]["waits_for"]
        (holder,) = set(names) - set(waiting)
        assert set(waiting.values()) == {f"waits for 1 model slot held by {holder}"}
        shown = {node["id"]: node for node in (await host.get_run(run))["run"]["nodes"]}
        for name, words in waiting.items():
            assert (shown[name]["status"], shown[name]["waits_for"]) == ("ready", words)
        health = {one.name: one.detail for one in await host.services.health()}
        assert "waits for 1 model slot held by" in health["arbitration engine"]
        for command in (("runs", "show", run), ("doctor",)):
            said = await asyncio.to_thread(symphony, *command, COLUMNS="400")
            assert f"waits for 1 model slot held by {holder}" in said.out, (command, said)
        endpoint.go.set()
        async with asyncio.timeout(60):
            record = await host.services.engine.ended(run)
        assert record.info.status == "succeeded" and endpoint.most == 1
        assert {node.waits_for for node in record.info.nodes} == {""}


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


def progress(node: NodeRun) -> Json:
    return {"event": "taskProgress", "run": "r", "node": node.to_json()}


async def test_many_changes_are_one_look_and_nothing_new_is_not_told() -> None:
    nodes = [NodeRun(f"n{i}", "symphony/x#y", status="ready") for i in range(50)]
    outer = NodeRun("outer", "symphony/control#map", status="running")
    record = RunRecord(RunInfo("r", "r", "running", 0.0, [*nodes, outer]), {"edges": []})
    looks: list[int] = []
    told: list[Json] = []

    def explain(limit: int) -> list[Json]:
        looks.append(limit)
        inner = {"owner": "r/outer/0", "label": "step", "text": "waits for 1 core held by n0"}
        return [{"owner": "r", "label": "n7", "text": "waits for its turn"}, inner]

    waits = Waits(explain, lambda run: record, told.append)
    for node in [*nodes, outer]:
        waits.follow(progress(node))
    assert not looks
    await until(lambda: bool(told))
    assert len(looks) == 1
    said = {event["node"]["id"]: event["node"]["waits_for"] for event in told}
    assert said == {"n7": "waits for its turn", "outer": "step waits for 1 core held by n0"}
    for event in list(told):
        waits.follow(event)
    await until(lambda: len(looks) == 2)
    assert len(told) == 2
