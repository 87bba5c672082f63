"""HTTP and WebSockets through the host, attacked with real servers on loopback and a resolver that lies."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from symphony.errors import BadInput, NotFound, PermissionDenied, PlayerError
from symphony.stage.broker import Caller
from symphony.stage.capabilities import http, websocket
from symphony.stage.capabilities.addresses import is_public
from symphony.stage.manifest import parse_manifest
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember

MANIFEST = parse_manifest('[extension]\nname = "test/door"\nversion = "1.0.0"\ntype = "operator"\n')

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def caller(*grants: str, pieces: list[Any] | None = None, name: str = "test/door") -> Caller:
    member = CastMember(name, "1.0.0", Path("/nowhere"), MANIFEST, grants)

    def piece(body: Any) -> bool:
        if pieces is not None:
            pieces.append(body)
        return True

    return Caller(member, Grants(grants), None, "run", "node", piece=piece)


@asynccontextmanager
async def site(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server whose every answer is written by hand: its port, and the heads of the requests that it got."""
    seen: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head)
            await answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


def saying(text: bytes) -> Answer:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return answer


HELLO = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def lying(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that answers so, one after the other."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def ask(who: Caller, url: str, limits: http.Limits | None = None, **body: Any) -> dict[str, Any]:
    resolve = body.pop("resolve", None)
    door = http.capabilities(resolve, limits) if resolve else http.capabilities(limits=limits)
    return await door["http.request"].handler(who, {"method": "GET", "url": url, **body})


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "fec0::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::a00:1",
    "2001:0:7f00:1::", "2001:db8::1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::a00:1", "5f00::1", "4000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_the_internets(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_a_name_that_leads_inside_is_refused_before_anything_is_sent() -> None:
    async with site(HELLO) as (port, seen):
        who = caller(f"network:evil.example:{port}")
        for addresses in (["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"]):
            with pytest.raises(PermissionDenied, match="private"):
                await ask(who, f"http://evil.example:{port}/", resolve=lying(addresses))
        assert seen == []
        # The control: the same server answers when its address is what was granted.
        answer = await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")
        assert answer["body"] == b"hello"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0x7f.1", "localhost.evil.example"])
async def test_other_ways_to_write_an_address_do_not_name_it(host: str) -> None:
    async with site(HELLO) as (port, seen):
        with pytest.raises((PermissionDenied, PlayerError)):
            await ask(
                caller(f"network:{host}:{port}"), f"http://{host}:{port}/", resolve=lying(["127.0.0.1"])
            )
        assert seen == []


async def test_a_name_is_looked_up_once_and_only_that_address_is_connected_to() -> None:
    """The second answer of a rebinding name would be the server; it is never asked for."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if host == "localhost" else []

    async with site(HELLO) as (port, seen):
        answer = await ask(caller(f"network:localhost:{port}"), f"http://localhost:{port}/x", resolve=resolve)
        assert answer["body"] == b"hello" and asked == ["localhost"]
        assert f"host: localhost:{port}".encode() in seen[0].lower()
    with pytest.raises(PermissionDenied):
        await ask(caller("network:localhost:80"), "http://localhost/", resolve=lying(["93.184.216.34"]))


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with site(HELLO) as (port, _):
        who = caller(f"network:localhost:{port}")
        answer = await ask(who, f"http://localhost:{port}/", resolve=lying(["127.0.0.9", "127.0.0.1"]))
        assert answer["status"] == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_goes_through_every_check_again(status: int) -> None:
    async with site(HELLO) as (inside, reached):
        there = f"http://127.0.0.1:{inside}/secret".encode()
        away = b"HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, there)
        async with site(saying(away)) as (port, _):
            with pytest.raises(PermissionDenied):
                await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")
            assert reached == []
            both = caller(f"network:127.0.0.1:{port}", f"network:127.0.0.1:{inside}")
            headers = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Mine": "y"}
            await ask(both, f"http://127.0.0.1:{port}/", headers=headers)
            sent = reached[0].lower()
            assert b"authorization" not in sent and b"cookie" not in sent and b"x-mine: y" in sent


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://127.0.0.1/", "//[::1", "http://a@127.0.0.1/", "http://x y/"]
)
async def test_a_redirect_to_nonsense_is_refused(location: str) -> None:
    text = f"HTTP/1.1 302 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    async with site(saying(text)) as (port, _):
        with pytest.raises((BadInput, PermissionDenied, PlayerError)):
            await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")


async def test_redirects_end() -> None:
    async with site(saying(b"HTTP/1.1 302 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")) as (
        port,
        seen,
    ):
        with pytest.raises(PlayerError, match="redirects"):
            await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")
        assert len(seen) == http.REDIRECTS + 1


@pytest.mark.parametrize(
    "body",
    [
        {"headers": {"X": "a\r\nHost: other"}}, {"headers": {"X\r\nY": "a"}}, {"headers": {"X": 1}},
        {"headers": [1]}, {"method": "GET / HTTP/1.1\r\nX:"}, {"method": "CONNECT"}, {"timeout": -1},
        {"timeout": True}, {"body": 3},
    ],
)  # fmt: skip
async def test_what_would_make_two_messages_of_one_is_refused(body: dict[str, Any]) -> None:
    async with site(HELLO) as (port, seen):
        with pytest.raises(BadInput):
            await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/", **body)
        assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/a\r\nX: y",
        "http://u:p@127.0.0.1:{}/",
        "http://127.0.0.1:{}\\@evil/",
        "http://",
        "",
    ],
)
async def test_an_address_that_says_two_things_is_refused(url: str) -> None:
    async with site(HELLO) as (port, seen):
        with pytest.raises((BadInput, PermissionDenied)):
            await ask(caller(f"network:127.0.0.1:{port}"), url.format(port))
        assert seen == []


@pytest.mark.parametrize("host", ["\u212aelvin.example", "\uff4belvin.example", "kelvin.example\u3002"])
async def test_letters_that_become_others_name_nobody(host: str) -> None:
    asked: list[str] = []

    async def resolve(name: str, _port: int) -> list[str]:
        asked.append(name)
        return []

    who = caller("network:kelvin.example:80")
    with pytest.raises((BadInput, PermissionDenied)):
        await ask(who, f"http://{host}/", resolve=resolve)
    assert asked == []
    with pytest.raises(PlayerError, match="not found"):  # the control
        await ask(who, "http://KELVIN.example./", resolve=resolve)
    assert asked == ["kelvin.example"]


async def test_headers_that_are_the_hosts_are_dropped() -> None:
    async with site(HELLO) as (port, seen):
        headers = {
            "Host": "other",
            "Transfer-Encoding": "chunked",
            "Content-Length": "987654",
            "Upgrade": "x",
        }
        await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/", headers=headers)
        sent = seen[0].lower()
        assert (
            b"other" not in sent
            and b"chunked" not in sent
            and b"987654" not in sent
            and b"upgrade" not in sent
        )


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"400\r\n"
        + b"x" * 1024 + b"\r\n",
    ],
)  # fmt: skip
async def test_an_answer_that_is_too_large_is_cut_off(text: bytes) -> None:
    async with site(saying(text)) as (port, _):
        with pytest.raises(PlayerError, match="larger"):
            await ask(
                caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/", http.Limits(body=1500)
            )


async def test_a_compressed_answer_is_not_unpacked_by_the_host() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with site(saying(head + bomb)) as (port, _):
        answer = await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")
        assert answer["body"] == bomb and answer["headers"]["content-encoding"] == "gzip"


async def test_a_server_that_drips_is_given_up() -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with site(drip) as (port, _):
        with pytest.raises(PlayerError) as slow:
            await ask(caller(f"network:127.0.0.1:{port}"), f"http://127.0.0.1:{port}/", timeout=0.3)
        assert slow.value.code == "timeout"


async def test_server_sent_events_arrive_one_by_one_and_stop_with_the_player() -> None:
    told = asyncio.Event()
    gone = asyncio.Event()

    async def tell(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
        await writer.drain()
        await told.wait()  # the second goes out only once the Player has the first
        try:
            while True:
                writer.write(b"data: two\n\n")
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()

    pieces: list[Any] = []

    def piece(body: Any) -> bool:
        pieces.append(body)
        told.set() if "data" in body else None
        return len(pieces) < 3

    async with site(tell) as (port, _):
        who = caller(f"network:127.0.0.1:{port}")
        listening = Caller(who.member, who.grants, None, "", "", piece=piece)
        answer = await ask(listening, f"http://127.0.0.1:{port}/", stream=True)
        assert answer["body"] == b"" and pieces[0]["headers"]["content-type"] == "text/event-stream"
        assert pieces[1] == {"data": b"data: one\n\n"} and pieces[2]["data"].startswith(b"data: two")
        await asyncio.wait_for(gone.wait(), 30)


async def test_a_stream_has_a_limit_too() -> None:
    async with site(saying(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000)) as (port, _):
        with pytest.raises(PlayerError, match="larger"):
            await ask(
                caller(f"network:127.0.0.1:{port}"),
                f"http://127.0.0.1:{port}/",
                http.Limits(stream=1000),
                stream=True,
            )


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_websocket_carries_messages_both_ways_and_belongs_to_one_extension() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        doors, pieces = websocket.capabilities(), []
        who = caller(f"network:127.0.0.1:{port}", pieces=pieces)
        call = asyncio.create_task(doors["websocket.open"].handler(who, {"url": f"ws://127.0.0.1:{port}/"}))
        await until(lambda: bool(pieces))
        send, identity = doors["websocket.send"].handler, pieces[0]["id"]
        await send(who, {"id": identity, "message": "text"})
        await send(who, {"id": identity, "message": b"\x00\xff"})
        await until(lambda: len(pieces) == 3)
        assert pieces[1:] == [{"message": "text"}, {"message": b"\x00\xff"}]
        with pytest.raises(NotFound):
            await send(caller(name="test/other"), {"id": identity, "message": "mine"})
        await send(who, {"id": identity, "close": True})
        assert (await call)["code"] == 1000
        with pytest.raises(NotFound):
            await send(who, {"id": identity, "message": "late"})


async def test_a_websocket_passes_the_same_checks() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for url, resolve in (
            (f"ws://127.0.0.1:{port + 1}/", lying(["127.0.0.1"])),
            (f"ws://evil.example:{port}/", lying(["127.0.0.1"])),
        ):
            door = websocket.capabilities(resolve)["websocket.open"]
            with pytest.raises(PermissionDenied):
                await door.handler(caller(f"network:evil.example:{port}"), {"url": url})
        door = websocket.capabilities()["websocket.open"]
        with pytest.raises(BadInput):
            await door.handler(caller(f"network:127.0.0.1:{port}"), {"url": f"http://127.0.0.1:{port}/"})


@pytest.mark.parametrize("name", ["chat\r\nHost: other.example", "chat\nX: y", "a b", "", "\u00e9"])
async def test_a_protocol_of_a_websocket_cannot_end_its_line(name: str) -> None:
    """A `Host` of its own would reach another site behind the same address."""
    async with site(saying(b"HTTP/1.1 400 No\r\n\r\n")) as (port, seen):
        door = websocket.capabilities()["websocket.open"]
        who, url = caller(f"network:127.0.0.1:{port}"), f"ws://127.0.0.1:{port}/"
        with pytest.raises(BadInput):
            await door.handler(who, {"url": url, "protocols": ["one", name]})
        assert seen == []
        with pytest.raises(PlayerError):
            await door.handler(who, {"url": url, "protocols": ["one", "chat.v2"]})
        assert b"Sec-WebSocket-Protocol: one, chat.v2\r\n" in seen[0]


async def test_a_websocket_follows_no_redirect_and_takes_no_giant_message() -> None:
    async with site(HELLO) as (inside, reached):
        away = f"HTTP/1.1 302 Go\r\nLocation: ws://127.0.0.1:{inside}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with site(saying(away)) as (port, _):
            door = websocket.capabilities()["websocket.open"]
            who = caller(f"network:127.0.0.1:{port}", f"network:127.0.0.1:{inside}")
            with pytest.raises(PlayerError):
                await door.handler(who, {"url": f"ws://127.0.0.1:{port}/"})
            assert reached == []

    async def shout(connection: ServerConnection) -> None:
        await connection.send(b"x" * 5000)
        await connection.wait_closed()

    async with serve(shout, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pieces: list[Any] = []
        door = websocket.capabilities(limits=websocket.Limits(message=1000))["websocket.open"]
        who = caller(f"network:127.0.0.1:{port}", pieces=pieces)
        with pytest.raises(PlayerError, match="larger"):
            await door.handler(who, {"url": f"ws://127.0.0.1:{port}/"})
        assert len(pieces) == 1
