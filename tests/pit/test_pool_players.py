"""The pool with real Players: dead and hung ones come back, hopeless ones are given up, the next are warm in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from symphony.app.habits import Habits
from symphony.errors import BadInput
from tests.pit.theatre import Theatre, node, source

GATED = Path(__file__).with_name("player_at_a_gate.py")


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path)
    yield theatre
    theatre.close()


def state(theatre: Theatre, key: str) -> dict[str, Any]:
    return theatre.runtime.player_states()[key]


def players(theatre: Theatre) -> dict[str, Any]:
    return dict(theatre.runtime.stats()["players"])


def until(theatre: Theatre, what: Callable[[], bool]) -> None:
    """Waits for what the runtime brings about; its events are kept."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, f"it never came about: {theatre.runtime.player_states()}"
        theatre.events.extend(theatre.runtime.drain())
        time.sleep(0.005)


def is_ready(theatre: Theatre, key: str, other_than: int | None = None) -> bool:
    seen = state(theatre, key)
    return seen["state"] == "ready" and seen["pid"] not in (None, other_than)


def warm(theatre: Theatre, *keys: str) -> None:
    theatre.runtime.prewarm(list(keys))
    until(theatre, lambda: all(is_ready(theatre, key) for key in keys))


def test_a_killed_player_is_back_without_being_asked_and_no_other_is_disturbed(theatre: Theatre) -> None:
    for key in ("first", "second"):
        theatre.register(key)
    warm(theatre, "first", "second")
    killed, other = state(theatre, "first")["pid"], state(theatre, "second")["pid"]
    os.kill(killed, signal.SIGKILL)
    until(theatre, lambda: is_ready(theatre, "first", other_than=killed))
    assert state(theatre, "second")["pid"] == other and is_ready(theatre, "second")
    figures = players(theatre)
    assert (figures["deaths"], figures["restarts"], figures["loads"], figures["waits"]) == (1, 1, 3, 0)
    ended = theatre.until(lambda e: e["event"] == "player" and e["state"] == "unloaded")
    assert (ended["key"], ended["pid"]) == ("first", killed) and "signal 9" in ended["reason"]


def test_a_player_that_nobody_uses_and_that_hangs_is_replaced(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path, ping=0.5)
    try:
        theatre.register()
        warm(theatre, "test")
        hung = state(theatre, "test")["pid"]
        os.kill(hung, signal.SIGSTOP)
        until(theatre, lambda: is_ready(theatre, "test", other_than=hung))
        reasons = [e["reason"] for e in theatre.events if e["event"] == "player" and e["pid"] == hung]
        assert any("ping" in reason for reason in reasons)
    finally:
        theatre.close()


def test_a_player_that_dies_after_each_start_is_given_up_and_says_why(theatre: Theatre) -> None:
    theatre.register(entry=GATED)
    warm(theatre, "test")
    (theatre.home / "extension-test" / "short-lived").touch()
    until(theatre, lambda: bool(state(theatre, "test")["given_up"]))
    seen, figures = state(theatre, "test"), players(theatre)
    assert seen["state"] == "unloaded" and seen["reason"] and seen["pause"] > 1
    assert seen["failures"] == 6 and figures["given_up"] == 1
    assert figures["deaths"] + figures["failures"] == 6 and figures["restarts"] == 5
    theatre.runtime.call_player(1, "test", {"function": "wait", "params": {}, "inputs": {}, "context": {}})
    done = theatre.until(lambda e: e["event"] == "call_done")
    assert "failed 6 times in a row" in done["error"]["message"]
    assert players(theatre)["loads"] == figures["loads"], "it was not started for that"


def gated(name: str, *, after: str | None = None) -> dict[str, Any]:
    inputs = {"value": source(after)} if after else {}
    return {**node(name, "wait", inputs=inputs), "key": name, "seconds": 0.1, "timeout": 60.0}


