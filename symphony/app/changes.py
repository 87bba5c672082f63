"""Changes that programs made to a private copy of the project: kept with their run until the user takes them over."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from symphony.config.files import write_atomically
from symphony.errors import BadInput, NotFound, SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller
from symphony.stage.changes import apply as applying
from symphony.stage.changes.diff import unified
from symphony.stage.changes.model import TYPE, ChangeSet, decode, encode

log = logging.getLogger(__name__)

Json = dict[str, Any]
State = Literal["open", "applying", "applied", "undoing", "undone"]

_OUTSIDE = "calls"
"""The folder of what was changed outside of any run."""


class Store(Protocol):
    """What is needed of the Artifact Store."""

    def get(self, artifact: str) -> bytes: ...

    def put(self, content: bytes, *, name: str, type: str, meta: Json) -> str: ...


@dataclass(slots=True)
class Record:
    """One set of changes. `applying` and `undoing` are written before the first file is touched: whoever finds
    them knows that a host was killed in between, and may go on or back."""

    id: str
    run: str
    node: str
    extension: str
    program: str
    project: str
    artifact: str
    created: float
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)
    state: State = "open"

    def to_json(self) -> Json:
        """As the commands and the page show it."""
        return asdict(self)


class Changes:
    """Keeps change sets below the folder of runs, shows, applies and undoes them."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        emit: Callable[[Json], None],
        is_applied: Callable[[], bool],
    ) -> None:
        """`is_applied` tells whether changes of a program that succeeded are taken over unasked."""
        self._folder = folder
        self._store = store
        self._emit = emit
        self._is_applied = is_applied
        self._busy: dict[str, asyncio.Lock] = {}

    async def keep(self, caller: Caller, program: str, changes: ChangeSet, *, succeeded: bool) -> None:
        """Keeps what a program has changed, and applies it where the user said so beforehand."""
        if not changes.changes and not changes.refused:
            return
        record = await asyncio.to_thread(self._put, caller, program, changes)
        log.info(
            "%s changed the project: %s",
            program,
            _words(record.counts),
            extra={"run": caller.run, "node": caller.node},
        )
        self._emit({"event": "changes", "run": record.run})
        if succeeded and changes.changes and self._is_applied():
            try:
                await self.apply(record.id)
            except SymphonyError as error:
                self._emit({"event": "notice", "run": record.run, "message": str(error)})

    async def listed(self, run: str | None = None) -> list[Json]:
        """Newest first, of one run or of all."""
        records = await asyncio.to_thread(self._records, run)
        return [record.to_json() for record in records]

    async def show(self, changes: str) -> Json:
        """One set with its diff."""
        record = await asyncio.to_thread(self._find, changes)
        kept = await asyncio.to_thread(self._load, record)
        paths = [{"path": applying.shown(c.path), "kind": c.kind, "stale": c.stale} for c in kept.changes]
        text = await asyncio.to_thread(unified, kept)
        return {**record.to_json(), "paths": paths, "diff": text}

    async def apply(self, changes: str) -> Json:
        """Brings a set into its project; goes on with an application that was killed."""
        return await self._bring(changes, "applying", "applied")

    async def undo(self, changes: str) -> Json:
        """Takes an applied set back, or one whose application was killed."""
        return await self._bring(changes, "undoing", "undone")

    async def _bring(self, changes: str, doing: State, done: State) -> Json:
        record = await asyncio.to_thread(self._find, changes)
        async with self._busy.setdefault(record.project, asyncio.Lock()):
            record = await asyncio.to_thread(self._find, record.id)
            if record.state == done:
                raise BadInput(f"The changes {record.id} are {done} already", remedy="nothing was changed")
            if doing == "undoing" and record.state in ("open", "undone"):
                raise BadInput(f"The changes {record.id} were not applied", remedy="nothing was changed")
            # What was begun is finished even when nobody waits for it any more.
            await asyncio.shield(asyncio.to_thread(self._write_project, record, doing, done))
        self._emit({"event": "changes", "run": record.run})
        return record.to_json()

    def _write_project(self, record: Record, doing: State, done: State) -> None:
        kept = self._load(record)
        wanted = kept if doing == "applying" else kept.inverse()
        before = record.state
        is_resumed = before in ("applying", "undoing")
        try:
            project = Beneath(Path(record.project))
        except OSError as error:
            raise NotFound(f"The project {record.project} cannot be opened: {error.strerror}") from None
        with project:
            if not is_resumed and (found := applying.conflicts(wanted, project)):
                raise applying.changed(found)
            record.state = doing
            self._write(record)
            try:
                applying.apply(wanted, project, label=record.id, is_resumed=is_resumed)
            except SymphonyError as error:
                # What was done by half stays marked as begun, so that it can be finished or taken back.
                if not is_resumed and not isinstance(error, applying.PartlyApplied):
                    record.state = before
                    self._write(record)
                raise
        record.state = done
        self._write(record)

    def _put(self, caller: Caller, program: str, changes: ChangeSet) -> Record:
        meta = {"run": caller.run, "node": caller.node, "player": caller.member.name}
        name = f"{caller.node.rpartition('/')[2] or 'call'}.changes"
        artifact = self._store.put(encode(changes), name=name, type=TYPE, meta=meta)
        record = Record(
            id=secrets.token_hex(4),
            run=caller.run,
            node=caller.node,
            extension=caller.member.name,
            program=applying.shown(program)[:200],
            project=str(caller.project),
            artifact=artifact,
            created=time.time(),
            counts=changes.counts(),
            refused=[{"path": applying.shown(r.path), "reason": r.reason} for r in changes.refused],
        )
        self._write(record)
        return record

    def _load(self, record: Record) -> ChangeSet:
        return decode(bytes(self._store.get(record.artifact)))

    def _write(self, record: Record) -> None:
        place = self._folder / (record.run or _OUTSIDE) / "changes"
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / f"{record.id}.json", json.dumps(record.to_json()).encode())

    def _records(self, run: str | None) -> list[Record]:
        found = []
        for path in self._folder.glob(f"{run or '*'}/changes/*.json"):
            try:
                found.append(Record(**json.loads(path.read_bytes())))
            except (OSError, ValueError, TypeError) as error:
                log.warning("%s cannot be read: %s", path, error)
        return sorted(found, key=lambda record: record.created, reverse=True)

    def _find(self, changes: str) -> Record:
        matching = [r for r in self._records(None) if changes and r.id.startswith(changes)]
        if len(matching) != 1:
            several = "several" if matching else "no"
            raise NotFound(
                f"There are {several} changes {changes}", remedy="`symphony changes list` shows them"
            )
        return matching[0]


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
