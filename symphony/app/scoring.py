"""Scorers in Python: what they find wanting lowers an artifact's quality, after its run and in the background."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from pit_native import ArtifactStore
from symphony.errors import SymphonyError

log = logging.getLogger(__name__)

Finding = tuple[float, str]
"""A factor between 0 and 1, and the reason in a sentence."""
Scorer = Callable[[bytes], Sequence[Finding]]
"""Says what is wanting in a content; it runs in a thread of the host."""

LARGEST = 8 << 20
"""Bytes of a content that is still read for it."""


class Scoring:
    """Scorers by media type. The store has scored each artifact when it was put; these add to that."""

    def __init__(self, store: Callable[[], ArtifactStore], emit: Callable[[dict[str, Any]], None]) -> None:
        """`store` gives the store once it is open, `emit` tells the host's watchers."""
        self._store = store
        self._emit = emit
        self._scorers: dict[str, list[Scorer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.register("text/x-diff", score_diff)

    def register(self, type: str, scorer: Scorer) -> None:
        """Adds a scorer for a media type."""
        self._scorers.setdefault(type, []).append(scorer)

    def follow(self, event: dict[str, Any]) -> None:
        """Takes an event of the host, on its loop: the end of a run that has made something begins the work."""
        if event.get("event") == "artifacts" and event.get("run") and not event.get("scored"):
            task = asyncio.get_running_loop().create_task(self._score_later(event["run"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Waits for the work that has begun."""
        await asyncio.gather(*self._tasks)

    async def _score_later(self, run: str) -> None:
        try:
            changed = await asyncio.to_thread(self.score_run, run)
        except SymphonyError as error:
            # A quality is a hint; without it the first score stays.
            log.warning("the artifacts of a run could not be scored: %s", error, extra={"run": run})
            return
        if changed:
            self._emit({"event": "artifacts", "run": run, "scored": True})

    def score_run(self, run: str) -> int:
        """Scores what a run has made; the number of artifacts whose quality changed."""
        store = self._store()
        entries = [
            entry
            for entry in store.list(limit=1_000_000, run=run)
            if entry["type"].partition(";")[0].strip() in self._scorers and entry["bytes"] <= LARGEST
        ]
        return sum(self._score(store, entry) for entry in entries if store.is_local(entry["id"]))

    def _score(self, store: ArtifactStore, entry: dict[str, Any]) -> bool:
        content = store.get(entry["id"])
        known = [reason for reason in entry["reasons"] if not reason.startswith("sound ")]
        findings: list[Finding] = []
        for scorer in self._scorers[entry["type"].partition(";")[0].strip()]:
            try:
                findings += [found for found in scorer(content) if found[1] not in known]
            except Exception:
                # Somebody's scorer; the others still count.
                log.exception("a scorer of %s failed", entry["type"], extra={"run": entry["run"]})
        if not findings:
            return False
        score = entry["quality"] * prod(factor for factor, _ in findings)
        return store.set_quality(entry["id"], score, [*known, *(reason for _, reason in sorted(findings))])


_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def score_diff(content: bytes) -> list[Finding]:
    """What is wanting in a unified diff: hunks that do not have the lines that they announce, or no hunk at all."""
    lines = content.decode("utf-8", "replace").splitlines()
    hunks = broken = 0
    at = 0
    while at < len(lines):
        head = _HUNK.match(lines[at])
        at += 1
        if head is None:
            continue
        hunks += 1
        before, after = (int(count or 1) for count in head.groups())
        while at < len(lines) and (before > 0 or after > 0):
            sign = lines[at][:1]
            if sign not in {"", " ", "-", "+", "\\"}:
                break
            before -= sign in {"", " ", "-"}
            after -= sign in {"", " ", "+"}
            at += 1
        broken += before != 0 or after != 0
    findings: list[Finding] = []
    if content.strip() and not hunks:
        findings.append((0.6, "it has no hunk, so it changes nothing"))
    if broken:
        findings.append((0.4, f"{broken} of {hunks} hunks do not have the lines that they announce"))
    return findings
