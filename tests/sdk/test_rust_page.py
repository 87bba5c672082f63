"""The Rust SDK's helpers on a real host: a page of a server, a model, and a tree with its events."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.errors import SymphonyError
from symphony.stage.manifest import load_manifest
from symphony.stage.roster import CastMember
from tests.hosting import hosted
from tests.sdk.test_rust import built

MANIFEST = """\
[extension]
name = "tests/desk"
version = "1.0.0"
type = "motif"
runtime = "process"
entry = "bin/desk"

[[functions]]
name = "fetch"
description = "Reads a page"
outputs = { status = "number", text = "text", pieces = "number" }
params = { url = { type = "string", required = true } }

[[functions]]
name = "answer"
description = "Asks a model"
outputs = { answer = "text", streamed = "text", likeness = "number" }
params = { text = { type = "string", required = true } }

[[functions]]
name = "choose"
description = "Shows buttons"

[[components]]
title = "Choose"
function = "choose"

[capabilities]
network = ["127.0.0.1:PORT"]
models = ["m", "all-minilm-l6-v2"]
"""
SAID = "Seven days make a week."


class Server:
    """A page, and a model that says one sentence in pieces."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"a page")

            def do_POST(self) -> None:
                server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for word in SAID.split(" "):
                    space = "" if SAID.startswith(word) else " "
                    piece = {"choices": [{"delta": {"content": space + word}}]}
                    self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


async def shown(host: Host, component: str, text: str) -> None:
    """Waits until the component shows this text."""
    events = host.watch()
    async for _ in events:
        state = await host.component(component)
        assert state["problem"] is None, state
        if text in json.dumps(state["tree"]):
            await events.aclose()  # type: ignore[attr-defined]
            return


async def test_a_page_a_model_and_buttons_from_rust(home: Path, tmp_path: Path, server: Server) -> None:
    folder = tmp_path / "desk"
    (folder / "bin").mkdir(parents=True)
    (folder / "Symphony.toml").write_text(MANIFEST.replace("PORT", str(server.port)))
    shutil.copy(built("desk"), folder / "bin" / "desk")
    settings = f'model.endpoint = "http://127.0.0.1:{server.port}/v1"\nmodel.name = "m"\n'
    async with asyncio.timeout(120), hosted(home, settings) as host:
        manifest = load_manifest(folder)
        granted = tuple(manifest.grants())
        host.services.roster.add(CastMember("tests/desk", "1.0.0", folder, manifest, granted))
        key = host.services.roster.key("tests/desk", tmp_path)

        async def call(function: str, **params: Any) -> dict[str, Any]:
            body = {"function": function, "params": params, "inputs": {}, "context": {}}
            return dict(await host.services.engine.call(key, body, 60.0))

        fetched = await call("fetch", url=f"http://127.0.0.1:{server.port}/")
        assert (fetched["status"], fetched["text"]) == (200, "a page") and fetched["pieces"] >= 1
        with pytest.raises(SymphonyError) as refused:
            await call("fetch", url=f"http://127.0.0.1:{server.port + 1}/")
        assert refused.value.code == "permission_denied"

        answered = await call("answer", text="How long is a week?")
        assert answered["answer"] == answered["streamed"] == SAID and 0.2 < answered["likeness"] < 1
        (asked,) = server.asked
        assert [message["role"] for message in asked["messages"]] == ["system", "user"]
        assert asked["temperature"] == 0

        component = (await host.open_component("tests/desk#choose"))["id"]
        await shown(host, component, "Which one?")
        await host.component_event(component, "two", "press", None)
        await shown(host, component, "two was pressed")
        await host.close_component(component)
