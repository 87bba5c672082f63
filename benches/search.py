"""Search over many artifacts and over many bytes, and a large store opened."""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benches.measure import Row
from benches.store import folder
from pit_native import ArtifactStore

WORDS = [f"word{i}" for i in range(20_000)]
ROUNDS = 3
Find = Callable[[str], object]


def texts(count: int, seed: int = 11) -> list[str]:
    """Texts of forty words each, some words common and most rare."""
    rng = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    drawn = rng.choices(WORDS, weights=weights, k=count * 40)
    return [" ".join(drawn[at : at + 40]) for at in range(0, len(drawn), 40)]


def queries() -> list[str]:
    """Two words that are neither the most common nor the rarest."""
    rng = random.Random(13)
    return [f"{rng.choice(WORDS[50:2000])} {rng.choice(WORDS[50:2000])}" for _ in range(200)]


def put_all(store: ArtifactStore, kept: Sequence[str]) -> None:
    """Puts each text under a name of its own, and waits until it can be found."""
    with ThreadPoolExecutor(64) as threads:
        put = partial(store.put, type="text/plain", meta={})
        for start in range(0, len(kept), 50_000):
            batch = enumerate(kept[start : start + 50_000], start)
            list(threads.map(lambda pair: put(pair[1].encode(), f"n{pair[0]}"), batch))
    store.flush_search()


def timed(arms: Sequence[Find]) -> list[list[float]]:
    """Microseconds of each query for each arm, the arms in turn."""
    asked = queries()
    for find in arms:
        for query in asked[:20]:
            find(query)
    times: list[list[float]] = [[] for _ in arms]
    for query in asked * ROUNDS:
        for find, taken in zip(arms, times, strict=True):
            began = time.perf_counter()
            find(query)
            taken.append((time.perf_counter() - began) * 1e6)
    return times


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def search(count: int, peer: str, name: str) -> Row:
    """Two-word queries; median, with the 99th percentile in `how`."""
    kept = texts(count)
    make, does = PEERS[peer]
    with folder() as place, ArtifactStore(str(place / "store")) as store:
        put_all(store, kept)
        ours, theirs = timed([store.search, make(kept, place)])
    value, other = statistics.median(ours), statistics.median(theirs)
    how = (
        f"{count:,} texts, {len(queries())} queries of two words, either may match, ten hits; ours with ids, names, "
        f"types, scores and snippets, {does}; p99 {p99(ours):.0f} µs, the peer's {p99(theirs):.0f} µs"
    )
    return Row(name, value, "µs", peer, other, value / other, how)


