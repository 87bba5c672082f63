"""Players that give the host more than was asked for: descriptors beside a message, and output without end."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pit.theatre import Theatre
from tests.stage.test_floods import DEADLINE, PLAYER, event
from tests.stage.test_kills import kind_of

FLOOD = 256 << 20
"""Bytes that a flooding Player writes in all."""
MOST = 96 << 20
"""What the host may grow by while they come."""


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path / "home")
    theatre.register("attacker", PLAYER)
    yield theatre
    theatre.close()


def begin(theatre: Theatre, token: int, function: str, **inputs: Any) -> None:
    context = {"run": "", "node": "attacker", "project": None, "attempt": 1}
    params = inputs.pop("params", {})
    body = {"function": function, "params": params, "inputs": inputs, "context": context}
    theatre.runtime.call_player(token, "attacker", body, DEADLINE)


def finish(theatre: Theatre, token: int) -> dict[str, Any]:
    return theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)


def held() -> Counter[str]:
    """The descriptors of this host, by what they are of."""
    return Counter(map(kind_of, Path("/proc/self/fd").iterdir()))


def test_descriptors_that_belong_to_no_message_are_closed(theatre: Theatre) -> None:
    """Judged by the host's own table. A session that passes them ends, and the next one is served."""
    begin(theatre, 1, "work", value="first")
    finish(theatre, 1)
    before = held()
    for token in range(2, 8, 2):
        begin(theatre, token, "pass_on", content=event(message="with descriptors"))
        error = finish(theatre, token)["error"]
        assert error["code"] == "protocol" and "descriptor" in error["message"], error
        begin(theatre, token + 1, "work", value=token)
        assert finish(theatre, token + 1).get("outputs") == {"value": token}
        assert held() == before


def test_such_descriptors_reach_who_takes_them() -> None:
    """The positive control: the same bytes, sent to somebody who asks for descriptors."""
    ours, theirs = socket.socketpair()
    told, untold = os.pipe()
    with ours, theirs:
        theirs.sendmsg([event()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, untold.to_bytes(4, "little"))])
        os.close(untold)
        _, taken, *_ = socket.recv_fds(ours, 4096, 4)
        assert len(taken) == 1 and os.write(taken[0], b"through")
        assert os.read(told, 7) == b"through"
        os.close(taken[0])
        os.close(told)


@pytest.mark.parametrize("method", ["log", "progress"])
def test_output_without_end_takes_no_memory_of_the_host(theatre: Theatre, method: str) -> None:
    """A quarter of a gibibyte of log, or of progress, to a host that takes one event at a time."""
    large = "x" * 50_000
    body = {"message": large} if method == "log" else {"fraction": 0.5, "note": large}
    content = event(method, **body) * 20
    begin(theatre, 1, "work", value="first")
    finish(theatre, 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = memory("VmRSS")
    begin(theatre, 2, "write", content=content, params={"times": FLOOD // len(content), "then": "answer"})
    end: dict[str, Any] = {}
    while not end:
        (end,) = [e for e in theatre.runtime.drain(1) if e.get("token") == 2] or [{}]
    assert memory("VmHWM") - before < MOST, end
    begin(theatre, 3, "work", value="after")
    assert finish(theatre, 3).get("outputs") == {"value": "after"}


def memory(name: str) -> int:
    """Bytes of this process that the kernel counts under a name."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) << 10


def test_what_a_player_prints_goes_nowhere(theatre: Theatre, tmp_path: Path) -> None:
    """Two gibibytes on each of its streams: they are no files and no pipes of the host's."""
    entry = tmp_path / "printing.py"
    entry.write_text(
        "import os\nfrom symphony.sdk import player\n"
        "@player.function\n"
        "def work(ctx):\n"
        "    block = bytes(1 << 26)\n"
        "    return {'value': [sum(os.write(fd, block) for _ in range(32)) for fd in (1, 2)]}\n"
        "player.serve()\n"
    )
    theatre.register("attacker", entry)
    before = memory("VmRSS")
    begin(theatre, 1, "work")
    assert finish(theatre, 1).get("outputs") == {"value": [2 << 30] * 2}
    assert memory("VmRSS") - before < MOST
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < MOST
