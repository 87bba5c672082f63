"""What the helpers of the SDK ask the host, and what they make of its answers: the Rust SDK passes the same vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk.context import Call, Context
from symphony.sdk.ui import h
from tests.stage.test_bus_vectors import body_of

PATH = Path(__file__).resolve().parents[1] / "stage" / "asked.json"
VECTORS = [body_of(vector) for vector in json.loads(PATH.read_text("utf-8"))]
Stream = Callable[[Any], None]


class Host:
    """Answers one request as the vector says."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.vector = vector
        self.heard: list[tuple[str, Any]] = []

    def request(
        self, call: Call | None, method: str, body: dict[str, Any], on_piece: Stream | None = None
    ) -> dict[str, Any]:
        self.heard.append((method, body))
        for piece in self.vector["pieces"]:
            assert on_piece is not None
            on_piece(piece)
        answer: dict[str, Any] = self.vector["answer"]
        return answer

    def notify(self, call: Call | None, kind: str, method: str, body: dict[str, Any]) -> None:
        assert kind == "event"
        self.heard.append((method, body))

    def next_event(self, call: Call | None) -> dict[str, Any]:
        event: dict[str, Any] = self.vector["answer"]
        return event


def fields(answer: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in names}


def use(ctx: Context, name: str, stream: Stream) -> Any:
    """The helper that the vector names, used as its request says."""
    if name == "http":
        headers = {"accept": "text/plain"}
        answer = ctx.http("POST", "https://api.example.com/v1", headers=headers, body="{}", timeout=2.5)
        return fields(answer, "status", "headers", "body", "text")
    if name == "http streamed":
        answer = ctx.http("GET", "https://api.example.com/events", stream=stream)
        return fields(answer, "status", "headers", "body", "text")
    if name == "complete":
        said = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Grüße?"}]
        return fields(
            ctx.complete(said, model="gpt-4o", max_tokens=64, temperature=0.5), "text", "model", "usage"
        )
    if name == "complete streamed":
        return fields(ctx.complete("Count", stream=stream), "text", "model", "usage")
    if name == "embed":
        return ctx.embed(["one", "two"])
    if name == "artifact":
        return fields(ctx.artifact("sha256:00"), "name", "type", "content")
    assert name == "ui"
    ctx.ui(h("Stack", "Which one?", h("Button", key="go", label="Go on"), gap=2))
    return ctx.event()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_a_helper_asks_and_answers_as_the_vector_says(vector: dict[str, Any]) -> None:
    host = Host(vector)
    streamed: list[Any] = []
    given = use(Context(host, None, {}, {}), vector["name"], streamed.append)
    assert host.heard == [(vector["method"], vector["asked"])]
    assert (given, streamed) == (vector["gives"], vector["streamed"])
