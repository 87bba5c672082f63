"""The artifact store as Python sees it: identity, versions, lists, search, errors."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pit_native
from symphony.errors import BadInput, DamagedArtifact, HostBusy, NotFound, SymphonyError
from symphony.types.runs import ArtifactInfo


@pytest.fixture
def store(tmp_path: Path) -> Iterator[pit_native.ArtifactStore]:
    with pit_native.ArtifactStore(tmp_path / "store") as store:
        yield store


def segment(path: Path) -> Path:
    return next((path / "segments").iterdir())


def test_an_id_is_the_sha_256_of_the_content(store: pit_native.ArtifactStore) -> None:
    for content in (b"", b"content", bytes(range(256)) * 4096):
        expected = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert store.put(content, name="a") == expected
        assert store.get(expected) == content


def test_bytes_bytearrays_and_views_are_taken(store: pit_native.ArtifactStore) -> None:
    content = b"0123456789" * 10_000
    ids = {store.put(kind(content), name="a") for kind in (bytes, bytearray, memoryview)}
    ids.add(store.put(memoryview(b"_" + content)[1:], name="a"))
    assert len(ids) == 1 and store.stats()["artifacts"] == 1
    every_second = memoryview(content)[::2]
    assert store.get(store.put(every_second, name="b")) == bytes(every_second)
    for wrong in ("text", None, 3, memoryview(content).cast("I")):
        with pytest.raises(BadInput):
            store.put(wrong, name="c")  # type: ignore[arg-type]


def test_an_entry_has_all_that_the_host_shows(store: pit_native.ArtifactStore) -> None:
    meta = {"run": "r1", "node": "n1", "deep": {"list": [1, 2.5, None, True, "ü"], "big": 2**63}}
    before = time.time()
    aid = store.put(b"# Title\n\nSome words stand here.\n", "report.md", "text/markdown", meta)
    info = store.info(aid)
    assert set(ArtifactInfo.__dataclass_fields__) <= set(info)
    assert {key: info[key] for key in ("id", "name", "type", "bytes", "run", "node", "version")} == {
        "id": aid,
        "name": "report.md",
        "type": "text/markdown",
        "bytes": 32,
        "run": "r1",
        "node": "n1",
        "version": 1,
    }
    assert info["meta"] == meta
    assert before <= info["created"] <= time.time()
    assert info["quality"] == 1.0 and info["reasons"] == ["sound text/markdown"]


def test_quality_says_what_is_wanting(store: pit_native.ArtifactStore) -> None:
    info = store.info(store.put(b'{"a": ', "broken.json", "application/json"))
    assert 0 < info["quality"] < 0.5
    assert "line 1" in info["reasons"][0]


def test_versions_count_contents_under_a_name(store: pit_native.ArtifactStore) -> None:
    for content in (b"one", b"two", b"two", b"three"):
        store.put(content, name="report.md")
    store.put(b"one", name="other.md")
    assert [info["version"] for info in store.versions("report.md")] == [1, 2, 3]
    assert store.versions("unknown") == []
    assert store.get(store.versions("report.md")[1]["id"]) == b"two"


def test_lists_are_newest_first_and_can_be_filtered(store: pit_native.ArtifactStore) -> None:
    for number in range(6):
        store.put(
            f"content {number}".encode(),
            name=f"a{number}",
            type="text/csv" if number % 2 else "text/plain",
            meta={"run": f"r{number // 2}"},
        )
    names = [info["name"] for info in store.list()]
    assert names == ["a5", "a4", "a3", "a2", "a1", "a0"]
    assert [info["name"] for info in store.list(2, 1)] == ["a4", "a3"]
    assert [info["name"] for info in store.list(type="text/csv")] == ["a5", "a3", "a1"]
    assert [info["name"] for info in store.list(run="r1", type="text/plain")] == ["a2"]
    assert [info["name"] for info in store.list(name="a4")] == ["a4"]
    assert store.list(run="unknown") == []


def test_a_run_that_makes_the_same_again_has_it_in_its_own_list(store: pit_native.ArtifactStore) -> None:
    for run in ("r1", "r2"):
        aid = store.put(b"same", name="a", meta={"run": run})
    assert [info["run"] for info in store.list()] == ["r2"]
    assert [info["id"] for info in store.list(run="r1")] == [aid]
    assert store.stats()["artifacts"] == 1


def test_new_artifacts_are_found_within_a_second(store: pit_native.ArtifactStore) -> None:
    aid = store.put("Die größte Datei: churn\n".encode(), "report.md", "text/markdown", {"run": "r1"})
    store.put(b"nothing", "other.txt", "text/plain", {"run": "r2"})
    deadline = time.monotonic() + 1
    while not (hits := store.search("churn")):
        assert time.monotonic() < deadline + 5, "not found"
        time.sleep(0.01)
    assert [hit["id"] for hit in hits] == [aid]
    assert set(hits[0]) == {"id", "name", "type", "score", "snippet"}
    assert "größte Datei" in hits[0]["snippet"] and hits[0]["score"] > 0
    store.flush_search()
    for query, names in {
        "GRÖSSTE": ["report.md"],
        "grosste": ["report.md"],
        '"größte datei"': ["report.md"],
        "type:text/plain": ["other.txt"],
        "run:r1": ["report.md"],
        "name:other": ["other.txt"],
        "churn nothing": ["report.md", "other.txt"],
        "churn -datei": [],
        "": ["report.md", "other.txt"],
        "(((": [],
    }.items():
        found = {hit["name"] for hit in store.search(query, limit=10)}
        assert found == set(names), query
    store.remove(aid)
    assert store.search("churn") == []


def test_what_was_removed_or_collected_is_gone(store: pit_native.ArtifactStore) -> None:
    ids = [store.put(f"{number}".encode() * 1000, name=f"a{number}") for number in range(10)]
    assert store.remove(ids[0]) and not store.remove(ids[0])
    with pytest.raises(NotFound):
        store.get(ids[0])
    done = store.gc(ids[5:])
    assert done["removed"] == 4 and done["bytes"] == 4000 and done["freed"] > 0
    assert {info["id"] for info in store.list()} == set(ids[5:])
    assert all(store.get(aid) for aid in ids[5:])
    assert store.gc([], before=0.0)["removed"] == 0
    assert store.verify() == []


def test_a_flipped_bit_is_found_and_named(store: pit_native.ArtifactStore, tmp_path: Path) -> None:
    content = b"a content that will be damaged"
    aid = store.put(content, name="a")
    file = segment(tmp_path / "store")
    at = file.read_bytes().index(content)
    with file.open("r+b") as log:
        log.seek(at)
        log.write(b"A")
    with pytest.raises(DamagedArtifact, match=aid):
        store.get(aid)
    findings = store.verify()
    assert [finding["id"] for finding in findings] == [aid]
    assert set(findings[0]) == {"code", "file", "offset", "id", "message"}
    assert store.put(content, name="a") == aid
    assert store.get(aid) == content


def test_a_second_writer_and_a_closed_store_are_told(tmp_path: Path) -> None:
    store = pit_native.ArtifactStore(tmp_path)
    with pytest.raises(HostBusy, match="in use"):
        pit_native.ArtifactStore(tmp_path)
    store.close()
    store.close()
    with pytest.raises(SymphonyError) as caught:
        store.put(b"x", name="a")
    assert caught.value.code == "closed"
    pit_native.ArtifactStore(tmp_path).close()


def test_wrong_arguments_are_told(store: pit_native.ArtifactStore, tmp_path: Path) -> None:
    unknown = "sha256:" + "0" * 64
    for call in (store.get, store.info):
        with pytest.raises(NotFound):
            call(unknown)
    for wrong in ("", "sha256:12", "md5:" + "0" * 64, "sha256:" + "g" * 64):
        with pytest.raises(BadInput):
            store.get(wrong)
    with pytest.raises(BadInput):
        store.put(b"x", name="")
    for meta in ({"a": object()}, {1: 2}, {"a": float("nan")}, {"a": 2**64}):
        with pytest.raises(BadInput):
            store.put(b"x", name="a", meta=meta)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        pit_native.ArtifactStore(tmp_path / "sealed", key=b"short")


def test_a_sealed_store_opens_only_with_its_key(tmp_path: Path) -> None:
    with pit_native.ArtifactStore(tmp_path, key=b"k" * 32) as store:
        aid = store.put(b"the secret words", name="secret.txt", type="text/plain")
        store.flush_search()
        assert [hit["id"] for hit in store.search("words")] == [aid]
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"secret" not in file.read_bytes()
    for key in (None, b"x" * 32):
        with pytest.raises(BadInput) as caught:
            pit_native.ArtifactStore(tmp_path, key=key)
        assert caught.value.code == "wrong_key"
    with pit_native.ArtifactStore(tmp_path, key=b"k" * 32) as store:
        assert store.get(aid) == b"the secret words"
        store.flush_search()
        assert [hit["snippet"] for hit in store.search("words")] == ["the secret words"]


def test_putting_lets_other_threads_run(store: pit_native.ArtifactStore) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    for number in range(20):
        store.put(f"content {number}".encode() * 5000, name="a")
    done.set()
    thread.join()
    assert ticks > 0 and store.stats()["puts"] == 20
