"""Large values travel to a sandboxed Player and back, beside their frames, and leave nothing open."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import BadInput
from tests.pit.theatre import Theatre

PLAYER = Path(__file__).with_name("player_that_floods.py")


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path / "home")
    theatre.register("echo", PLAYER)
    try:
        yield theatre
    finally:
        theatre.close()


def echoed(theatre: Theatre, token: int, value: Any) -> Any:
    context = {"run": "", "node": "echo", "project": None, "attempt": 1}
    body = {"function": "work", "params": {}, "inputs": {"value": value}, "context": context}
    theatre.runtime.call_player(token, "echo", body, 60.0)
    done = theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)
    assert "error" not in done, done["error"]
    return done["outputs"]["value"]


def memory_files(pid: int) -> set[int]:
    """The files in memory that a process has open and that are payloads, by their inodes."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # One may be closed meanwhile.
        with suppress(FileNotFoundError):
            if "memfd:payload" in str(link.readlink()):
                found.add(link.stat().st_ino)
    return found


@pytest.mark.parametrize("size", [65_535, 65_536, 1 << 20, (4 << 20) - 1, 4 << 20, 20 << 20])
def test_payloads_of_every_size_come_back_as_they_went(theatre: Theatre, size: int) -> None:
    """Also one that is larger than any frame may be."""
    content = os.urandom(size // 2) * 2
    assert echoed(theatre, 1, content) == content
    text = "ü" * (size // 2)
    assert echoed(theatre, 2, {"texts": [text, content]}) == {"texts": [text, content]}


def test_the_segments_are_made_once_and_files_are_closed(theatre: Theatre) -> None:
    others = memory_files(os.getpid())  # of hosts that other tests of this process have still open
    for token in range(1, 20):
        echoed(theatre, token, [b"x" * (100_000 * token), b"y" * (5 << 20)])
    player = theatre.runtime.player_states()["echo"]["pid"]
    # One segment for each direction, held by both ends. The Player lets go of a file once it has sent it, which
    # is a moment after the host has it.
    until = time.monotonic() + 30
    while len(memory_files(player)) > 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(memory_files(player)) == 2
    assert memory_files(os.getpid()) - others == memory_files(player)


def test_a_payload_over_the_limit_is_refused_where_it_is_made(theatre: Theatre) -> None:
    context = {"run": "", "node": "echo", "project": None, "attempt": 1}
    inputs = {"value": bytes((256 << 20) + 1)}
    body = {"function": "work", "params": {}, "inputs": inputs, "context": context}
    theatre.runtime.call_player(1, "echo", body, 60.0)
    done = theatre.until(lambda e: e["event"] == "call_done")
    assert done["error"]["code"] == "too_large"
    assert echoed(theatre, 2, b"after it") == b"after it"


def test_the_bus_holds_to_its_settings(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path / "home", bus={"payload": 2 << 20, "frame": 1 << 20, "buffer_size": 1 << 20})
    theatre.register("echo", PLAYER)
    try:
        assert echoed(theatre, 1, b"x" * (3 << 19)) == b"x" * (3 << 19)
        context = {"run": "", "node": "echo", "project": None, "attempt": 1}
        inputs = {"value": bytes(3 << 20)}
        body = {"function": "work", "params": {}, "inputs": inputs, "context": context}
        theatre.runtime.call_player(2, "echo", body, 60.0)
        done = theatre.until(lambda e: e["event"] == "call_done" and e["token"] == 2)
        assert done["error"]["code"] == "too_large"
    finally:
        theatre.close()


def test_a_setting_that_the_bus_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no setting rat"):
        Theatre(tmp_path / "home", bus={"rat": 1})
