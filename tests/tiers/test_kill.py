"""kill -9 at every step of tiering: afterwards each content is readable from somewhere.

Each call that changes something is counted, and a process ends itself before, after or within the one it was
told. `SYMPHONY_KILLS` (30) is how often a process is also killed at a moment of chance.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pit_native
from symphony.errors import NotFound
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tiering import Tiering
from tests.tiers import tier_child

KILLS = int(os.environ.get("SYMPHONY_KILLS", "30"))

# The processes are forked from a server that has imported everything and opened nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.tiers.tier_child"])


class Opened:
    """What a next process finds."""

    def __init__(self, home: Path) -> None:
        self.store = pit_native.ArtifactStore(home / "store")
        self.catalogue = Catalogue(home / "tiers.sqlite")
        self.tiers = {name: ArchiveTier(home / name, is_new=True) for name in ("archive", "cloud")}
        for name, tier in self.tiers.items():
            tier.name = name
        self.tiering = Tiering(self.store, self.catalogue, self.tiers)

    def ids(self) -> list[str]:
        return sorted({entry["id"] for entry in self.store.list(limit=1000)})

    def content(self, id: str) -> bytes:
        """The content, without bringing it back."""
        if self.store.is_local(id):
            return self.store.get(id)
        return self.tiering._from_warmest(id, b"".join)


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Opened]:
    found = Opened(home)
    try:
        yield found
    finally:
        found.catalogue.close()
        found.store.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("archive", "cloud"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_no_step_of_tiering_loses_anything_when_the_process_ends_there(place: Path) -> None:
    contents = {}
    with opened(place) as now:
        for number in range(2):
            content = tier_child.content_of(number)
            contents[now.store.put(content, name=f"n{number}")] = content
        doomed = next(iter(contents))
        now.tiering.move(doomed, "cloud")
    (place / "ids").write_text(json.dumps(list(contents)))
    kill_at = 0
    while True:
        process = PROCESSES.Process(target=tier_child.tour, args=(place, kill_at))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        with opened(place) as now:
            assert now.store.verify() == []
            for id, content in contents.items():
                try:
                    assert now.content(id) == content
                except NotFound:
                    assert id == doomed, "only what was to be deleted is gone"
        kill_at += 1
    assert kill_at > 20
    with opened(place) as now:
        now.tiering.recover()
        kept = set(contents) - {doomed}
        assert set(now.ids()) == kept
        objects = [set(tier.keys()) for tier in now.tiers.values()]
        assert set.union(*objects) <= {now.tiering.object_of(id) for id in kept}, "nothing unknown is left"
        assert {copy.state for copy in now.catalogue.copies()} == {"held"}


def test_kills_at_moments_of_chance_lose_nothing(place: Path) -> None:
    chance = random.Random(4)
    expected: set[int] = set()
    for seed in range(KILLS):
        told = place / "told"
        told.write_bytes(b"")
        process = PROCESSES.Process(target=tier_child.wander, args=(place, seed))
        process.start()
        while not told.stat().st_size:
            assert process.exitcode is None, "it ended by itself"
            time.sleep(0.001)
        time.sleep(chance.random() * 0.15)
        assert process.exitcode is None, "it ended by itself"
        process.kill()
        process.join()
        unsure: set[int] = set()
        for line in told.read_text().splitlines()[1:]:
            word, number = line.split()
            (expected.add if word == "put" else expected.discard)(int(number))
            (unsure.add if word == "deleting" else unsure.discard)(int(number))
        with opened(place) as now:
            assert now.store.verify() == []
            found = {int(now.store.info(id)["name"][1:]): id for id in now.ids()}
            for number, id in found.items():
                assert now.content(id) == tier_child.content_of(number)
        # The last put, or the last deletion, may have happened without being told.
        assert expected <= found.keys(), f"lost {expected - found.keys()} in kill {seed}"
        assert len(found.keys() - expected - unsure) <= 1
        expected = set(found)
