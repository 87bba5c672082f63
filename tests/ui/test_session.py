"""One connection: patches in order, resets, methods, errors, and the coalesced states of runs."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from symphony.ui import Pages, PageSession
from symphony.ui.live import Feed
from symphony.ui.methods import METHODS
from symphony.ui.views import shell
from tests.ui.fake_host import FakeHost


class Client:
    """The page's side of a connection. `tree` is kept by applying each patch, as the page does."""

    def __init__(self, pages: Pages) -> None:
        self.received: list[dict[str, Any]] = []
        self.session = PageSession(pages, self._take)
        self._news = asyncio.Event()
        self._next = 100

    async def _take(self, text: str) -> None:
        self.received.append(json.loads(text))
        self._news.set()

    async def until(self, wanted: Any) -> dict[str, Any]:
        """The first message that `wanted` says yes to, come or to come."""
        async with asyncio.timeout(10):
            while True:
                for message in self.received:
                    if wanted(message):
                        return message
                self._news.clear()
                await self._news.wait()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a request."""
        self._next += 1
        request = self._next
        await self.session.handle(
            json.dumps({"jsonrpc": "2.0", "id": request, "method": method, "params": params})
        )
        return await self.until(lambda message: message.get("id") == request)

    def patches(self) -> list[dict[str, Any]]:
        return [m["params"] for m in self.received if m.get("method") == "ui.patch"]


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    host = FakeHost()
    yield host
    await host.close()


@pytest.fixture
async def pages(host: FakeHost) -> AsyncIterator[Pages]:
    pages = Pages(host)
    yield pages
    await pages.close()


@pytest.fixture
async def client(pages: Pages) -> AsyncIterator[Client]:
    client = Client(pages)
    await client.session.start({"page": "one"})
    await client.session.page.idle()
    yield client
    await client.session.close()


async def test_the_first_message_is_the_whole_tree(pages: Pages) -> None:
    client = Client(pages)
    await client.session.start({})
    (first,) = client.patches()
    assert (first["seq"], first["reset"]) == (1, True)
    assert first["patch"][0]["value"]["type"] == "Shell"
    await client.session.close()


async def test_patches_are_numbered_without_gaps_and_small(client: Client) -> None:
    for view in ("market", "settings", "compose", "board"):
        await client.call("ui.event", key="shell", name="navigate", value=view, seq=1)
        await client.session.page.idle()
    await client.call("ui.event", key="shell", name="theme", value="dark", seq=2)

    def themed(message: dict[str, Any]) -> bool:
        return any(op["path"] == "/props/theme" for op in message.get("params", {}).get("patch", ()))

    small = await client.until(themed)
    assert len(json.dumps(small["params"]["patch"])) < 200
    patches = client.patches()
    assert [patch["seq"] for patch in patches] == list(range(1, len(patches) + 1))


async def test_a_reset_brings_the_whole_tree_and_goes_on_counting(client: Client) -> None:
    before = client.patches()[-1]["seq"]
    answer = await client.call("ui.reset")
    last = client.patches()[-1]
    assert (last["seq"], last["reset"]) == (before + 1, True)
    assert answer["result"] == {"seq": last["seq"]}
    assert last["patch"][0]["path"] == ""


async def test_a_new_connection_of_the_same_page_finds_its_state(client: Client, pages: Pages) -> None:
    await client.call("ui.event", key="shell", name="navigate", value="market", seq=1)
    await client.session.page.idle()
    await client.session.close()
    again = Client(pages)
    await again.session.start({"page": "one"})
    assert again.patches()[0]["patch"][0]["value"]["props"]["view"] == "market"
    other = Client(pages)
    await other.session.start({"page": "two"})
    assert other.patches()[0]["patch"][0]["value"]["props"]["view"] == "compose"
    await again.session.close()
    await other.session.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ('{"jsonrpc":"2.0","id":1}', -32600),
        ('{"jsonrpc":"2.0","id":1,"method":"getTaskLogs","params":[1]}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"nothing"}', -32601),
        ('{"jsonrpc":"2.0","id":1,"method":"getTaskLogs"}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"getArtifacts","params":{"limit":true}}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"ui.event","params":{"key":"x","name":"y"}}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"subscribeToWorkflow","params":{"run":"none"}}', -32000),
    ],
)
async def test_wrong_messages_get_an_error_and_harm_nothing(client: Client, text: str, code: int) -> None:
    await client.session.handle(text)
    answer = await client.until(lambda message: "error" in message)
    assert answer["error"]["code"] == code
    assert (await client.call("getAvailableNodes"))["result"]["nodes"]


async def test_the_methods_of_the_contract_are_answered(client: Client) -> None:
    named = {
        "submitPrompt",
        "executeMelody",
        "saveMelody",
        "publishMelody",
        "validateMelody",
        "getAvailableNodes",
    }
    named |= {"getArtifacts", "installExtension", "getTaskLogs", "getMetrics"}
    assert named <= set(METHODS)
    draft = (await client.call("submitPrompt", prompt="hotspots"))["result"]["draft"]
    run = (await client.call("executeMelody", melody=draft))["result"]["run"]
    assert (await client.call("subscribeToWorkflow", run=run))["result"]["run"]["id"] == run
    assert (await client.call("getTaskLogs", run=run))["result"]["logs"]
    assert "p99" in (await client.call("getMetrics", run=run))["result"]
    assert (await client.call("saveMelody", melody=draft, name="a"))["result"]["name"] == "a"
    refused = await client.call("installExtension", name="acme/changelog")
    assert refused["error"]["data"]["code"] == "consent_needed"


async def test_content_comes_in_pieces(client: Client, host: FakeHost) -> None:
    content = bytes(range(256)) * 8000
    artifact = host.keep("big.bin", "application/octet-stream", content)
    got = b""
    while len(got) < len(content):
        answer = await client.call("getArtifactContent", id=artifact, offset=len(got), limit=1 << 20)
        got += base64.b64decode(answer["result"]["content"])
    assert got == content


async def test_a_saved_melody_goes_out_and_comes_in_again(client: Client, host: FakeHost) -> None:
    file = (await client.call("exportMelody", melody="m-1"))["result"]
    assert file["name"] == "review-risk.yaml"
    await host.delete_melody("m-1")
    await client.call("ui.event", key="store.import", name="pick", value=file, seq=1)
    await client.session.page.idle()
    assert [m["name"] for m in host.melodies.values()] == ["review-risk"]


async def test_a_run_is_followed_beside_the_tree(client: Client, host: FakeHost) -> None:
    host.gate = asyncio.Event()
    draft = (await client.call("submitPrompt", prompt="hotspots"))["result"]["draft"]
    run = (await client.call("executeMelody", melody=draft))["result"]["run"]
    await client.call("subscribeToWorkflow", run=run)
    host.gate.set()
    done = await client.until(lambda m: m.get("method") == "workflowComplete")
    assert done["params"]["run"]["status"] == "succeeded"
    states = {
        node["id"]: node["status"]
        for m in client.received
        if m.get("method") == "taskProgress"
        for node in m["params"]["nodes"]
    }
    assert set(states.values()) == {"succeeded"}
    assert client.received.index(done) > max(
        index for index, m in enumerate(client.received) if m.get("method") == "taskProgress"
    )


def test_many_changes_of_a_node_travel_as_one() -> None:
    feed = Feed()
    feed.runs.add("r")
    for number in range(500):
        feed.push({"event": "taskProgress", "run": "r", "node": {"id": "a", "progress": number}})
        feed.push({"event": "taskProgress", "run": "other", "node": {"id": "a"}})
    feed.push({"event": "taskError", "run": "r", "node": "a", "error": {}})
    assert feed.drain() == [
        ("taskProgress", {"run": "r", "nodes": [{"id": "a", "progress": 499}]}),
        ("taskError", {"run": "r", "node": "a", "error": {}}),
    ]
    assert feed.drain() == []


async def test_what_cannot_be_drawn_does_not_end_the_page(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pages = Pages(host)
    client = Client(pages)
    await client.session.start()
    page = client.session.page
    await page.idle()
    whole = shell.render
    monkeypatch.setattr(shell, "render", lambda state: whole(state) if state.view != "store" else 1 / 0)
    page.state.view = "store"
    page.changed()
    while "the page could not be drawn" not in caplog.text:
        await asyncio.sleep(0)
    page.state.view = "settings"
    page.changed()
    await client.until(lambda message: "view.settings" in json.dumps(message))
    await client.session.close()
    await pages.close()
