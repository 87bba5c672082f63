"""Moving, reading back, deleting, recovering: on a real store, a real catalogue and real folders."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import pit_native
from symphony.errors import (
    ArtifactHeld,
    ArtifactRemote,
    BadInput,
    DamagedArtifact,
    EnvironmentLacks,
    NotFound,
    StorageFull,
    TierUnreachable,
)
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tiering import Tiering
from tests.tiers.conftest import archive_in


class Switched(ArchiveTier):
    """A folder that can be out of reach."""

    is_away = False

    def _ready(self) -> None:
        if self.is_away:
            raise TierUnreachable("The cloud tier is away")
        super()._ready()


class World:
    """A store with an archive and a cloud, both folders."""

    def __init__(self, store: pit_native.ArtifactStore, catalogue: Catalogue, folder: Path) -> None:
        self.store, self.catalogue = store, catalogue
        self.archive = archive_in(folder / "archive")
        (folder / "cloud").mkdir()
        self.cloud = Switched(folder / "cloud", is_new=True)
        self.cloud.name = "cloud"
        self.secret: bytes | None = None
        self.tiering = self.made()

    def made(self) -> Tiering:
        tiers = {"archive": self.archive, "cloud": self.cloud}
        return Tiering(self.store, self.catalogue, tiers, secret=self.secret, clock=lambda: 1000.0)

    def put(self, text: str = "zebras graze at dawn") -> tuple[str, bytes]:
        content = text.encode()
        return self.store.put(content, name="a.txt", type="text/plain"), content

    def place(self, id: str) -> str:
        return self.tiering.places([id])[id]

    def objects(self) -> tuple[int, int]:
        return len(list(self.archive.keys())), len(list(self.cloud.keys()))


@pytest.fixture
def world(store: pit_native.ArtifactStore, catalogue: Catalogue, tmp_path: Path) -> World:
    return World(store, catalogue, tmp_path)


def test_an_artifact_goes_through_the_tiers_and_comes_back(world: World) -> None:
    id, content = world.put()
    assert world.place(id) == "active"
    world.tiering.move(id, "archive")
    assert (world.place(id), world.objects()) == ("archive", (1, 0))
    with pytest.raises(ArtifactRemote):
        world.store.get(id)
    world.tiering.move(id, "cloud")
    assert (world.place(id), world.objects()) == ("cloud", (0, 1))
    world.store.flush_search()
    assert [hit["id"] for hit in world.store.search("zebras")] == [id], "it is still found"
    assert world.store.info(id)["name"] == "a.txt"
    seen: list[tuple[int, int]] = []
    world.tiering.bring_back(id, lambda done, whole: seen.append((done, whole)))
    assert seen[-1] == (len(content), len(content)) and world.tiering.read(id) == content
    assert world.place(id) == "active" and world.store.get(id) == content
    assert world.catalogue.uses() == {world.tiering.object_of(id): 1000.0}
    # The copy stays, so leaving again costs no upload.
    assert world.objects() == (0, 1)
    world.cloud.write = None  # type: ignore[assignment,method-assign]
    world.tiering.move(id, "cloud")
    assert world.place(id) == "cloud" and world.tiering.read(id) == content


def test_what_was_moved_twice_is_where_it_is(world: World) -> None:
    id, content = world.put()
    for _ in range(2):
        world.tiering.move(id, "archive")
    assert world.objects() == (1, 0) and world.tiering.read(id) == content
    world.tiering.move(id, "active")
    assert world.place(id) == "active"
    with pytest.raises(NotFound):
        world.tiering.move("sha256:" + "0" * 64, "archive")


def test_a_tier_that_does_not_answer_is_one_clear_error_and_costs_nothing(world: World) -> None:
    id, content = world.put()
    world.cloud.is_away = True
    with pytest.raises(TierUnreachable):
        world.tiering.move(id, "cloud")
    assert world.place(id) == "active" and world.store.get(id) == content
    world.cloud.is_away = False
    world.tiering.move(id, "cloud")
    world.cloud.is_away = True
    with pytest.raises(TierUnreachable, match="cloud"):
        world.tiering.read(id)
    assert world.place(id) == "cloud"
    world.cloud.is_away = False
    assert world.tiering.read(id) == content


def test_what_was_written_wrong_is_not_committed(world: World) -> None:
    id, content = world.put()
    right = world.archive.write

    def lossy(key: str, pieces: Iterable[bytes]) -> int:
        return right(key, [b"".join(pieces)[:-1]])

    world.archive.write = lossy  # type: ignore[method-assign]
    with pytest.raises(DamagedArtifact, match="archive"):
        world.tiering.move(id, "archive")
    assert world.place(id) == "active" and world.store.get(id) == content
    assert world.tiering.recover().removed == 1
    assert world.objects() == (0, 0) and world.catalogue.copies() == []


def test_a_copy_that_rots_is_found_and_written_again_before_the_bytes_go(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "archive")
    world.tiering.read(id)
    file = next(path for path in world.archive._files())
    file.write_bytes(file.read_bytes()[:-3] + b"rot")
    world.tiering.move(id, "archive")
    assert world.tiering.read(id) == content


def test_damage_in_the_store_is_healed_from_a_copy(world: World, tmp_path: Path) -> None:
    content = os.urandom(3000)
    id = world.store.put(content, name="a.bin")
    world.tiering.move(id, "archive")
    world.tiering.read(id)
    segment = sorted((tmp_path / "store" / "segments").iterdir())[-1]
    with segment.open("r+b") as file:
        file.seek(segment.read_bytes().rindex(content) + 100)
        file.write(bytes([content[100] ^ 1]))
    with pytest.raises(DamagedArtifact):
        world.store.get(id)
    assert world.tiering.read(id) == content
    assert world.store.get(id) == content


def test_damage_everywhere_is_told(world: World) -> None:
    id, _ = world.put()
    world.tiering.move(id, "archive")
    for file in world.archive._files():
        file.write_bytes(b"noise")
    with pytest.raises(DamagedArtifact, match="archive"):
        world.tiering.read(id)
    for file in world.archive._files():
        file.unlink()
    with pytest.raises(DamagedArtifact, match="No tier holds"):
        world.tiering.read(id)


def test_nobody_deletes_what_is_held(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "cloud")
    world.store.hold(id, "case 7")
    with pytest.raises(ArtifactHeld, match="case 7"):
        world.tiering.delete(id)
    assert world.tiering.read(id) == content
    world.store.lift_hold(id)
    world.tiering.delete(id)
    assert world.objects() == (0, 0) and world.catalogue.copies() == []
    with pytest.raises(NotFound):
        world.store.info(id)
    with pytest.raises(NotFound):
        world.tiering.delete(id)


def test_a_hold_that_comes_at_the_last_moment_takes_the_deletion_back(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "cloud")
    world.store.hold(id, "case 7")

    class Late:
        """The store, as it was a moment before the hold."""

        def __getattr__(self, name: str) -> object:
            return getattr(world.store, name)

        def held(self) -> dict[str, str]:
            return {}

    with pytest.raises(ArtifactHeld):
        Tiering(Late(), world.catalogue, {"cloud": world.cloud}).delete(id)  # type: ignore[arg-type]
    assert [copy.state for copy in world.catalogue.copies()] == ["held"]
    assert world.tiering.read(id) == content


def test_what_cannot_be_removed_now_is_removed_later(world: World) -> None:
    gone, _ = world.put("one")
    kept, content = world.put("two")
    for id in (gone, kept):
        world.tiering.move(id, "cloud")
    world.cloud.is_away = True
    world.tiering.delete(gone)
    assert [copy.state for copy in world.catalogue.copies()].count("leaving") == 1
    assert world.tiering.recover().removed == 0
    world.cloud.is_away = False
    assert world.tiering.recover().removed == 1
    assert world.objects() == (0, 1) and world.tiering.read(kept) == content


def test_a_deletion_that_was_interrupted_before_its_commit_is_taken_back(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "cloud")
    world.catalogue.set_states([world.tiering.object_of(id)], "leaving", of="held")
    assert world.tiering.read(id) == content, "also before anybody recovers"
    world.store.evict(id)
    assert world.tiering.recover().taken_back == 1
    assert world.tiering.read(id) == content


def test_the_store_knows_in_which_tier_the_bytes_are(world: World) -> None:
    id, content = world.put()
    assert world.store.whereabouts(id) == ("here", None)
    for tier in ("archive", "cloud"):
        world.tiering.move(id, tier)
        assert world.store.whereabouts(id) == ("remote", tier)
        with pytest.raises(ArtifactRemote, match=f"kept in the {tier} tier"):
            world.store.get(id)
    assert world.tiering.read(id) == content
    assert world.store.whereabouts(id) == ("here", None)


def test_a_full_disk_does_not_keep_the_reader_waiting(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "archive")

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(world.store, name)

        def restorer(self, id: str) -> object:
            raise StorageFull("no space")

    tiering = Tiering(Full(), world.catalogue, {"archive": world.archive})  # type: ignore[arg-type]
    assert tiering.read(id) == content
    with pytest.raises(StorageFull):
        tiering.bring_back(id)
    assert world.place(id) == "archive"


def test_an_encrypted_store_stays_so_in_the_tiers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    plain, _ = world.put("words that leave as they are " * 50)
    with caplog.at_level(logging.WARNING):
        world.tiering.move(plain, "cloud")
        world.tiering.move(world.put("more of them")[0], "cloud")
    assert sum("not encrypted" in record.message for record in caplog.records) == 1, "it is said once"
    assert plain.removeprefix("sha256:") in set(world.cloud.keys())
    world.secret = os.urandom(32)
    world.tiering = world.made()
    caplog.clear()
    id, content = world.put("secret words " * 50)
    world.tiering.move(id, "cloud")
    digest = id.removeprefix("sha256:")
    assert digest not in set(world.cloud.keys()), "not even the name tells what it is"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert digest not in {copy.object for copy in world.catalogue.copies()}
    assert world.tiering.read(id) == content
    # What left before is still found, and leaves encrypted the next time.
    assert b"leave as they are" in world.tiering.read(plain)


def test_a_tier_that_was_taken_away_is_told(world: World) -> None:
    id, _ = world.put()
    world.tiering.move(id, "cloud")
    alone = Tiering(world.store, world.catalogue, {})
    assert alone.places([id]) == {id: "cloud"}
    with pytest.raises(TierUnreachable, match=r"pit\.stale\.cloud"):
        alone.read(id)


def test_a_reader_follows_an_artifact_that_moves_meanwhile(world: World) -> None:
    id, content = world.put()
    world.tiering.move(id, "archive")
    right: Callable[[str], Iterator[bytes]] = world.archive.read

    def overtaken(key: str) -> Iterator[bytes]:
        world.archive.read = right  # type: ignore[method-assign]
        world.tiering.move(id, "cloud")
        return right(key)

    world.archive.read = overtaken  # type: ignore[method-assign]
    assert world.tiering.read(id) == content


def test_a_damaged_catalogue_is_told(tmp_path: Path) -> None:
    file = tmp_path / "tiers.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(EnvironmentLacks, match="damaged"):
        Catalogue(file)


def test_the_catalogue_is_synced_and_for_its_owner_alone(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "tiers.sqlite")
    assert catalogue._do("PRAGMA synchronous") == [(2,)]
    assert (tmp_path / "tiers.sqlite").stat().st_mode & 0o77 == 0
    home = catalogue.home
    catalogue.close()
    again = Catalogue(tmp_path / "tiers.sqlite")
    assert again.home == home
    again.close()
    with pytest.raises(sqlite3.ProgrammingError):
        again._database.execute("SELECT 1")


def test_the_store_refuses_other_bytes(world: World) -> None:
    id, _ = world.put()
    world.store.evict(id)
    with pytest.raises(BadInput):
        world.store.restore(id, b"other bytes")
