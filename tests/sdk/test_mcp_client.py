"""The SDK's client of MCP servers, against a server in a process of its own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk import Cancelled, PlayerFailure
from symphony.sdk.mcp.client import Client

SERVER = Path(__file__).parents[1] / "mcp" / "servers" / "tiny" / "server.py"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    started = Client([sys.executable, str(SERVER), str(tmp_path)], cwd=str(tmp_path), env=os.environ)
    yield started
    started.close()


def use(client: Client, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
    answer = client.request("tools/call", {"name": tool, "arguments": arguments or {}}, **options)
    return str(answer["content"][0]["text"])


def test_lines_that_are_no_message_and_pages_of_tools(client: Client) -> None:
    assert client.server["name"] == "tiny"
    assert [tool["name"] for tool in client.tools()] == ["say", "keys-of", "wait", "stopped", "die", "fail"]
    with pytest.raises(PlayerFailure, match="unknown"):
        client.request("prompts/list", {})


def test_progress_and_logs_arrive_and_a_cancellation_reaches_the_server(client: Client) -> None:
    told: list[tuple[str, Any]] = []
    stop = threading.Event()

    def notice(method: str, params: dict[str, Any]) -> None:
        told.append((method, params.get("progress", params.get("data"))))
        if method == "notifications/message":
            stop.set()

    with pytest.raises(Cancelled):
        use(client, "wait", is_cancelled=stop.is_set, notice=notice)
    assert told == [("notifications/progress", 1), ("notifications/message", {"waits": True})]
    assert use(client, "stopped") == "1"


def test_calls_run_beside_each_other(client: Client) -> None:
    stop = threading.Event()
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            use(client, "wait", is_cancelled=stop.is_set)
        except Cancelled as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert use(client, "say", {"what": "größe"}) == "größe"
    stop.set()
    waiting.join(30)
    assert len(ended) == 1


def test_a_server_that_ends_is_said_to_have_ended(client: Client, tmp_path: Path) -> None:
    with pytest.raises(PlayerFailure, match="the server ended") as ended:
        use(client, "die")
    assert ended.value.code == "unavailable" and client.is_over
    with pytest.raises(PlayerFailure, match="cannot be started") as missing:
        Client(["/nowhere/server"], cwd=str(tmp_path), env={})
    assert missing.value.code == "unavailable"
