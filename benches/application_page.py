"""The page's side of the host: one change of the tree, status events, and a marketplace of ten thousand."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.measure import Row, compare, seconds
from benches.registry_entries import write_registry

PEER = Path(__file__).with_name("json_patch_peer.mjs")
CHANGES = 20
"""Changes that one measurement takes the mean of."""
EVENTS, EVENT_SECONDS = 500, 4.0


def _rows(size: int) -> list[dict[str, Any]]:
    from symphony.ui.node import h

    return [h("Text", f"text {index}", key=f"row:{index}") for index in range(size)]


@contextmanager
def _peer(size: int) -> Iterator[Callable[[], float]]:
    """Seconds of one change by fast-json-patch, which compares whole trees of so many elements, in node."""
    with subprocess.Popen(
        ["node", str(PEER), str(size), str(CHANGES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin is not None and node.stdout is not None
        ask, answers = node.stdin, node.stdout

        def change() -> float:
            ask.write("\n")
            ask.flush()
            return float(answers.readline()) / 1e3

        yield change
        ask.close()


def _one_change(size: int) -> Callable[[str], Row]:
    """One text changes; the view renders what holds it, and the patch's bytes are made."""

    def measure(name: str) -> Row:
        from pit_native import VirtualDom
        from symphony.ui.node import h

        dom, base, counter = VirtualDom(), _rows(size), iter(range(1 << 40))
        dom.render(None, h("Stack", *base, key="list"))
        longest = 0

        def ours() -> float:
            nonlocal longest
            began = time.perf_counter()
            for _ in range(CHANGES):
                patch = dom.render(
                    f"row:{size // 2}", h("Text", f"changed {next(counter)}", key=f"row:{size // 2}")
                )
                assert patch is not None
                longest = max(longest, len(patch))
            return (time.perf_counter() - began) / CHANGES

        how = f"one text among {size:,} elements, rendered by its key, to the bytes of the patch"
        with _peer(size) as theirs:
            row = compare(
                name, ours, "fast-json-patch in node, whole trees", theirs, unit="ms", scale=1e3, how=how
            )
        assert longest <= 100, longest
        row.how += f"; the longest patch has {longest} bytes"
        return row

    return measure


def _whole_tree(size: int) -> Callable[[str], Row]:
    """The same when the view renders all of its elements and the trees are compared: what a page does."""

    def measure(name: str) -> Row:
        from symphony.ui.node import h
        from symphony.ui.tree import TreeStream

        stream, counter = TreeStream(), iter(range(1 << 40))
        stream.patch(h("Stack", *_rows(size), key="list"))

        def ours() -> float:
            took = 0.0
            for _ in range(CHANGES):
                rows = _rows(size)  # every element is a new one, as of a view that renders again
                rows[size // 2] = h("Text", f"changed {next(counter)}", key=f"row:{size // 2}")
                tree = h("Stack", *rows, key="list")
                began = time.perf_counter()
                assert stream.patch(tree)
                took += time.perf_counter() - began
            return took / CHANGES

        how = (
            f"the whole tree of {size:,} elements compared with the one before, to the notification's text; "
        )
        how += "every element is another object, in both"
        with _peer(size) as theirs:
            return compare(
                name, ours, "fast-json-patch in node, whole trees", theirs, unit="ms", scale=1e3, how=how
            )

    return measure


def status_events(name: str) -> Row:
    """CPU time of the host's side for 500 events a second of a run of 1,000 nodes, to the text on the socket."""
    from symphony.ui.live import Feed
    from symphony.ui.session import FLUSH_PAUSE

    async def play() -> float:
        feed, sent = Feed(), 0
        feed.runs.add("run")

        async def flush() -> None:
            nonlocal sent
            while True:
                await feed.waiting.wait()
                await asyncio.sleep(FLUSH_PAUSE)
                for method, params in feed.drain():
                    sent += len(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

        task = asyncio.create_task(flush())
        node = {
            "player": "symphony/shell#run",
            "status": "running",
            "attempts": 1,
            "cached": False,
            "started": 0.1,
        }
        cpu, began, told = time.process_time(), time.monotonic(), 0
        while (passed := time.monotonic() - began) < EVENT_SECONDS:
            while told < passed * EVENTS:
                feed.push({"event": "taskProgress", "run": "run", "node": {**node, "id": f"n{told % 1000}"}})
                told += 1
            await asyncio.sleep(0.01)
        task.cancel()
        assert sent > 0
        return (time.process_time() - cpu) / EVENT_SECONDS

    how = f"{EVENTS} node states a second, gathered and written as a session does: share of a core"
    return compare(name, lambda: asyncio.run(play()), "none", None, unit="%", scale=100.0, how=how, repeats=3)


def marketplace(name: str) -> Row:
    """A search among 10,000 offers, to the rows that the page shows."""
    from symphony.app.extensions import Extensions
    from symphony.config import Configuration
    from symphony.config.home import Home

    with tempfile.TemporaryDirectory() as folder:
        registry = write_registry(Path(folder) / "registry", 10_000)
        home = Home(Path(folder) / "home").create()
        home.config.write_text(f'[registry]\nfolder = "{registry}"\n')
        offer = Extensions(home, Configuration.load(home))
        database = sqlite3.connect(":memory:")
        database.execute(
            "CREATE VIRTUAL TABLE entries USING fts5(words, row UNINDEXED, tokenize = 'trigram')"
        )
        every, _ = offer.rows("", offered=10_000)
        texts = {entry.name: entry.words for entry in offer.registry.find("")}
        database.executemany(
            "INSERT INTO entries VALUES (?, ?)",
            [(texts[row["name"]], json.dumps(row)) for row in every if not row["installed"]],
        )
        database.execute("INSERT INTO entries (entries) VALUES ('optimize')")
        offer.close()
        offer = Extensions(home, Configuration.load(home))  # has read no manifest yet
        offer.rows("nothing", offered=0)
        # Each search has words that none had before, so that no row is there from the last one.
        ours, theirs = (iter([f"chart{number} release" for number in range(100, 200)]) for _ in range(2))
        query = "SELECT row FROM entries WHERE entries MATCH ? LIMIT 60"

        def peer() -> float:
            phrase = " AND ".join(f'"{word}"' for word in next(theirs).split())
            return seconds(lambda: [json.loads(row) for (row,) in database.execute(query, (phrase,))])

        try:
            return compare(
                name,
                lambda: seconds(lambda: offer.rows(next(ours), offered=60)),
                "SQLite FTS5 of trigrams, rows as JSON",
                peer,
                unit="ms",
                scale=1e3,
                how="10,000 signed entries, about 200 have both words; to the 60 rows that the page shows, with "
                "functions and permissions, other words each time; ours validates each manifest that it shows for the "
                "first time, the peer none; promised: 5 ms",
            )
        finally:
            offer.close()
            database.close()


ROWS: dict[str, Callable[[str], Row]] = {
    "application.virtual DOM, one change among 1,000": _one_change(1_000),
    "application.virtual DOM, one change among 10,000": _one_change(10_000),
    "application.virtual DOM, whole tree of 1,000": _whole_tree(1_000),
    "application.virtual DOM, whole tree of 10,000": _whole_tree(10_000),
    "application.500 status events a second": status_events,
    "application.marketplace, search among 10,000": marketplace,
}
