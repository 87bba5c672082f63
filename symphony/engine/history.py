"""The history of runs: a folder a run, with its summary, its Melody and the run loop's journal."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from symphony.engine.disk import explain
from symphony.engine.record import RunRecord
from symphony.errors import NotFound
from symphony.ports.component import Status
from symphony.types.runs import NodeRun, RunInfo

log = logging.getLogger(__name__)

SUMMARY = "run.json"


class History:
    """Reads and writes the summaries under `runs/`. Writing replaces the file at once, so a reader or a
    kill sees the old summary or the new one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, RunRecord] | None = None
        self.unreadable: list[Path] = []
        """Summaries that could not be read when the history was opened."""

    def folder(self, run: str) -> Path:
        """Where a run's files are."""
        return self._folder / run

    def open(self) -> None:
        """Reads what is there. A run that was playing when its host ended is `interrupted` from now on."""
        self._records = {}
        self.unreadable.clear()
        for path in sorted(self._folder.glob(f"*/{SUMMARY}")):
            try:
                record = _read(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                # Only this run is lost to sight; its folder stays as it is.
                self.unreadable.append(path)
                log.warning("%s cannot be read: %s", path, error, extra={"component": "history"})
                continue
            if record.info.status == "running":
                path.with_suffix(".new").unlink(missing_ok=True)
                record.info.status = "interrupted"
                for node in record.info.nodes:
                    if node.status in ("running", "ready", "waiting"):
                        node.status = "pending"
                        node.started = None
                try:
                    self._write(record)
                except OSError as error:  # it will be found to be interrupted again
                    log.warning("%s", explain(error, path), extra={"component": "history"})
            self._records[record.info.id] = record

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
        record.order = max((known.order for known in self._all().values()), default=0) + 1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write(record, durable=True)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise explain(error, folder) from error
        self._all()[record.info.id] = record

    def save(self, record: RunRecord, *, durable: bool = False) -> None:
        """Writes a run's summary again. Raises StorageFull; then the summary of before is there."""
        try:
            self._write(record, durable=durable)
        except OSError as error:
            raise explain(error, self.folder(record.info.id) / SUMMARY) from error

    def get(self, run: str) -> RunRecord:
        """A run by its id or an unambiguous beginning of it."""
        records = self._all()
        found = records.get(run)
        if found is None:
            matches = [r for key, r in records.items() if run and key.startswith(run)]
            if len(matches) == 1:
                return matches[0]
            raise NotFound(f"There is no run {run}", remedy="`symphony runs list` shows them")
        return found

    def all(self) -> list[RunRecord]:
        """All runs, in no order."""
        return list(self._all().values())

    def newest(self, limit: int) -> Iterator[RunRecord]:
        """The newest runs first."""
        ordered = sorted(self._all().values(), key=lambda r: (r.order, r.info.created), reverse=True)
        yield from ordered[:limit]

    def remove(self, run: str) -> None:
        """Forgets a run and its journal."""
        self._all().pop(run, None)
        for folder in (self.folder(run), *self._folder.glob(f"{run}+*")):  # its own and its nested runs'
            shutil.rmtree(folder, ignore_errors=True)

    def _all(self) -> dict[str, RunRecord]:
        if self._records is None:
            self.open()
        assert self._records is not None
        return self._records

    def _write(self, record: RunRecord, *, durable: bool = False) -> None:
        path = self.folder(record.info.id) / SUMMARY
        temporary = path.with_suffix(".new")
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
