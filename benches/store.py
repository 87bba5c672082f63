"""The Artifact Store beside SQLite with full synchronisation and plain files."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

from benches.measure import Row, compare, seconds
from pit_native import ArtifactStore

SIZE = 10 << 10
COUNT = 100


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that `build/` is on: a tmpfs would make a sync free."""
    base = Path("build/bench")
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as name:
        yield Path(name)


def contents(count: int) -> list[bytes]:
    """Different every time, so that nothing is found again."""
    return [os.urandom(SIZE) for _ in range(count)]


def sqlite(path: Path) -> sqlite3.Connection:
    """The peer: one table with content and the same metadata, WAL, synchronous=FULL."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("create table a(id text primary key, name text, type text, meta text, content blob)")
    return db


def put(name: str) -> Row:
    """One durable put of 10 KiB after another."""
    with folder() as place:
        store, db = ArtifactStore(str(place / "store")), sqlite(place / "peer.sqlite")

        def theirs() -> float:
            data = contents(COUNT)

            def work() -> None:
                for d in data:
                    key = hashlib.sha256(d).hexdigest()
                    db.execute(
                        "insert into a values(?,?,?,?,?)",
                        (key, "x", "application/octet-stream", '{"run":"r"}', d),
                    )

            return seconds(work) / COUNT

        how = "10 KiB random, one writer"
        row = compare(
            name, lambda: _put(store), "SQLite synchronous=FULL", theirs, unit="µs", scale=1e6, how=how
        )
        store.close()
        db.close()
        return row


def put_lmdb(name: str) -> Row:
    """The same beside LMDB, which syncs each transaction."""
    import lmdb

    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        peer = lmdb.open(str(place / "lmdb"), map_size=1 << 30)

        def theirs() -> float:
            data = contents(COUNT)

            def work() -> None:
                for d in data:
                    with peer.begin(write=True) as transaction:
                        transaction.put(hashlib.sha256(d).digest(), d)

            return seconds(work) / COUNT

        how = "10 KiB random, one writer; the peer keeps no metadata"
        row = compare(name, lambda: _put(store), "LMDB", theirs, unit="µs", scale=1e6, how=how)
        store.close()
        peer.close()
        return row


def put_file(name: str) -> Row:
    """The same beside a file that is written, synced and renamed."""
    with folder() as place:
        store = ArtifactStore(str(place / "store"))

        def theirs() -> float:
            data = contents(COUNT)

            def work() -> None:
                for d in data:
                    beside = place / "new"
                    with beside.open("wb") as file:
                        file.write(d)
                        file.flush()
                        os.fsync(file.fileno())
                    beside.rename(place / hashlib.sha256(d).hexdigest())

            return seconds(work) / COUNT

        how = "10 KiB random, one writer; the peer does not sync the folder and keeps no metadata"
        row = compare(
            name, lambda: _put(store), "file + fsync + rename", theirs, unit="µs", scale=1e6, how=how
        )
        store.close()
        return row


def put_git(name: str) -> Row:
    """The same beside a loose object of git, which by default is not synced."""
    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        subprocess.run(["git", "init", "-q", place / "git"], check=True)

        def theirs() -> float:
            paths = []
            for i, d in enumerate(contents(COUNT)):
                path = place / f"object-{i}"
                path.write_bytes(d)
                paths.append(str(path))
            command = ["git", "-C", str(place / "git"), "hash-object", "-w", "--stdin-paths"]
            listing = "\n".join(str(Path(p).resolve()) for p in paths)
            return (
                seconds(
                    lambda: subprocess.run(command, input=listing, text=True, capture_output=True, check=True)
                )
                / COUNT
            )

        how = "10 KiB random; the peer writes 100 objects in one process and syncs none"
        row = compare(
            name, lambda: _put(store), "git object, not synced", theirs, unit="µs", scale=1e6, how=how
        )
        store.close()
        return row


def _put(store: ArtifactStore) -> float:
    """Seconds of one durable put of 10 KiB."""
    data = contents(COUNT)
    kind, meta = "application/octet-stream", {"run": "r"}
    return seconds(lambda: [store.put(d, name="x", type=kind, meta=meta) for d in data]) / COUNT


WRITERS = 64


def put_many(name: str) -> Row:
    """64 writers at once: group commit. Each is a thread that puts ten contents, one after the other."""
    with folder() as place:
        store, db = ArtifactStore(str(place / "store")), sqlite(place / "peer.sqlite")

        def ours() -> float:
            shares = [contents(10) for _ in range(WRITERS)]
            ready = Barrier(WRITERS + 1)

            def write(share: list[bytes]) -> None:
                ready.wait()
                for d in share:
                    store.put(d, name="x", type="application/octet-stream", meta={})

            threads = [Thread(target=write, args=(share,)) for share in shares]
            for thread in threads:
                thread.start()

            def work() -> None:
                ready.wait()
                for thread in threads:
                    thread.join()

            return seconds(work) / (10 * WRITERS)

        def theirs() -> float:
            data = contents(WRITERS)

            def work() -> None:
                for d in data:
                    db.execute(
                        "insert into a values(?,?,?,?,?)",
                        (hashlib.sha256(d).hexdigest(), "x", "t", "{}", d),
                    )

            return seconds(work) / WRITERS

        how = "10 KiB, 64 threads that are there, ten puts each, every one durable when it returns"
        row = compare(name, ours, "SQLite FULL, one writer", theirs, unit="µs", scale=1e6, how=how)
        store.close()
        db.close()
        return row


def get(name: str) -> Row:
    """A verified read of 10 KiB."""
    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        data = contents(200)
        ids = [
            store.put(d, name=f"n{i}", type="application/octet-stream", meta={}) for i, d in enumerate(data)
        ]
        paths = []
        for identity, d in zip(ids, data, strict=True):
            path = place / identity.removeprefix("sha256:")
            path.write_bytes(d)
            paths.append(path)

        def ours() -> float:
            return seconds(lambda: [store.get(i) for i in ids]) / len(ids)

        def theirs() -> float:
            return seconds(lambda: [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]) / len(paths)

        row = compare(
            name,
            ours,
            "file + SHA-256",
            theirs,
            unit="µs",
            scale=1e6,
            how="10 KiB, warm cache, hash checked in both",
        )
        store.close()
        return row


def score(name: str) -> Row:
    """What keeping a text of 10 KB costs beyond keeping as many bytes: its quality and its words."""
    paragraph = "The store keeps every result, and says how good it seems and why. " * 2
    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        turn = 0

        def arm(kind: str) -> float:
            nonlocal turn
            turn += 1
            texts = [f"# Report {turn}-{i}\n\n{paragraph * 80}"[:10_240].encode() for i in range(COUNT)]
            return seconds(lambda: [store.put(t, name="r", type=kind, meta={}) for t in texts]) / COUNT

        how = "durable put of 10 KiB of text; scoring and indexing are the difference; the promise for scoring is 1 ms"
        row = compare(
            name,
            lambda: arm("text/markdown"),
            "put of the same bytes without a score",
            lambda: arm("application/octet-stream"),
            unit="µs",
            scale=1e6,
            how=how,
        )
        store.close()
        return row


ROWS: dict[str, Callable[[str], Row]] = {
    "store.put 10KiB durable": put,
    "store.put 10KiB beside LMDB": put_lmdb,
    "store.put 10KiB beside files": put_file,
    "store.put 10KiB beside git": put_git,
    "store.put of text, scored": score,
    "store.put 10KiB 64 writers": put_many,
    "store.get 10KiB verified": get,
}
