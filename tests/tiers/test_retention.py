"""What is planned from the store's index alone is what its entries, pins, holds and uses ask for."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pit_native
from symphony.errors import ArtifactHeld
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.retention import Retention
from symphony.tiers.tiering import Tiering
from tests.tiers.conftest import archive_in

DAY = 86_400.0
POLICY = {"cloud": True, "delete_days": 60, "keep_value": 0.6}


class Planned:
    """A store with all that plans over it; the plan is executed by moving in folders."""

    def __init__(self, folder: Path, secret: bytes | None, worth: Mapping[str, float], policy: Any) -> None:
        self.store = pit_native.ArtifactStore(folder / "store")
        self.catalogue = Catalogue(folder / "tiers.sqlite")
        (folder / "cloud").mkdir()
        cloud = ArchiveTier(folder / "cloud", is_new=True)
        cloud.name = "cloud"
        self.tiers = {"archive": archive_in(folder / "archive"), "cloud": cloud}
        self.tiering = Tiering(self.store, self.catalogue, self.tiers, secret=secret)
        self.policy, self.worth, self.folder = policy, worth, folder
        self.stale = pit_native.StaleManager(policy)
        self.retention = Retention(
            self.store, self.stale, self.catalogue, self.tiering, folder, lambda: worth
        )

    def close(self) -> None:
        self.catalogue.close()
        self.store.close()

    def by_its_entries(self, now: float) -> list[tuple[str, str, str]]:
        """The same plan as somebody makes it who reads every entry, and asks for each artifact by itself."""
        stale = pit_native.StaleManager(self.policy)
        pins, uses, held = self.catalogue.pins(), self.catalogue.uses(), self.store.held()
        values: dict[str, float] = {}
        for entry in self.store.list(limit=10_000):
            id = entry["id"]
            value = max(entry["quality"] / 2, self.worth.get(entry["run"].partition("/")[0], 0.0))
            values[id] = max(value, values.get(id, 0.0))
            stale.register(id, entry["bytes"], entry["created"], values[id])
        for id, place in self.tiering.places(values).items():
            stale.moved(id, place)
            stale.set_hold(id, id in held)
            name = self.tiering.object_of(id)
            if name in pins:
                stale.pin(id)
            if name in uses:
                stale.used(id, uses[name])
        return [(due["action"], due["id"], due["reason"]) for due in stale.plan(now, 1 << 60)]

    def planned(self, now: float) -> list[tuple[str, str, str]]:
        return [(one.kind, one.id, one.reason) for one in self.retention.plan(now)]


which = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("put"), which, st.sampled_from(["", "r1", "r1/n2", "r2"])),
    st.tuples(
        st.sampled_from(["pin", "unpin", "hold", "release", "archive", "cloud", "read", "delete"]), which
    ),
)


def take(world: Planned, kind: str, number: int, run: str = "") -> None:
    content = (f"zebras graze at dawn, says {number}. " * 40).encode()
    if kind == "put":
        world.store.put(content, name=f"n{number % 3}", type="text/plain", meta={"run": run})
        return
    id = world.store.put(content, name=f"n{number % 3}", type="text/plain", meta={"run": "r3"})
    if kind in ("pin", "unpin"):
        world.retention.pin(id, kind == "pin")
    elif kind == "hold":
        world.store.hold(id, "case 7")
    elif kind == "release":
        world.store.lift_hold(id)
    elif kind == "read":
        world.tiering.move(id, "archive")
        world.retention.read(id)
    elif kind == "delete":
        try:
            world.retention.delete(id)
        except ArtifactHeld:
            assert id in world.store.held()
    else:
        world.tiering.move(id, kind)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(steps, max_size=14),
    st.sampled_from([None, bytes(range(32))]),
    st.dictionaries(st.sampled_from(["r1", "r2"]), st.floats(0, 1)),
    st.sampled_from([POLICY, {**POLICY, "disk_budget": 2000, "pressure_delete": True}]),
)
def test_a_plan_from_the_index_is_the_plan_from_the_entries(
    plan: list[tuple[Any, ...]], secret: bytes | None, worth: dict[str, float], policy: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Planned(Path(folder), secret, worth, policy)
        for step in plan:
            take(world, *step)
        for days in (0, 8, 31, 61):
            now = time.time() + days * DAY
            due = world.planned(now)
            assert due == world.by_its_entries(now)
            assert due == world.planned(now), "planning changes nothing"
            pinned, held = world.catalogue.pins(), world.store.held()
            for kind, id, _ in due:
                assert world.tiering.object_of(id) not in pinned
                assert kind != "delete" or id not in held
        # What is executed is not due again.
        for action in world.retention.plan(now):
            world.retention.execute(action)
        assert world.planned(now) == []
        world.close()


@pytest.mark.parametrize("secret", [None, bytes(range(32))])
def test_what_went_and_what_was_let_go_is_forgotten(tmp_path: Path, secret: bytes | None) -> None:
    world = Planned(tmp_path, secret, {}, POLICY)
    ids = [world.store.put(b"%d" % number, name="a", type="text/plain") for number in range(3)]
    later = time.time() + 8 * DAY
    world.retention.pin(ids[0], True)
    world.store.hold(ids[1], "case 7")
    assert {one.id for one in world.retention.plan(later)} == set(ids[1:])
    assert [world.stale.item(id)["is_held"] for id in ids] == [False, True, False]  # type: ignore[index]
    world.retention.pin(ids[0], False)
    world.store.lift_hold(ids[1])
    world.store.remove(ids[2])
    assert {one.id for one in world.retention.plan(later)} == set(ids[:2])
    assert world.stale.item(ids[2]) is None
    assert not any(world.stale.item(id)["is_held"] for id in ids[:2])  # type: ignore[index]
    world.close()


def test_a_plan_reads_no_record_of_what_is_not_due(tmp_path: Path) -> None:
    world = Planned(tmp_path, None, {}, {**POLICY, "disk_budget": 1000})
    noise = random.Random(7)
    ids = [
        world.store.put(noise.randbytes(600), name=f"n{number}", type="application/octet-stream")
        for number in range(4)
    ]
    (segment,) = (tmp_path / "store" / "segments").iterdir()
    with segment.open("r+b") as file:
        length = file.seek(0, 2)
        file.seek(200)
        file.write(bytes(length - 200))
    due = world.retention.plan()
    assert len(due) == 3 and {one.id for one in due} <= set(ids)
    assert all(one.name == one.id for one in due), "the name of a damaged entry is not known"
    world.close()


def test_all_ids_come_page_by_page(tmp_path: Path) -> None:
    with pit_native.ArtifactStore(tmp_path) as store:
        ids = sorted(store.put(b"%d" % number, name="a", type="text/plain") for number in range(25))
        pages, after = [], ""
        while page := store.ids(after, 10):
            pages.append(page)
            after = page[-1]
        assert [len(page) for page in pages] == [10, 10, 5]
        assert [id for page in pages for id in page] == ids
