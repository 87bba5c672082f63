"""The page's door, attacked: a foreign Host, a foreign Origin, no token, a wrong token, a flood of nonsense."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.app.test_survival import started


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """`host:port` and the token of a running host."""
    with started(tmp_path_factory.mktemp("door") / "home", "serve") as process:
        assert process.stdout is not None
        address, _, token = process.stdout.readline().strip().partition("/#token=")
        yield address.removeprefix("http://"), token
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def say(page: ClientConnection, **message: Any) -> Any:
    page.send(json.dumps({"jsonrpc": "2.0", "id": 1, **message}))
    return json.loads(page.recv(timeout=30))


def test_the_owner_gets_in(served: tuple[str, str]) -> None:
    place, token = served
    with connect(f"ws://{place}/ws", origin=f"http://{place}", max_size=None) as page:  # type: ignore[arg-type]
        assert "result" in say(page, method="authenticate", params={"token": token})
        assert json.loads(page.recv(timeout=30))["method"] == "ui.patch"


@pytest.mark.parametrize("first", [{"params": {"token": "wrong"}}, {"params": {}}, {"params": None}, {}])
def test_without_the_token_nobody_does(served: tuple[str, str], first: dict[str, Any]) -> None:
    with connect(f"ws://{served[0]}/ws") as page, pytest.raises(ConnectionClosed) as closed:
        page.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "authenticate", **first}))
        page.recv(timeout=30)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_a_method_before_the_token_is_not_answered(served: tuple[str, str]) -> None:
    with connect(f"ws://{served[0]}/ws") as page, pytest.raises(ConnectionClosed):
        say(page, method="getArtifacts", params={})


def test_a_page_of_another_site_is_refused(served: tuple[str, str]) -> None:
    place, _ = served
    for origin in ("http://evil.example", f"https://{place}", "null"):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{place}/ws", origin=origin):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403


def test_a_name_that_was_rebound_is_refused(served: tuple[str, str]) -> None:
    place, _ = served
    for host, status in ((f"evil.example:{place.split(':')[1]}", 403), (place, 200)):
        connection = http.client.HTTPConnection(place, timeout=30)
        connection.putrequest("GET", "/", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        connection.close()
    assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")


def test_nothing_outside_the_page_is_served(served: tuple[str, str]) -> None:
    for path in ("/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml", "//etc/passwd"):
        connection = http.client.HTTPConnection(served[0], timeout=30)
        connection.request("GET", path)
        assert connection.getresponse().status in (400, 403, 404)
        connection.close()


def test_nonsense_closes_or_is_answered_and_the_host_lives(served: tuple[str, str], home: Path) -> None:
    place, token = served
    with connect(f"ws://{place}/ws", max_size=None) as page:
        say(page, method="authenticate", params={"token": token})
        for text in (
            "",
            "null",
            "[]",
            "{",
            '{"method": 1}',
            '{"method": "nosuch", "id": 2}',
            '{"method":"ui.event","id":3}',
        ):
            page.send(text)
        found = set()
        while not {2, 3} <= found:
            message = json.loads(page.recv(timeout=30))
            if "error" in message:
                found.add(message.get("id"))
    with connect(f"ws://{place}/ws", max_size=None) as page:
        page.send(b"\x00binary")
        with pytest.raises(ConnectionClosed):
            page.recv(timeout=30)
    test_the_owner_gets_in(served)
