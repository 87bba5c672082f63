"""Contents of the artifact store that come and go piece by piece, and memory that is not copied."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import pit_native
from symphony.errors import BadInput, DamagedArtifact, NotFound, SymphonyError

NOISE = Random(1).randbytes(700_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[pit_native.ArtifactStore]:
    with pit_native.ArtifactStore(tmp_path / "store") as store:
        yield store


def identity(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_stream_is_the_same_as_a_put(store: pit_native.ArtifactStore) -> None:
    with store.writer("a.bin", "application/x-noise", {"run": "r1"}) as writer:
        unfinished = writer.id
        assert unfinished is None
        for start in range(0, len(NOISE), 70_001):
            kind = (bytes, bytearray, memoryview)[start % 3]
            assert writer.write(kind(NOISE[start : start + 70_001])) == len(NOISE[start : start + 70_001])
    assert writer.id == writer.finish() == identity(NOISE) == store.put(NOISE, name="a.bin")
    info = store.info(writer.id)
    assert (info["bytes"], info["version"], info["name"]) == (len(NOISE), 1, "a.bin")
    assert store.get(writer.id) == NOISE
    small = store.writer("small")
    small.write(memoryview(b"abcdef")[::2])
    assert small.finish() == identity(b"ace")
    assert store.writer("empty").finish() == identity(b"")
    assert store.verify() == []


def test_what_is_not_finished_leaves_nothing(store: pit_native.ArtifactStore) -> None:
    with pytest.raises(ZeroDivisionError), store.writer("a") as writer:
        writer.write(NOISE)
        raise ZeroDivisionError
    assert store.list() == [] and store.stats()["puts"] == 0 and writer.id is None
    for call in (writer.finish, lambda: writer.write(b"more")):
        with pytest.raises(ValueError, match="aborted"):
            call()
    store.gc([])
    assert store.stats()["chunks"] == 0 and store.stats()["stored_bytes"] < 1000
    with pytest.raises(BadInput):
        store.writer("")


def test_a_reader_is_a_binary_file(store: pit_native.ArtifactStore) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("noise", NOISE)
        made.writestr("words", "some words " * 9000)
    aid = store.put(archive.getvalue(), name="a.zip")
    with store.reader(aid) as reader:
        assert reader.size == len(archive.getvalue()) and reader.readable() and reader.seekable()
        with zipfile.ZipFile(reader) as opened:
            assert opened.read("noise") == NOISE and opened.testzip() is None
        assert reader.seek(-5, 2) == reader.size - 5 and len(reader.read(100)) == 5
        assert reader.read() == b"" and reader.tell() == reader.size
        reader.seek(0)
        copied = io.BytesIO()
        shutil.copyfileobj(reader, copied, 100_000)
        assert copied.getvalue() == archive.getvalue()
        into = bytearray(1000)
        assert reader.seek(7) == 7 and reader.readinto(into) == 1000
        assert into == archive.getvalue()[7:1007]
        for wrong in (b"read only", memoryview(into)[::2], "text"):
            with pytest.raises(BadInput):
                reader.readinto(wrong)  # type: ignore[arg-type]
        with pytest.raises(BadInput):
            reader.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    with pytest.raises(NotFound):
        store.reader("sha256:" + "0" * 64)


def test_a_part_of_a_content_is_read_alone(store: pit_native.ArtifactStore) -> None:
    for content in (NOISE, b"short"):
        aid = store.put(content, name="a")
        for offset, length in ((0, 3), (1, None), (len(content) - 2, 9), (len(content) + 9, 9), (2, 0)):
            end = None if length is None else offset + length
            assert store.get(aid, offset, length) == content[offset:end]


def test_damage_is_met_where_it_is(store: pit_native.ArtifactStore, tmp_path: Path) -> None:
    aid = store.put(NOISE, name="a")
    log = next((tmp_path / "store" / "segments").iterdir())
    at = log.read_bytes().index(NOISE[400_000:400_032])
    with log.open("r+b") as file:
        file.seek(at)
        file.write(bytes([NOISE[400_000] ^ 1]))
    assert store.get(aid, 0, 1000) == NOISE[:1000]
    with store.reader(aid) as reader, pytest.raises(DamagedArtifact, match=aid):
        while reader.read(50_000):
            pass
    with pytest.raises(DamagedArtifact):
        store.get(aid)
    assert store.put(NOISE, name="a") == aid and store.get(aid) == NOISE


def test_a_closed_store_ends_streams_too(tmp_path: Path) -> None:
    store = pit_native.ArtifactStore(tmp_path)
    aid = store.put(NOISE, name="a")
    writer, reader = store.writer("b"), store.reader(aid)
    store.close()
    for call in (lambda: writer.write(b"x"), lambda: reader.read(1)):
        with pytest.raises(SymphonyError) as caught:
            call()
        assert caught.value.code == "closed"


def test_what_is_written_to_meanwhile_is_stored_as_it_was_digested(
    store: pit_native.ArtifactStore,
) -> None:
    content = bytearray(NOISE)
    done = threading.Event()

    def scribble() -> None:
        number = 0
        while not done.is_set():
            content[number % len(content)] ^= 0xFF
            number += 4099

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        ids = {store.put(content, name="a") for _ in range(20)}
    finally:
        done.set()
        thread.join()
    for aid in ids:
        assert identity(store.get(aid)) == aid
    assert store.verify() == []


# Peaks are of a process of its own; each step says by how much the peak may have grown at its end.
MEMORY = """
import os, sys
from pit_native import ArtifactStore

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

MIB = 1 << 20
store = ArtifactStore(sys.argv[1])
piece = os.urandom(MIB)
store.get(store.put(piece, name="warm"))
store.flush_search()
before = peak()

def step(name, most):
    global before
    after = peak()
    assert after - before <= most, f"{name}: {(after - before) / MIB:.1f} MiB more"
    before = after

with store.writer("large") as writer:
    for number in range(256):
        writer.write(number.to_bytes(8, "big"))
        writer.write(piece)
step("streamed in", 24 * MIB)
with store.reader(writer.id) as reader:
    buffer = bytearray(MIB)
    count = 0
    while got := reader.readinto(buffer):
        count += got
assert count == 256 * (MIB + 8)
step("streamed out", 24 * MIB)
assert store.get(writer.id, 200 * MIB, MIB)
step("a part", 8 * MIB)
content = piece * 96
before = peak()
aid = store.put(content, name="whole")
step("bytes are put without a copy", 24 * MIB)
view = memoryview(content)
assert store.put(view[1:], name="view") != aid
step("a view is put without a copy", 24 * MIB)
shared = bytearray(content)
before = peak()
assert store.put(shared, name="whole") == aid
step("a bytearray is put without a copy of the whole", 24 * MIB)
del shared
before = peak()
assert len(store.get(aid)) == len(content)
step("got into the object that is returned", 96 * MIB + 24 * MIB)
"""


def test_large_contents_need_little_memory(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "store")], check=True, timeout=300)
