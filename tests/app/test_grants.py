"""Grants, budgets and crashes through a real host with real Players: asked for, taken back, spent, switched off."""

from __future__ import annotations

import asyncio
import http.server
import json
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from symphony.app.host import Host
from symphony.errors import BadInput, NotFound, PermissionDenied, SymphonyError
from symphony.kit.embed import embed
from symphony.telemetry import read_logs
from tests.hosting import hosted

MANIFEST = """
[extension]
name = "test/asker"
version = "{version}"
type = "operator"
[[functions]]
name = "fetch"
description = "Asks for an address"
outputs = {{ text = "text/plain" }}
params = {{ url = {{ type = "string" }}, stream = {{ type = "boolean", default = false }} }}
[[functions]]
name = "talk"
description = "Says something over a WebSocket"
outputs = {{ text = "text/plain" }}
params = {{ url = {{ type = "string" }} }}
[[functions]]
name = "crash"
description = "Ends"
outputs = {{ text = "text/plain" }}
[[functions]]
name = "greet"
description = "Says hello"
outputs = {{ text = "text/plain" }}
[capabilities]
network = [{network}]
"""

PLAYER = """
import os
from symphony.sdk import player

@player.function
def fetch(ctx, url="", stream=False):
    if not stream:
        return ctx.http("GET", url).body.decode()
    pieces = []
    def take(piece):
        pieces.append(piece.decode())
        ctx.log("took " + pieces[-1])
    ctx.http("GET", url, stream=take)
    return "|".join(pieces)

@player.function
def talk(ctx, url=""):
    heard = []
    def hear(socket, message):
        heard.append(repr(message))
        socket.close() if len(heard) == 2 else socket.send(b"bytes")
    code, _ = ctx.websocket(url, hear, on_open=lambda socket: socket.send("text"))
    return f"{heard} {code}"

@player.function
def crash(ctx):
    os._exit(3)

@player.function
def greet(ctx):
    return "hello"

player.serve()
"""


class Site(http.server.BaseHTTPRequestHandler):
    """Says hello; under /slow it says one piece and then waits for its reader to go."""

    begun = threading.Event()
    gone = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
        if self.path == "/slow":
            self.wfile.flush()
            self.begun.set()
            try:
                while True:
                    self.wfile.write(b".")
                    self.gone.wait(0.01)
            except OSError:
                self.gone.set()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def site() -> Iterator[int]:
    Site.begun.clear()
    Site.gone.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def source(place: Path, version: str, *network: str) -> Path:
    folder = place / version
    folder.mkdir(parents=True)
    hosts = ", ".join(f'"{host}"' for host in network)
    (folder / "Symphony.toml").write_text(MANIFEST.format(version=version, network=hosts))
    (folder / "player.py").write_text(PLAYER)
    return folder


@pytest.fixture
async def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: int) -> AsyncIterator[Any]:
    """Starts a host whose registry offers the given versions."""
    (tmp_path / "bundled").mkdir()
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(tmp_path / "bundled"))

    async def start(settings: str = "", **versions: tuple[str, ...]) -> Host:
        sources = [source(tmp_path / "sources", v.replace("_", ".")[1:], *n) for v, n in versions.items()]
        embed(tmp_path / "registry", sources)
        registry = f'[registry]\nfolder = "{tmp_path / "registry"}"\n[conductor]\nenabled = false\n'
        return await hosts.enter_async_context(hosted(tmp_path / "home", registry + settings))

    async with AsyncExitStack() as hosts:
        yield start


async def agreed_to(host: Host) -> list[str]:
    """What the host asks for, as a user would agree to it."""
    with pytest.raises(PermissionDenied) as asked:
        await host.install_extension("test/asker")
    assert asked.value.code == "consent_needed"
    return [str(finding["grant"]) for finding in asked.value.findings if "grant" in finding]


async def test_an_update_that_wants_more_is_asked_for_and_refused_until_then(started: Any, site: int) -> None:
    host = await started(v1_0_0=())
    assert await agreed_to(host) == []
    await host.install_extension("test/asker", [])
    url = f"http://127.0.0.1:{site}/"
    with pytest.raises(SymphonyError, match="may not connect"):
        await host.call_function("test/asker#fetch", {"url": url})
    await host.stop()

    host = await started(v1_1_0=(f"127.0.0.1:{site}",))
    with pytest.raises(PermissionDenied) as asked:
        await host.update_extension("test/asker")
    assert asked.value.findings[0]["words"] == f"Connect to 127.0.0.1 on port {site}"
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert (row["version"], row["update"], row["permissions"]) == ("1.0.0", "1.1.0", [])
    with pytest.raises(SymphonyError, match="may not connect"):
        await host.call_function("test/asker#fetch", {"url": url})
    await host.update_extension("test/asker", [asked.value.findings[0]["grant"]])
    answer = await host.call_function("test/asker#fetch", {"url": url})
    assert "hello" in str(answer["outputs"])


