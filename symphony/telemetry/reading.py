"""Reading the log back: all processes' files merged by time, filtered, and followed."""

from __future__ import annotations

import heapq
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from symphony.telemetry.logs import LEVELS, SUFFIX, LogFolder

POLL = 0.2
"""Seconds between two looks at a log that is followed."""

Entry = dict[str, Any]


def read_logs(
    home: LogFolder,
    *,
    component: str | None = None,
    run: str | None = None,
    node: str | None = None,
    level: str | None = None,
    limit: int | None = 200,
    follow: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Entry]:
    """The last `limit` entries that match, oldest first; with `follow` then each new one until `stop` is set.

    `level` is the lowest that is wanted, `run` may be the beginning of a run's id. Raises ValueError for
    an unknown level.
    """
    wanted = _filter(component, run, node, level)
    return _entries(home.logs, wanted, limit, follow, stop or threading.Event())


def _filter(
    component: str | None, run: str | None, node: str | None, level: str | None
) -> Callable[[Entry], bool]:
    if level is not None and level.lower() not in LEVELS:
        raise ValueError(f"{level!r} is no level; use {', '.join(LEVELS)}")
    lowest = LEVELS[level.lower()] if level else 0

    def matches(entry: Entry) -> bool:
        return (
            (component is None or component in (entry.get("component"), entry.get("process")))
            and (run is None or str(entry.get("run", "")).startswith(run))
            and (node is None or entry.get("node") == node)
            and LEVELS.get(entry.get("level", "error"), 50) >= lowest
        )

    return matches


def _entries(
    folder: Path, wanted: Callable[[Entry], bool], limit: int | None, follow: bool, stop: threading.Event
) -> Iterator[Entry]:
    tails = _Tails(folder)
    yield from deque((entry for entry in tails.backlog() if wanted(entry)), maxlen=limit)
    while follow and not stop.wait(POLL):
        yield from filter(wanted, tails.news())


class _Tails:
    """Remembers how far each file has been read, also across its rotation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[int, bytes], int] = {}

    def backlog(self) -> Iterator[Entry]:
        """All that stands in the log now, by time."""
        chains = [self._chain(files) for files in self._files()]
        return heapq.merge(*chains, key=_time)

    def news(self) -> list[Entry]:
        """What has been written since the last reading."""
        return sorted((entry for files in self._files() for entry in self._chain(files)), key=_time)

    def _files(self) -> list[list[Path]]:
        """The files of each process, oldest first: `host.jsonl.2`, `host.jsonl.1`, `host.jsonl`."""
        processes: dict[str, list[tuple[int, Path]]] = {}
        for file in self._folder.glob(f"*{SUFFIX}*") if self._folder.is_dir() else ():
            name, _, number = file.name.partition(SUFFIX)
            age = number.removeprefix(".") or "0"
            if age.isdigit():
                processes.setdefault(name, []).append((-int(age), file))
        return [[file for _, file in sorted(files)] for files in processes.values()]

    def _chain(self, files: list[Path]) -> Iterator[Entry]:
        for file in files:
            yield from self._new_lines(file)

    def _new_lines(self, file: Path) -> Iterator[Entry]:
        try:
            stream = file.open("rb")
        except FileNotFoundError:  # rotated away between listing and opening
            return
        with stream:
            identity = _identity(stream)
            position = self._read.get(identity, 0)
            stream.seek(position)
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # still being written; read again next time
                position += len(line)
                self._read[identity] = position
                entry = _parse(line)
                if entry is not None:
                    yield entry


def _identity(stream: BinaryIO) -> tuple[int, bytes]:
    """Stays the same when a file is rotated. The inode alone does not: a new file may get an old one's."""
    return os.fstat(stream.fileno()).st_ino, stream.read(40)


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:  # torn by a power loss
        return None
    return entry if isinstance(entry, dict) else None


def _time(entry: Entry) -> float:
    when = entry.get("time")
    return when if isinstance(when, (int, float)) else 0.0