def _tantivy(kept: list[str], place: Path, *, snippets: bool) -> Find:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("name", stored=True)
    builder.add_text_field("type", stored=True, tokenizer_name="raw")
    builder.add_text_field("text", stored=True)
    schema = builder.build()
    (place / "tantivy").mkdir()
    index = tantivy.Index(schema, path=str(place / "tantivy"))
    writer = index.writer()
    for number, text in enumerate(kept):
        identity = f"sha256:{number:064x}"
        writer.add_document(tantivy.Document(id=identity, name=f"n{number}", type="text/plain", text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def find(words: str) -> object:
        query = index.parse_query(words, ["name", "text"], field_boosts={"name": 2.0})
        found = []
        generator = tantivy.SnippetGenerator.create(searcher, query, schema, "text") if snippets else None
        for score, address in searcher.search(query, 10).hits:
            document = searcher.doc(address)
            hit = {field: document.get_first(field) for field in ("id", "name", "type")}
            if generator is not None:
                hit["snippet"] = generator.snippet_from_doc(document).fragment()
            found.append({**hit, "score": score})
        return found

    return find


def _fts5(kept: list[str], _place: Path) -> Find:
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table a using fts5(name, text)")
    database.executemany("insert into a values(?, ?)", ((f"n{i}", t) for i, t in enumerate(kept)))
    statement = (
        "select name, snippet(a, 1, '', '', '…', 32), rank from a where a match ? order by rank limit 10"
    )
    return lambda query: database.execute(statement, (" OR ".join(query.split()),)).fetchall()


PEERS: dict[str, tuple[Callable[[list[str], Path], Find], str]] = {
    "tantivy-py": (
        partial(_tantivy, snippets=True),
        "the peer the same from an index of the same fields, its texts stored in it",
    ),
    "tantivy-py without snippets": (
        partial(_tantivy, snippets=False),
        "the peer ids, names, types and scores alone",
    ),
    "SQLite FTS5": (_fts5, "the peer names, ranks and snippets from memory"),
}

OPENED = """
import sys, time
from pit_native import ArtifactStore, StaleManager
def resident():
    return int(next(l for l in open("/proc/self/smaps_rollup") if l.startswith("Pss:")).split()[1]) / 1024
before = resident()
began = time.perf_counter()
store = ArtifactStore(sys.argv[1])
opened, grown = time.perf_counter() - began, resident() - before
began = time.perf_counter()
stale = StaleManager()
stale.register_all(store, {})
stale.plan(time.time())
print(opened, grown, time.perf_counter() - began)
"""


def million(name: str) -> Row:
    """A store of 1,000,000 artifacts: opened in a fresh process. In `how`: the memory that it then takes, how it was
    closed before, and what a plan over all of them takes.
    """
    count = 1_000_000
    with folder() as place:
        store = ArtifactStore(str(place / "store"))
        with ThreadPoolExecutor(64) as threads:
            put = partial(store.put, type="text/plain", meta={})
            for start in range(0, count, 50_000):
                batch = range(start, start + 50_000)
                list(threads.map(lambda i: put(b"artifact %d" % i, f"name-{i}"), batch))
        began, spent = time.perf_counter(), time.process_time()
        store.close()
        closed, spent = time.perf_counter() - began, time.process_time() - spent
        measured: list[list[float]] = []
        for _ in range(5):
            command = [sys.executable, "-c", OPENED, str(place / "store")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            measured.append([float(number) for number in done.stdout.split()])
    value, memory, planned = (statistics.median(one) for one in zip(*measured, strict=True))
    how = (
        f"opened in a fresh process, files warm; it grows by {memory:.0f} MiB (aim 100 MB); a plan over all of them "
        f"takes {planned:.1f} s; before, 64 threads put them, and it closed in {closed:.1f} s, {spent:.1f} s of the "
        "processor (aim 2 s)"
    )
    return Row(name, value, "s", "the aim", 1.0, value, how)


LOGICAL = float(os.environ.get("SYMPHONY_BENCH_LOGICAL", "1e12"))
BLOCK = 1 << 24


def terabyte(name: str) -> Row:
    """Search in a store of 1 TB of plain bytes: every one of them is put, digested and cut. `SYMPHONY_BENCH_LOGICAL`
    makes it smaller where there is no hour for that.
    """
    rng = random.Random(17)
    letters = bytes(range(65, 91)) + b"     \n"
    table = bytes(letters[byte % len(letters)] for byte in range(256))
    blocks = [rng.randbytes(BLOCK).translate(table) for _ in range(16)]
    recordings = max(1, int(LOGICAL / (64 * BLOCK)))
    heads = texts(recordings, seed=19)
    with folder() as place, ArtifactStore(str(place / "store")) as store:
        put_all(store, texts(100_000))
        began = time.perf_counter()

        def record(number: int) -> None:
            with store.writer(f"recording-{number}", type="text/plain") as writer:
                writer.write(heads[number].encode() + b"\n")
                order = random.Random(number)
                for _ in range(64):
                    writer.write(order.choice(blocks))

        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            list(threads.map(record, range(recordings)))
        took = time.perf_counter() - began
        store.flush_search()
        stats = store.stats()
        times = timed([store.search])[0]
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM")).split()[1]
    value = statistics.median(times) / 1000
    how = (
        f"{stats['bytes'] / 1e12:.3f} TB in {stats['artifacts']:,} artifacts: 100,000 texts and {recordings:,} "
        f"recordings of 1 GiB, each of 64 blocks out of 16 and a beginning of its own; put in {took / 60:.0f} min; "
        f"on the disk {stats['stored_bytes'] / 1e9:.2f} GB; ten hits with snippets; p99 {p99(times) / 1000:.2f} ms; "
        f"peak memory of the process that put and searched it {int(peak) >> 10} MiB"
    )
    return Row(name, value, "ms", "the document", 100.0, value / 100, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "store.search 100,000": partial(search, 100_000, "tantivy-py"),
    "store.search 100,000, peer without snippets": partial(search, 100_000, "tantivy-py without snippets"),
    "store.search 100,000 beside FTS5": partial(search, 100_000, "SQLite FTS5"),
}
LONG_ROWS: dict[str, Callable[[str], Row]] = {
    "store.open 1,000,000": million,
    "store.search 1,000,000": partial(search, 1_000_000, "tantivy-py"),
    "store.search 1 TB": terabyte,
}
