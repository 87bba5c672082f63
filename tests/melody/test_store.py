"""The Polyphony Store: versions, search, and what survives."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from symphony.errors import BadInput, NotFound, SymphonyError
from symphony.melody import Melody, WorkflowBuilder
from symphony.melody.store import PolyphonyStore


@pytest.fixture
def store(tmp_path: Path) -> PolyphonyStore:
    return PolyphonyStore(tmp_path / "state.sqlite")


def _melody(name: str = "review", player: str = "symphony/git#log", **metadata: object) -> Melody:
    return WorkflowBuilder(name).add_operator("a", player).metadata(**metadata).build()


def test_saving_assigns_an_id_and_versions(store: PolyphonyStore) -> None:
    first = store.save(_melody())
    assert first.id and uuid.UUID(first.id).version == 7
    assert store.save(_melody()) == first
    second = store.save(_melody(player="symphony/git#authors"))
    assert (second.id, second.version) == (first.id, "1.0.1")
    third = store.save(second.model_copy(update={"version": "2.0.0", "description": "new"}))
    assert [v["version"] for v in store.versions("review")] == ["2.0.0", "1.0.1", "1.0.0"]
    assert store.show("review") == third and store.show(first.id, "1.0.0") == first
    assert store.show(first.id[:12]) == third
    again = store.save(third.model_copy(update={"description": "back", "version": "1.0.0"}))
    assert again.version == "2.0.1"


def test_renaming_keeps_the_id(store: PolyphonyStore) -> None:
    first = store.save(_melody())
    renamed = store.save(first.model_copy(update={"name": "other"}))
    assert renamed.id == first.id and [row["name"] for row in store.list()] == ["other"]
    store.save(_melody("review"))
    with pytest.raises(BadInput, match="Another melody is called review"):
        store.save(renamed.model_copy(update={"name": "review"}))


def test_listing_and_searching(store: PolyphonyStore) -> None:
    store.save(_melody("alpha", tags=["Risk"]))
    store.save(_melody("git-things", player="symphony/data#top"))
    assert [row["name"] for row in store.list()] == ["git-things", "alpha"]
    assert store.list()[1] | {"id": "", "updated": 0} == {
        "id": "", "name": "alpha", "version": "1.0.0", "description": "", "nodes": 1, "updated": 0, "tags": ["Risk"],
    }  # fmt: skip
    assert [row["name"] for row in store.search("git")] == ["git-things", "alpha"]
    assert [row["name"] for row in store.search("RISK git")] == ["alpha"]
    assert store.search("100% '\"") == []


def test_what_is_not_there(store: PolyphonyStore) -> None:
    saved = store.save(_melody())
    for call in (store.show, store.delete, store.versions):
        with pytest.raises(NotFound, match="No melody other"):
            call("other")
    with pytest.raises(NotFound, match=r"no version 9\.9\.9"):
        store.show("review", "9.9.9")
    assert store.delete("review") == saved.id and store.list() == []
    assert store.save(_melody()).version == "1.0.0"


def test_threads_may_save_at_once(store: PolyphonyStore) -> None:
    def save(index: int) -> None:
        store.save(_melody(f"m{index % 3}", description_of=index))

    threads = [threading.Thread(target=save, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list()) == 3
    assert sum(len(store.versions(f"m{i}")) for i in range(3)) == 12
    store.close()


def test_another_opening_sees_what_was_saved(store: PolyphonyStore, tmp_path: Path) -> None:
    store.save(_melody())
    other = PolyphonyStore(tmp_path / "state.sqlite")
    assert other.show("review").name == "review"
    other.close()
    store.close()


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(SymphonyError, match="not a database") as refused:
        PolyphonyStore(tmp_path / "state.sqlite").list()
    assert refused.value.code == "damaged"
