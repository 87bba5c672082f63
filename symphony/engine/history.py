"""The history of runs: a folder a run, with its summary, its Melody and the run loop's journal."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

from symphony.engine.disk import explain
from symphony.engine.record import RunRecord
from symphony.errors import NotFound
from symphony.ports.component import Status
from symphony.types.runs import NodeRun, RunInfo

log = logging.getLogger(__name__)

SUMMARY = "run.json"
UNFINISHED = "run.new"
"""A summary that is being written; it takes the place of the one before when it is whole."""


RECENT_RUNS = 64
"""Runs that stay in memory when nobody holds them: a page lists 50."""
RECENT_NODES = 20_000
"""Nodes that these have together; some 40 MB. A larger run stays alone."""

Place = tuple[int, float]
"""Where a run stands in the order of all: its number, and when it was created."""


class History:
    """Reads and writes the summaries under `runs/`. Writing replaces the file at once, so a reader or a
    kill sees the old summary or the new one.

    Of each run its place in the order stays in memory, of the recent ones all; the others are read when they are
    asked for. While somebody holds a record, everybody gets that one. Methods may be called from any thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, Place] | None = None
        self._recent: OrderedDict[str, RunRecord] = OrderedDict()
        self._recent_nodes = 0
        self._held: WeakValueDictionary[str, RunRecord] = WeakValueDictionary()
        self._unsaved: dict[str, RunRecord] = {}
        """Those whose last summary could not be written."""
        self._lock = threading.RLock()
        self.unreadable: list[Path] = []
        """Summaries that could not be read when the history was opened."""
        self.found: list[Callable[[RunRecord], None]] = []
        """Told of each run that is there when the history is opened."""

    def folder(self, run: str) -> Path:
        """Where a run's files are."""
        return self._folder / run

    def open(self) -> None:
        """Reads what is there. A run that was playing when its host ended is `interrupted` from now on."""
        with self._lock:
            self._places = {}
            self.unreadable.clear()
            self._sweep()
            for path in sorted(self._folder.glob(f"*/{SUMMARY}")):
                try:
                    record = _read(path)
                except (OSError, ValueError, KeyError, TypeError) as error:
                    # Only this run is lost to sight; its folder stays as it is.
                    self.unreadable.append(path)
                    log.warning("%s cannot be read: %s", path, error, extra={"component": "history"})
                    continue
                if record.info.status == "running":
                    self._interrupt(record, path)
                self._places[record.info.id] = _place(record)
                for follower in self.found:
                    follower(record)
            for run in list(self._newest(RECENT_RUNS))[::-1]:
                self._load(run)

    def _sweep(self) -> None:
        """Takes away what a host that was killed had half written; a run that has nothing else never began."""
        for half in self._folder.glob(f"*/{UNFINISHED}"):
            with contextlib.suppress(OSError):
                half.unlink()
                half.parent.rmdir()  # refused while it holds anything

    def _interrupt(self, record: RunRecord, path: Path) -> None:
        record.info.status = "interrupted"
        for node in record.info.nodes:
            if node.status in ("running", "ready", "waiting"):
                node.status = "pending"
                node.started = None
        try:
            self._write(record)
        except OSError as error:  # it will be found to be interrupted again
            self._unsaved[record.info.id] = record
            log.warning("%s", explain(error, path), extra={"component": "history"})

    def damaged(self) -> list[Path]:
        """The summaries that cannot be read; looks without opening the history."""
        found = []
        for path in sorted(self._folder.glob(f"*/{SUMMARY}")):
            try:
                _read(path)
            except (OSError, ValueError, KeyError, TypeError):
                found.append(path)
        return found

    def look(self) -> tuple[Status, str, str]:
        """Degraded when a run could not be read."""
        runs = f"{len(self._all())} runs"
        if not self.unreadable:
            return "ok", runs, ""
        damaged = ", ".join(str(path) for path in self.unreadable[:3])
        more = f" and {len(self.unreadable) - 3} more" if len(self.unreadable) > 3 else ""
        remedy = "restore it from a copy, or remove its folder"
        return "degraded", f"{runs}; {damaged}{more} cannot be read", remedy

    def add(self, record: RunRecord) -> None:
        """Keeps a new run, durable when it returns. Raises StorageFull; then there is no such run."""
        folder = self.folder(record.info.id)
        with self._lock:
            record.order = max((order for order, _ in self._all().values()), default=0) + 1
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._write(record, durable=True)
            except OSError as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise explain(error, folder) from error
            self._all()[record.info.id] = _place(record)
            self._keep(record)
        self.catch_up()

    def save(self, record: RunRecord, *, durable: bool = False) -> None:
        """Writes a run's summary again. Raises StorageFull; then the summary of before is there, and the record
        stays in memory.
        """
        try:
            self._write(record, durable=durable)
        except OSError as error:
            with self._lock:
                self._unsaved[record.info.id] = record
            raise explain(error, self.folder(record.info.id) / SUMMARY) from error
        with self._lock:
            self._unsaved.pop(record.info.id, None)
        self.catch_up()

    def catch_up(self) -> None:
        """Writes the summaries that could not be written when they were due, as far as there is room by now."""
        with self._lock:
            for run, record in list(self._unsaved.items()):
                try:
                    self._write(record, durable=True)
                except OSError:
                    return
                del self._unsaved[run]

    def get(self, run: str) -> RunRecord:
        """A run by its id or an unambiguous beginning of it. Raises NotFound."""
        with self._lock:
            known = self._all()
            if run not in known:
                matches = [key for key in known if run and key.startswith(run)]
                if len(matches) != 1:
                    raise NotFound(f"There is no run {run}", remedy="`symphony runs list` shows them")
                run = matches[0]
            record = self._load(run)
        if record is None:
            raise NotFound(
                f"The summary of the run {run} cannot be read any more", remedy=f"see {self.folder(run)}"
            )
        return record

    def ids(self, limit: int) -> list[str]:
        """The ids of the newest runs, the newest first. Reads nothing."""
        with self._lock:
            return list(self._newest(limit))

    def newest(self, limit: int) -> Iterator[RunRecord]:
        """The newest runs first."""
        return self.each(self.ids(limit))

    def each(self, runs: Sequence[str]) -> Iterator[RunRecord]:
        """These runs, those left out that cannot be read. The first stay in memory for a while; what is beyond
        is read from the disk and let go, one after the other.
        """
        for number, run in enumerate(runs):
            with self._lock:
                record = self._load(run) if number < RECENT_RUNS else self._known(run)
            record = record or self._read(run)
            if record is not None:
                yield record

    def remove(self, run: str) -> None:
        """Forgets a run and its journal."""
        with self._lock:
            self._all().pop(run, None)
            self._let_go(run)
            self._held.pop(run, None)
            self._unsaved.pop(run, None)
        for folder in (self.folder(run), *self._folder.glob(f"{run}+*")):  # its own and its nested runs'
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def in_memory(self) -> int:
        """How many runs are held in memory now."""
        with self._lock:
            return len(self._held)

    # --- within ------------------------------------------------------------------------------
    def _all(self) -> dict[str, Place]:
        if self._places is None:
            self.open()
        assert self._places is not None
        return self._places

    def _newest(self, limit: int) -> Iterator[str]:
        places = self._all()
        yield from sorted(places, key=places.__getitem__, reverse=True)[:limit]

    def _known(self, run: str) -> RunRecord | None:
        """The record that somebody holds already."""
        return self._held.get(run)

    def _load(self, run: str) -> RunRecord | None:
        """The record, which stays in memory for a while; None when its summary cannot be read."""
        record = self._known(run) or self._read(run)
        if record is not None:
            self._keep(record)
        return record

    def _read(self, run: str) -> RunRecord | None:
        path = self.folder(run) / SUMMARY
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s", path, error, extra={"component": "history"})
            return None

    def _keep(self, record: RunRecord) -> None:
        run = record.info.id
        self._let_go(run)
        self._held[run] = self._recent[run] = record
        self._recent_nodes += record.size
        while len(self._recent) > 1 and (
            len(self._recent) > RECENT_RUNS or self._recent_nodes > RECENT_NODES
        ):
            self._let_go(next(iter(self._recent)))

    def _let_go(self, run: str) -> None:
        record = self._recent.pop(run, None)
        if record is not None:
            self._recent_nodes -= record.size

    def _write(self, record: RunRecord, *, durable: bool = False) -> None:
        path = self.folder(record.info.id) / SUMMARY
        temporary = path.with_name(UNFINISHED)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(record.to_text())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)


def _read(path: Path) -> RunRecord:
    body = json.loads(path.read_text(encoding="utf-8"))
    run = dict(body["run"])
    run["nodes"] = [NodeRun(**node) for node in run["nodes"]]
    return RunRecord(
        RunInfo(**run), body["melody"], body["artifacts"], body.get("agreed", []), body.get("order", 0)
    )


def _place(record: RunRecord) -> Place:
    return record.order, record.info.created