def test_a_melody_s_next_players_are_ready_before_they_are_needed(theatre: Theatre) -> None:
    names = ["one", "two", "three", "four"]
    for name in names:
        theatre.register(name, entry=GATED)
    theatre.runtime.start(
        theatre.plan([gated(name, after=before) for name, before in zip(names, [None, *names], strict=False)])
    )
    # Each node runs for as long as its gate is closed; it is opened when the next node's Player is ready.
    for at, name in enumerate(names):
        if at + 1 < len(names):
            until(theatre, lambda following=names[at + 1]: is_ready(theatre, following))  # type: ignore[misc]
        (theatre.home / f"extension-{name}" / "gate").touch()
    assert theatre.end("run")["state"] == "succeeded"
    figures = players(theatre)
    assert figures["waits"] == 1, "only the first node waited for its Player"
    assert (figures["prewarm_hits"], figures["prewarm_misses"]) == (3, 0)


def test_what_runs_use_is_learned_and_survives_the_host(theatre: Theatre, tmp_path: Path) -> None:
    theatre.register()
    for number in range(3):
        assert theatre.play(theatre.plan([node("a", "noop", outputs={})], run=f"r{number}"))
        until(
            theatre,
            lambda seen=number + 1: (  # type: ignore[misc]
                players(theatre)["predicted_hits"] + players(theatre)["predicted_misses"] == seen
            ),
        )
    assert players(theatre)["predicted_misses"] == 1, "the first could not be foreseen"
    file = tmp_path / "habits"
    habits = Habits(file, theatre.runtime)
    habits.open()
    habits.close()
    assert file.read_bytes() == theatre.runtime.learned() and not habits.trouble

    file.write_bytes(file.read_bytes()[:-9] + b"x" * 9)
    damaged = Habits(file, theatre.runtime)
    damaged.open()
    damaged.close()
    assert "learned anew" in damaged.trouble and "checksum" in damaged.trouble
    with pytest.raises(BadInput):
        theatre.runtime.restore_learned(b"nonsense")
    theatre.runtime.restore_learned(file.read_bytes())


def test_what_a_new_session_will_probably_use_is_warm_before_it_asks(
    theatre: Theatre, tmp_path: Path
) -> None:
    theatre.register()
    for number in range(3):
        theatre.play(theatre.plan([node("a", "noop", outputs={})], run=f"r{number}"))
        until(theatre, lambda: len(theatre.runtime.wanted()) == 1)
    learned = theatre.runtime.learned()
    later = Theatre(tmp_path / "later")
    try:
        assert later.runtime.wanted() == []
        later.runtime.restore_learned(learned)
        ((key, chance),) = later.runtime.wanted()
        assert key == "test" and 0.5 < chance <= 1
        later.register(key)
        until(later, lambda: is_ready(later, key))
        later.play(later.plan([node("a", "noop", outputs={})]))
        figures = players(later)
        assert (figures["waits"], figures["prewarm_hits"]) == (0, 1)
    finally:
        later.close()


STOPPED_AT_ONCE = """
import sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from tests.pit.theatre import Theatre
entry = Path({home!r}).parent / "slow.py"
entry.write_text("import time; time.sleep(60)")
theatre = Theatre(Path({home!r}))
for number in range(4):
    theatre.register(f"slow{{number}}", entry)
theatre.runtime.prewarm([f"slow{{number}}" for number in range(4)])
theatre.until(lambda e: e["event"] == "player" and e["state"] == "loading")
began = time.monotonic()
theatre.close()
assert time.monotonic() - began < 30
children = [task.joinpath("children").read_text() for task in Path("/proc/self/task").iterdir()]
assert not "".join(children), children
"""


def test_a_runtime_stops_in_order_while_players_are_starting(tmp_path: Path) -> None:
    script = STOPPED_AT_ONCE.format(folder=str(Path(__file__).parents[2]), home=str(tmp_path / "home"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
