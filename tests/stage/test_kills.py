"""`kill -9` of Players under load: the host goes on, neighbours notice nothing, and nothing is left behind.

`SYMPHONY_KILLS` says how many, 100 without it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pit.theatre import PATIENCE, Theatre, node

KILLS = int(os.environ.get("SYMPHONY_KILLS", "100"))
PLAYER = Path(__file__).with_name("player_under_fire.py")
STRUCK, SPARED = 4, 2
LIVES = 3
"""Deaths of one entry: after six in a row the pool gives it up, which is another test's."""
MOMENTS = ("before it arrives", "under way", "after its answer")


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    before = occupied(tmp_path / "home")
    theatre = Theatre(tmp_path / "home")
    yield theatre
    theatre.close()
    del theatre.runtime, theatre.store
    # What was being started or ended when the host stopped goes a moment after it. What other tests of this
    # process had left to end may have gone meanwhile: only more than before is too much.
    deadline = time.monotonic() + PATIENCE
    while (left := occupied(tmp_path / "home") - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def occupied(home: Path) -> Counter[str]:
    """What a Player occupies outside of itself: processes, sockets, control groups, descriptors of the host."""
    groups = [
        str(folder)
        for folder, _, _ in os.walk("/sys/fs/cgroup")
        if Path(folder).name.startswith(f"symphony-{os.getpid()}-")
    ]
    return Counter(
        [
            *(f"process {pid}" for pid in descendants(os.getpid())),
            *(f"socket {path.name}" for path in home.glob("*.sock")),
            *(f"control group {group}" for group in groups),
            *(f"descriptor of {kind_of(path)}" for path in Path("/proc/self/fd").iterdir()),
        ]
    )


def descendants(pid: int) -> set[int]:
    """All processes below one, the dead that nobody collected included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found, ahead = set[int](), [pid]
    while ahead:
        ahead = [child for parent in ahead for child in children.get(parent, [])]
        found.update(ahead)
    return found


def kind_of(descriptor: Path) -> str:
    """What a descriptor is of: a socket, a pipe, a pidfd …; a file by its path."""
    try:
        target = str(descriptor.readlink())
    except OSError:
        return ""  # that of the listing itself
    return target if target.startswith("anon_inode") else target.partition(":[")[0]


class Battery:
    """Keeps one call open at each of several Players, and kills those that are struck at moments of chance."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.chance = random.Random(9)
        self.keys: dict[str, str] = {}
        """Of each place, the pool entry that has it now."""
        self.open: dict[int, tuple[str, str]] = {}
        """Token to the place and the moment for which the call was chosen."""
        self.killed: set[int] = set()
        self.deaths: Counter[str] = Counter()
        """Kills of each pool entry."""
        self.struck: Counter[str] = Counter()
        """Kills of each place."""
        self.crashed: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.tokens = 0
        self.seen = 0

    def install(self, place: str) -> None:
        """Puts a fresh pool entry into a place."""
        key = f"{place}-{self.tokens}"
        self.theatre.register(key, PLAYER)
        self.keys[place] = key

    def call(self, place: str) -> None:
        """The next call; whether, and when, the Player is killed under it is chance."""
        self.tokens += 1
        moment = "none"
        may_die = place.startswith("struck") and self.deaths[self.keys[place]] < LIVES
        if may_die and len(self.killed) < KILLS and self.chance.random() < 0.7:
            moment = self.chance.choice(MOMENTS)
        self.open[self.tokens] = (place, moment)
        body = {
            "function": "work",
            "params": {
                "hold": moment == "under way",
                "seconds": 0.005 if place.startswith("spared") else 0.0,
            },
            "inputs": {"value": self.tokens},
            "context": {"run": "", "node": str(self.tokens), "project": None, "attempt": 1},
        }
        self.theatre.runtime.call_player(self.tokens, self.keys[place], body, 60.0)
        if moment == "before it arrives":
            self.kill(place)

    def kill(self, place: str) -> bool:
        """Kills the Player of a place if it runs."""
        key = self.keys[place]
        pid = self.theatre.runtime.player_states()[key]["pid"]
        if pid is None or pid in self.killed:
            return False
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)
        self.deaths[key] += 1
        self.struck[place] += 1
        return True

    def under_way(self, token: int) -> None:
        """A call runs in its Player."""
        place, moment = self.open[token]
        if moment == "under way":
            assert self.kill(place), "what has just spoken runs"

    def done(self, event: dict[str, Any]) -> None:
        """A call has ended: well, or because its Player was killed."""
        token = event["token"]
        place, moment = self.open.pop(token)
        error = event.get("error")
        if error:
            assert error["code"] == "crashed" and "signal 9" in error["message"], error
            self.crashed[place] += 1
        else:
            assert moment != "under way", "the answer of a call that was held"
            assert event["outputs"] == {"value": token}
            self.served[place] += 1
        if moment == "after its answer":
            self.kill(place)
        is_going_on = len(self.killed) < KILLS
        if is_going_on and self.deaths[self.keys[place]] >= LIVES and self.is_back(place):
            self.theatre.runtime.unregister_player(self.keys[place])
            self.install(place)
        if is_going_on or error:
            self.call(place)

    def run(self) -> None:
        """Goes on until no call is open."""
        while self.open:
            self.theatre.until(lambda e: e["event"] in ("progress", "call_done"), start=self.seen)
            while self.seen < len(self.theatre.events):
                event = self.theatre.events[self.seen]
                self.seen += 1
                if event["event"] == "progress":
                    self.under_way(int(event["node"]))
                elif event["event"] == "call_done":
                    self.done(event)

    def is_back(self, place: str) -> bool:
        pid = self.theatre.runtime.player_states()[self.keys[place]]["pid"]
        return pid is not None and pid not in self.killed


