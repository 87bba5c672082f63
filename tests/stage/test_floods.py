"""Players that attack by what they write, in real sandboxes on the real bus: each loses its own session at most."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk.wire import Encoder
from tests.pit.theatre import Theatre

PLAYER = Path(__file__).with_name("player_that_attacks.py")
VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
REFUSED = {vector["name"]: vector for vector in VECTORS["refused"]}
LIMIT = 150_000
"""Messages a second that a Player may send, and as many at once after a quiet time."""
UNKNOWN = bytes(range(16))
DEADLINE = 60.0


def written(name: str) -> bytes:
    """The bytes of a vector that is refused."""
    return b"".join(bytes.fromhex(piece) * count for piece, count in REFUSED[name]["frame"])


def event(
    method: str = "log", *, sender: str = "symphony/test", re: bytes | None = None, **body: Any
) -> bytes:
    """A frame as a Player writes it."""
    encoder = Encoder(sender)
    return encoder.frame(encoder.next_id(), "event", re, method, {"level": "info", "message": "x", **body})


def answer(re: bytes) -> bytes:
    """An answer to the request `re`."""
    encoder = Encoder("symphony/test")
    return encoder.frame(encoder.next_id(), "response", re, "call", {"outputs": {"value": "stolen"}})


class Neighbours:
    """An attacker, and a neighbour that has a call open all the while."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.tokens = 0
        self.seen = 0
        for key in ("attacker", "neighbour"):
            theatre.register(key, PLAYER)
        self.finish(self.call("neighbour", "work", {"value": "first"}))
        self.pid = self.state("neighbour")["pid"]

    def state(self, key: str) -> dict[str, Any]:
        return dict(self.theatre.runtime.player_states()[key])

    def call(self, key: str, function: str, inputs: dict[str, Any], **params: Any) -> int:
        self.tokens += 1
        context = {"run": "", "node": key, "project": None, "attempt": 1}
        body = {"function": function, "params": params, "inputs": inputs, "context": context}
        self.theatre.runtime.call_player(self.tokens, key, body, DEADLINE)
        return self.tokens

    def finish(self, token: int) -> dict[str, Any]:
        """How a call ended."""
        return self.theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)

    def attack(self, content: bytes, **how: Any) -> dict[str, Any]:
        """How the attacker's call ended; meanwhile the neighbour serves, and after it, too."""
        attack = self.call("attacker", "write", {"content": content}, **how)
        neighbour = self.call("neighbour", "work", {"value": self.tokens})
        end = None
        while end is None or neighbour:
            done = self.theatre.until(lambda e: e["event"] == "call_done", start=self.seen)
            self.seen = self.theatre.events.index(done, self.seen) + 1
            if done["token"] == attack:
                end = done
            elif done["token"] == neighbour:
                assert "error" not in done and done["outputs"]["value"] == neighbour - 1, done
                # One more once the attack is over.
                neighbour = self.call("neighbour", "work", {"value": self.tokens}) if end is None else 0
        assert self.state("neighbour")["pid"] == self.pid
        return end

    def logged(self) -> list[dict[str, Any]]:
        """What reached the host as the attacker's log."""
        return [e for e in self.theatre.events if e["event"] == "log"]


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[Neighbours]:
    theatre = Theatre(tmp_path / "home")
    try:
        yield Neighbours(theatre)
    finally:
        theatre.close()


@pytest.mark.parametrize(
    ("content", "because"),
    [
        (struct.pack("<I", 2**32 - 1), "is over the limit"),
        (written("an envelope cut short"), "ends inside a value"),
        (written("containers nested 100,000 deep"), "nests deeper"),
        (written("a key twice in the body"), "twice"),
        (written("a time that is not a number"), 'field "ts"'),
        (answer(UNKNOWN), "response"),
        (event(re=UNKNOWN), "event"),
    ],
    ids=["length", "cut", "deep", "twice", "nan", "foreign-answer", "foreign-event"],
)
def test_a_malformed_message_ends_its_own_session_and_says_why(
    neighbours: Neighbours, content: bytes, because: str
) -> None:
    end = neighbours.attack(content)
    assert end["error"]["code"] == "protocol" and because in end["error"]["message"], end
    again = neighbours.finish(neighbours.call("attacker", "work", {"value": 1}))
    assert again.get("outputs") == {"value": 1}, "it is started again when it is asked for"


def test_a_player_that_goes_in_the_middle_of_a_message_has_crashed(neighbours: Neighbours) -> None:
    end = neighbours.attack(event()[:-1], then="end")
    assert end["error"]["code"] == "crashed"
    assert not neighbours.logged()


def test_bytes_that_come_one_by_one_are_one_message(neighbours: Neighbours) -> None:
    end = neighbours.attack(event(message="whole"), size=1, then="answer")
    assert "error" not in end
    assert [e["message"] for e in neighbours.logged()] == ["whole"]


def test_a_forged_sender_is_not_believed(neighbours: Neighbours) -> None:
    end = neighbours.attack(event(sender="symphony/files"), then="answer")
    assert "error" not in end
    assert [e["extension"] for e in neighbours.logged()] == ["symphony/test"]


def test_the_neighbour_of_a_flood_of_ten_times_the_limit_is_served(neighbours: Neighbours) -> None:
    """The host takes no more than the limit, or than it can; a slow machine need not get as far as to refuse."""
    theatre = neighbours.theatre
    flood = neighbours.call("attacker", "write", {"content": event() * 1000}, times=10 * LIMIT // 1000)
    theatre.until(lambda e: e["event"] == "log")
    for number in range(100):
        token = neighbours.call("neighbour", "work", {"value": number})
        start = len(theatre.events)
        done = theatre.until(lambda e, t=token: e.get("token") == t, start=start)  # type: ignore[misc]
        assert "error" not in done and done["outputs"] == {"value": number}, done
    assert neighbours.state("neighbour")["pid"] == neighbours.pid
    pid = neighbours.state("attacker")["pid"]
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = neighbours.finish(flood)
    is_refused = end["error"]["code"] == "protocol" and "messages a second" in end["error"]["message"]
    assert is_refused or end["error"]["code"] == "crashed", end


def test_what_a_flood_says_in_passing_wakes_the_page_once_in_a_moment(neighbours: Neighbours) -> None:
    """Each wake costs more than what is told by it, and what others wait for is behind it."""
    theatre = neighbours.theatre
    asked = neighbours.call("attacker", "progress", {})
    theatre.until(lambda e: e["event"] == "progress")
    began, in_vain, answers = time.monotonic(), 0, 0
    token = neighbours.call("neighbour", "work", {"value": 1})
    while answers < 200:
        select.select([theatre.runtime.fileno()], [], [], DEADLINE)
        events = theatre.runtime.drain()
        in_vain += all(event["event"] == "progress" for event in events)
        if any(event.get("token") == token for event in events):
            answers += 1
            token = neighbours.call("neighbour", "work", {"value": 1})
        assert not any(event.get("token") == asked for event in events), events
    # For what is told with an answer, too, a moment begins.
    assert in_vain <= (time.monotonic() - began) / 0.001 + 2
    assert in_vain > 0