async def test_a_permission_taken_back_ends_what_runs_under_it(started: Any, site: int) -> None:
    grant = f"network:127.0.0.1:{site}"
    host = await started(v1_0_0=(f"127.0.0.1:{site}",))
    await host.install_extension("test/asker", await agreed_to(host))
    url = f"http://127.0.0.1:{site}/slow"
    call = asyncio.create_task(host.call_function("test/asker#fetch", {"url": url, "stream": True}))
    assert await asyncio.to_thread(Site.begun.wait, 60)
    assert (await host.revoke_permission("test/asker", grant))["granted"] == []
    with pytest.raises(SymphonyError):
        await call
    assert await asyncio.to_thread(Site.gone.wait, 60)  # the server sees that nobody reads any more
    with pytest.raises(SymphonyError, match="may not connect"):
        await host.call_function("test/asker#fetch", {"url": url})
    with pytest.raises(NotFound):
        await host.revoke_permission("test/asker", grant)
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert row["problem"] is None and row["enabled"]  # an end by the host is no crash


async def test_a_stream_and_a_websocket_reach_the_player_piece_by_piece(started: Any) -> None:
    told = asyncio.Event()

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
        await writer.drain()
        await told.wait()  # the second is told once the Player has said that it has the first
        writer.write(b"data: two\n\n")
        await writer.drain()
        writer.close()

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with (
        await asyncio.start_server(tell, "127.0.0.1", 0) as events,
        serve(echo, "127.0.0.1", 0) as talks,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (events, talks)]
        host = await started(v1_0_0=tuple(f"127.0.0.1:{port}" for port in ports))
        await host.install_extension("test/asker", await agreed_to(host))
        url = f"http://127.0.0.1:{ports[0]}/"
        call = asyncio.create_task(host.call_function("test/asker#fetch", {"url": url, "stream": True}))

        def has_first() -> bool:
            host.services.pit.runtime.flush_log()
            return any("took data: one" in str(line) for line in read_logs(host.services.home, limit=50))

        async with asyncio.timeout(60):
            while not await asyncio.to_thread(has_first):
                await asyncio.sleep(0.02)
        told.set()
        assert "data: one\n\n|data: two\n\n" in str((await call)["outputs"]["text"])
        said = await host.call_function("test/asker#talk", {"url": f"ws://127.0.0.1:{ports[1]}/"})
        assert said["outputs"]["text"] == "[\"'text'\", \"b'bytes'\"] 1000"


async def test_three_crashes_switch_an_extension_off_with_a_report(started: Any) -> None:
    host = await started(v1_0_0=())
    await host.install_extension("test/asker", [])
    reports = host.services.home.path / "crashes.json"
    for count in (1, 2):
        with pytest.raises(SymphonyError):
            await host.call_function("test/asker#crash", {})
        async with asyncio.timeout(60):
            while (
                not reports.exists() or len(json.loads(reports.read_bytes())["recent"]["test/asker"]) < count
            ):
                await asyncio.sleep(0.02)
    await host.stop()
    host = await started(v1_0_1=())  # a command is a host of its own; crashes count across them
    said: list[str] = []

    async def listen() -> None:
        async for event in host.watch():
            if event["event"] == "notice":
                said.append(event["message"])

    listener = asyncio.create_task(listen())
    with pytest.raises(SymphonyError):
        await host.call_function("test/asker#crash", {})

    async def is_off() -> bool:
        (row,) = (await host.list_extensions("asker"))["extensions"]
        return not row["enabled"]

    async with asyncio.timeout(60):
        while not (await is_off() and said):
            await asyncio.sleep(0.02)
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert "crashed 3 times" in row["problem"]["message"] and len(row["problem"]["crashes"]) == 3
    assert "crashed 3 times" in said[0] and "ext enable" in said[0]
    with pytest.raises(NotFound, match="not enabled"):
        await host.call_function("test/asker#greet", {})
    await host.enable_extension("test/asker", True)
    assert "hello" in str((await host.call_function("test/asker#greet", {}))["outputs"])
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert row["problem"] is None
    listener.cancel()


