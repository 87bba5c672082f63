"""Scorers in Python lower the quality that the store has given, with their reasons, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pit_native import ArtifactStore
from symphony.app.scoring import Finding, Scoring, score_diff

DIFF = b"""--- a/x
+++ b/x
@@ -1,3 +1,4 @@
 one
-two
+2
+and a half
 three
@@ -10 +11 @@
-ten
+10
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArtifactStore]:
    with ArtifactStore(tmp_path / "store") as store:
        yield store


def test_a_diff_is_judged_by_its_hunks() -> None:
    assert score_diff(DIFF) == []
    assert score_diff(b"") == []
    assert score_diff(b"nothing of the kind\n") == [(0.6, "it has no hunk, so it changes nothing")]
    cut = DIFF[: DIFF.index(b"+10")]
    assert score_diff(cut) == [(0.4, "1 of 2 hunks do not have the lines that they announce")]


def test_what_a_run_made_is_scored_after_it(store: ArtifactStore) -> None:
    events: list[dict[str, Any]] = []
    scoring = Scoring(lambda: store, events.append)

    def too_short(content: bytes) -> list[Finding]:
        return [(0.5, "it is too short")] if len(content) < 10 else []

    def broken(content: bytes) -> list[Finding]:
        raise ValueError("a fault of the scorer")

    scoring.register("text/x-note", broken)
    scoring.register("text/x-note", too_short)
    meta = {"run": "r"}
    short = store.put(b"short", name="a", type="text/x-note; charset=utf-8", meta=meta)
    long = store.put(b"long enough for it", name="b", type="text/x-note", meta=meta)
    diff = store.put(DIFF[:-4], name="c", type="text/x-diff", meta=meta)
    before = store.info(short)

    async def end_of_run() -> None:
        for _ in range(2):
            scoring.follow({"event": "artifacts", "run": "r"})
            await scoring.finished()

    asyncio.run(end_of_run())
    assert events == [{"event": "artifacts", "run": "r", "scored": True}]
    assert store.info(short) == {**before, "quality": 0.5, "reasons": ["it is too short"]}
    assert store.info(long)["quality"] == 1.0
    assert store.info(diff)["quality"] == 0.4
    assert [version["version"] for version in store.versions("a")] == [1]
