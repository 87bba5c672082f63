"""What many versions take on the disk, and search over many artifacts."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import zstandard

from benches.measure import Row
from benches.store import folder
from pit_native import ArtifactStore

VERSIONS = 6


def sources() -> list[bytes]:
    """Six versions of this project's sources as plain tar files, from its own history."""
    commits = subprocess.run(
        ["git", "rev-list", "--first-parent", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.split()
    chosen = commits[:: max(1, len(commits) // VERSIONS)][:VERSIONS]
    return [
        subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
        for commit in reversed(chosen)
    ]


def libraries() -> list[bytes]:
    """Six versions of an unpacked package: the installed pydantic and networkx, some files changed each time."""
    import networkx
    import pydantic

    rng = random.Random(5)
    files = [
        path
        for module in (pydantic, networkx)
        for path in sorted(Path(str(module.__file__)).parent.rglob("*.py"))
    ]
    contents = {str(p.relative_to(p.parents[2])): p.read_bytes() for p in files}
    versions = []
    for version in range(VERSIONS):
        for name in rng.sample(sorted(contents), max(1, len(contents) // 20)):
            lines = contents[name].splitlines(keepends=True)
            at = rng.randrange(len(lines) + 1)
            contents[name] = b"".join([*lines[:at], b"# changed in version %d\n" % version, *lines[at:]])
        versions.append(_tar(contents))
    return versions


def compressed() -> list[bytes]:
    """The libraries again, each file compressed by itself before: little is left to save."""
    out = []
    for whole in libraries():
        members: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                members[member.name] = zlib.compress(file.read(), 9)
        out.append(_tar(members))
    return out


def _tar(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in sorted(contents.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CORPORA: dict[str, Callable[[], list[bytes]]] = {
    "sources": sources, "packages": libraries, "compressed": compressed,
}  # fmt: skip


def _fastcdc(versions: list[bytes]) -> int:
    """FastCDC with 8 KiB on average, each new chunk under zstd; nothing is counted for its tables."""
    from fastcdc import fastcdc

    seen: set[bytes] = set()
    total = 0
    packer = zstandard.ZstdCompressor(level=3)
    for version in versions:
        for chunk in fastcdc(version, avg_size=8192, fat=True):
            digest = hashlib.sha256(chunk.data).digest()
            if digest not in seen:
                seen.add(digest)
                total += min(len(packer.compress(chunk.data)), len(chunk.data))
    return total


def _restic(versions: list[bytes], place: Path) -> int:
    """restic, when it is installed: one backup a version."""
    env = {"RESTIC_PASSWORD": "x", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place)}
    repository, tree = place / "restic", place / "tree"
    tree.mkdir()
    subprocess.run(["restic", "init", "-q", "-r", repository], env=env, check=True)
    for version in versions:
        (tree / "content").write_bytes(version)
        subprocess.run(["restic", "backup", "-q", "-r", repository, tree], env=env, check=True)
    return _disk(repository)


def _disk(place: Path) -> int:
    return sum(p.stat().st_size for p in place.rglob("*") if p.is_file())


def space(corpus: str, name: str) -> Row:
    """The share of bytes saved, everything but the search index counted."""
    versions = CORPORA[corpus]()
    plain = sum(map(len, versions))
    with folder() as place:
        with ArtifactStore(str(place / "store")) as store:
            for version in versions:
                store.put(version, name="content.tar", type="application/x-tar", meta={})
        ours = _disk(place / "store") - _disk(place / "store" / "index")
        peers = {"FastCDC 8 KiB + zstd, tables not counted": _fastcdc(versions)}
        if shutil.which("restic"):
            peers["restic"] = _restic(versions, place)
    saved = {peer: 1 - taken / plain for peer, taken in peers.items()}
    peer = max(saved, key=lambda one: saved[one])
    share = 1 - ours / plain
    how = f"{VERSIONS} versions, {plain / 1e6:.1f} MB; share saved, higher is better; {saved}"
    return Row(name, share, "saved", peer, saved[peer], share / saved[peer], how)


WORDS = [f"word{i}" for i in range(20_000)]


def texts(count: int) -> list[str]:
    """Texts of forty words each, some words common and most rare."""
    rng = random.Random(11)
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    drawn = rng.choices(WORDS, weights=weights, k=count * 40)
    return [" ".join(drawn[at : at + 40]) for at in range(0, len(drawn), 40)]


def search(count: int, peer: str, name: str) -> Row:
    """Two-word queries; median, with the 99th percentile in `how`."""
    kept = texts(count)
    rng = random.Random(13)
    queries = [f"{rng.choice(WORDS[50:2000])} {rng.choice(WORDS[50:2000])}" for _ in range(200)]
    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        with ThreadPoolExecutor(64) as threads:
            put = partial(store.put, type="text/plain", meta={})
            list(threads.map(lambda pair: put(pair[1].encode(), f"n{pair[0]}"), enumerate(kept)))
        store.flush_search()
        find = _tantivy(kept, place) if peer == "tantivy-py" else _fts5(kept)
        find(queries[0])
        ours, theirs = [], []
        for query in queries:
            for arm, times in ((store.search, ours), (find, theirs)):
                began = time.perf_counter()
                arm(query)
                times.append((time.perf_counter() - began) * 1e6)
        store.close()
    value, other = statistics.median(ours), statistics.median(theirs)
    p99 = statistics.quantiles(ours, n=100)[98]
    how = f"{count:,} texts, 200 queries of two words, ten hits; ours with names, scores and snippets; p99 {p99:.0f} µs"
    return Row(name, value, "µs", peer, other, value / other, how)


def _tantivy(kept: list[str], place: Path) -> Callable[[str], object]:
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_text_field("text", stored=True)
    (place / "tantivy").mkdir()
    index = tantivy.Index(schema.build(), path=str(place / "tantivy"))
    writer = index.writer()
    for text in kept:
        writer.add_document(tantivy.Document(text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def find(query: str) -> object:
        hits = searcher.search(index.parse_query(query, ["text"], conjunction_by_default=True), 10).hits
        return [searcher.doc(address) for _, address in hits]

    return find


def _fts5(kept: list[str]) -> Callable[[str], object]:
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table a using fts5(text)")
    database.executemany("insert into a values(?)", ((t,) for t in kept))
    statement = "select snippet(a, 0, '', '', '…', 16) from a where a match ? order by rank limit 10"
    return lambda query: database.execute(statement, (query,)).fetchall()


OPENED = """
import sys, time
from pit_native import ArtifactStore
def resident():
    return int(next(l for l in open("/proc/self/smaps_rollup") if l.startswith("Pss:")).split()[1]) / 1024
before = resident()
began = time.perf_counter()
store = ArtifactStore(sys.argv[1])
print(time.perf_counter() - began, resident() - before)
"""


def million(name: str) -> Row:
    """A store of 1,000,000 artifacts: opened in a fresh process, with the memory that it then takes in `how`."""
    count = 1_000_000
    with folder() as place:
        with ArtifactStore(str(place / "store")) as store, ThreadPoolExecutor(64) as threads:
            put = partial(store.put, type="text/plain", meta={})
            for start in range(0, count, 50_000):
                batch = range(start, start + 50_000)
                list(threads.map(lambda i: put(b"artifact %d" % i, f"name-{i}"), batch))
        took, grown = [], []
        for _ in range(5):
            command = [sys.executable, "-c", OPENED, str(place / "store")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, memory = map(float, done.stdout.split())
            took.append(seconds)
            grown.append(memory)
    value, memory = statistics.median(took), statistics.median(grown)
    how = f"opened in a fresh process, files warm; it grows by {memory:.0f} MiB (aim 100 MB)"
    return Row(name, value, "s", "the aim", 1.0, value, how)


ROWS: dict[str, Callable[[str], Row]] = {
    **{f"store.space {corpus}": partial(space, corpus) for corpus in CORPORA},
    "store.search 100,000": partial(search, 100_000, "tantivy-py"),
    "store.search 100,000 beside FTS5": partial(search, 100_000, "SQLite FTS5"),
}
LONG_ROWS: dict[str, Callable[[str], Row]] = {
    "store.open 1,000,000": million,
    "store.search 1,000,000": partial(search, 1_000_000, "SQLite FTS5"),
}