async def test_a_permission_of_a_bundled_extension_is_taken_back_and_given_again(
    started: Any, tmp_path: Path, site: int
) -> None:
    grant = f"network:127.0.0.1:{site}"
    folder = source(tmp_path / "own", "1.0.0", f"127.0.0.1:{site}", "example.com")
    shutil.copytree(folder, tmp_path / "bundled" / "asker")
    host = await started()
    url = f"http://127.0.0.1:{site}/slow"
    call = asyncio.create_task(host.call_function("test/asker#fetch", {"url": url, "stream": True}))
    assert await asyncio.to_thread(Site.begun.wait, 60)
    left = await host.revoke_permission("test/asker", grant)
    assert (left["granted"], left["refused"]) == (["network:example.com:443"], [grant])
    with pytest.raises(SymphonyError):
        await call
    assert await asyncio.to_thread(Site.gone.wait, 60)
    await host.stop()
    host = await started()
    with pytest.raises(SymphonyError, match="may not connect"):
        await host.call_function("test/asker#fetch", {"url": f"http://127.0.0.1:{site}/"})
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert row["bundled"] and row["refused"] == [grant]
    with pytest.raises(NotFound):  # not what it does not ask for
        await host.allow_permission("test/asker", "exec:*")
    await host.allow_permission("test/asker", grant)
    answer = await host.call_function("test/asker#fetch", {"url": f"http://127.0.0.1:{site}/"})
    assert "hello" in str(answer["outputs"])
    await host.stop()


async def test_limits_of_one_extension_are_its_own(started: Any, site: int) -> None:
    host = await started("[stage.budget]\ncalls = 50\n", v1_0_0=(f"127.0.0.1:{site}",))
    await host.install_extension("test/asker", await agreed_to(host))
    url = f"http://127.0.0.1:{site}/"
    await host.call_function("test/asker#fetch", {"url": url})
    await host.set_budget("test/asker", {"calls": 1, "memory": 64 << 20, "cpu": 0.5})
    with pytest.raises(SymphonyError, match="calls of today: 1 of 1"):
        await host.call_function("test/asker#fetch", {"url": url})
    (row,) = (await host.list_extensions("asker"))["extensions"]
    limits = row["usage"]["limits"]
    assert (limits["calls"], limits["memory"], limits["cpu"], limits["tokens"]) == (1, 64 << 20, 0.5, 0)
    (state,) = (s for s in host.services.pit.player_states().values() if s["extension"] == "test/asker")
    assert state["memory_limit"] == 64 << 20 and row["usage"]["memory"] is not None
    with pytest.raises(BadInput, match="calls"):
        await host.set_budget("test/asker", {"calls": -1})
    await host.set_budget("test/asker", {})
    await host.call_function("test/asker#fetch", {"url": url})
    await host.stop()


async def test_an_extension_that_ends_before_it_is_ready_is_given_up_too(
    started: Any, tmp_path: Path
) -> None:
    folder = source(tmp_path / "broken", "1.0.0")
    (folder / "player.py").write_text("import os\nos._exit(0)\n")
    shutil.copytree(folder, tmp_path / "bundled" / "asker")
    host = await started()
    reports = host.services.home.path / "crashes.json"

    async def off() -> bool:
        (row,) = (await host.list_extensions("asker"))["extensions"]
        return not row["enabled"]

    async with asyncio.timeout(120):
        while not await off():
            with pytest.raises(SymphonyError):
                await host.call_function("test/asker#greet", {})
    (crashes,) = (p["crashes"] for p in json.loads(reports.read_bytes())["switched_off"].values())
    assert len(crashes) == 3 and "before it was ready" in crashes[0]["reason"]


async def test_an_extension_stays_off_when_that_cannot_be_written_down(started: Any) -> None:
    host = await started("[stage.crashes]\nlimit = 1\n", v1_0_0=())
    await host.install_extension("test/asker", [])
    installer = host.services.extensions.installer

    def full(name: str) -> None:
        raise OSError(28, "No space left on device")

    installer.disable = full
    with pytest.raises(SymphonyError):
        await host.call_function("test/asker#crash", {})
    async with asyncio.timeout(60):
        while "test/asker" in host.services.roster.versions():
            await asyncio.sleep(0.02)
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert not row["enabled"] and "crashed" in row["problem"]["message"]
    with pytest.raises(NotFound, match="not enabled"):
        await host.call_function("test/asker#greet", {})
    await host.enable_extension("test/asker", True)
    assert "hello" in str((await host.call_function("test/asker#greet", {}))["outputs"])


async def test_a_budget_of_calls_ends_them_and_is_shown(started: Any, site: int) -> None:
    host = await started("[stage.budget]\ncalls = 2\n", v1_0_0=(f"127.0.0.1:{site}",))
    await host.install_extension("test/asker", await agreed_to(host))
    for _ in range(2):
        await host.call_function("test/asker#fetch", {"url": f"http://127.0.0.1:{site}/"})
    with pytest.raises(SymphonyError, match="calls of today"):
        await host.call_function("test/asker#fetch", {"url": f"http://127.0.0.1:{site}/"})
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert row["usage"]["calls"] == 2 and row["usage"]["limits"]["calls"] == 2
    assert row["usage"]["activation"] > 0
    await host.stop()
    host = await started(v1_0_1=(f"127.0.0.1:{site}",))  # a new start is no new day
    (row,) = (await host.list_extensions("asker"))["extensions"]
    assert row["usage"]["calls"] == 2