def test_killed_players_disturb_neither_the_host_nor_their_neighbours(theatre: Theatre) -> None:
    battery = Battery(theatre)
    struck = [f"struck-{n}" for n in range(STRUCK)]
    spared = [f"spared-{n}" for n in range(SPARED)]
    for place in (*struck, *spared):
        battery.install(place)
        battery.call(place)
    battery.run()
    for place in battery.keys:
        battery.call(place)
    battery.run()
    assert all(map(battery.is_back, battery.keys))
    assert len(battery.killed) >= KILLS
    for place in struck:
        assert battery.served[place] and battery.crashed[place] <= battery.struck[place]
    assert sum(battery.crashed.values()) > KILLS // 10, "calls were under way"
    gone = [e["key"] for e in theatre.events if e["event"] == "player" and e["state"] == "unloaded"]
    for place in spared:
        assert battery.served[place] and not battery.crashed[place]
        assert battery.keys[place] not in gone
    figures = theatre.runtime.stats()
    assert figures["requests"] == 0 and figures["players"]["given_up"] == 0


def outliving(name: str, deaths: int, **more: Any) -> dict[str, Any]:
    return {**node(name, "outlive", params={"deaths": deaths}, **more), "key": name, "timeout": 60.0}


def test_a_node_whose_player_is_killed_is_tried_again_unless_it_changes_the_world(theatre: Theatre) -> None:
    """A second attempt whatever the policy; more as the policy says; none with effects."""
    nodes = [
        outliving("spared", 0),
        outliving("once", 1),
        outliving("often", 3, retry={"attempts": 4, "backoff": "none", "delay": 0.0}),
        outliving("twice", 2),
        outliving("effects", 1, effects=True),
    ]
    deaths = {n["id"]: n["params"]["deaths"] for n in nodes}
    for name in deaths:
        theatre.register(name, PLAYER)

    def kill(event: dict[str, Any]) -> None:
        if int(event["note"]) <= deaths[event["node"]]:
            os.kill(theatre.runtime.player_states()[event["node"]]["pid"], signal.SIGKILL)

    theatre.answers["progress"] = kill
    theatre.play(theatre.plan(nodes))
    ends = theatre.nodes("run")
    for name, attempts in (("spared", 1), ("once", 2), ("often", 4)):
        assert ends[name]["state"] == "succeeded", ends[name]
        outputs = theatre.runtime.outputs("run", name)
        assert outputs["value"][0] == attempts
    for name in ("twice", "effects"):
        assert ends[name]["state"] == "failed" and ends[name]["error"]["code"] == "crashed", ends[name]
