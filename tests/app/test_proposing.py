"""A language model may propose a Melody where the Conductor finds none: only if allowed, and only a valid one."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from tests.hosting import hosted

Json = dict[str, Any]

FLIGHT = "book a flight to Oslo"
PLAN: Json = {
    "nodes": [
        {"id": "todos", "player": "symphony/code#todos", "params": {"path": "src"}},
        {"id": "table", "player": "symphony/report#table"},
    ],
    "edges": [{"from": "todos.todos", "to": "table.items"}],
}


class Model:
    """A server that speaks the API of OpenAI-compatible endpoints; it streams `text` and keeps what it was asked."""

    def __init__(self) -> None:
        self.text = json.dumps(PLAN)
        self.status = 200
        self.asked: list[Json] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(model.status)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for start in range(0, len(model.text), 50):
                    piece = {"choices": [{"delta": {"content": model.text[start : start + 50]}}]}
                    self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.server.shutdown()
    model.server.server_close()


@pytest.fixture
async def host(home: Path, tmp_path: Path, model: Model) -> AsyncIterator[Host]:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "app.py").write_text("x = 1  # TODO: two\n")
    lines = ["conductor.language_model = true", f'model.endpoint = "{model.address}"', 'model.name = "m"']
    async with hosted(home, "\n".join(lines), project=project) as host:
        yield host


async def test_a_valid_plan_is_taken_where_the_conductor_has_none(host: Host, model: Model) -> None:
    answer = await host.submit_prompt(FLIGHT)
    assert answer["possible"] and answer["draft"]
    assert [node["player"] for node in answer["melody"]["nodes"]] == [
        "symphony/code#todos",
        "symphony/report#table",
    ]
    assert all("language model m" in line["why"] for line in answer["explanations"])
    assert (await host.validate_melody(answer["melody"]))["valid"]
    (asked,) = model.asked
    assert asked["temperature"] == 0.0 and FLIGHT in asked["messages"][1]["content"]
    assert (
        "symphony/code#todos(project: project) -> (todos: list<code/todo>)" in asked["messages"][0]["content"]
    )
    assert "src/app.py" in asked["messages"][1]["content"]


@pytest.mark.parametrize(
    "text",
    [
        "I would rather not.",
        '{"nodes": []}',
        json.dumps({**PLAN, "nodes": [{"id": "x", "player": "acme/evil#run"}]}),
        json.dumps({**PLAN, "nodes": [{**PLAN["nodes"][0], "params": {"shell": "rm"}}, PLAN["nodes"][1]]}),
        json.dumps({**PLAN, "edges": []}),
        json.dumps({**PLAN, "edges": [{"from": "table.table", "to": "todos.project"}, *PLAN["edges"]]}),
        json.dumps({"nodes": [{"id": f"n{i}", "player": "symphony/code#todos"} for i in range(25)]}),
        "[" * 100_000,
    ],
)
async def test_what_is_not_valid_changes_nothing(host: Host, model: Model, text: str) -> None:
    model.text = text
    answer = await host.submit_prompt(FLIGHT)
    assert model.asked and not answer["possible"] and answer["missing"]


async def test_a_plan_in_a_fence_is_read(host: Host, model: Model) -> None:
    model.text = f"Here it is:\n```json\n{json.dumps(PLAN)}\n```\nGood luck!"
    assert (await host.submit_prompt(FLIGHT))["possible"]


async def test_an_endpoint_that_fails_changes_nothing(host: Host, model: Model) -> None:
    model.status = 500
    assert not (await host.submit_prompt(FLIGHT))["possible"]
    model.server.shutdown()
    model.server.server_close()
    assert not (await host.submit_prompt(FLIGHT))["possible"]


async def test_it_is_not_asked_where_the_conductor_is_sure_or_the_user_does_not_allow_it(
    host: Host, model: Model
) -> None:
    assert (await host.submit_prompt("list all open TODOs"))["possible"]
    assert model.asked == []
    host.services.configuration.set("conductor.language_model", False)
    assert not (await host.submit_prompt(FLIGHT))["possible"]
    assert model.asked == []
