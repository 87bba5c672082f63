"""Changes that programs made to a private copy of the project: kept with their run until the user takes them over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import operator
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from symphony.config import Configuration
from symphony.config.files import write_atomically
from symphony.engine.disk import explain
from symphony.errors import BadInput, NotFound, SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller
from symphony.stage.changes import apply as applying
from symphony.stage.changes.diff import unified
from symphony.stage.changes.layer import write_layer
from symphony.stage.changes.model import TYPE, ChangeSet, decode, encode
from symphony.stage.changes.view import View

log = logging.getLogger(__name__)

Json = dict[str, Any]
State = Literal["open", "applying", "applied", "undoing", "undone"]

_OUTSIDE = "calls"
"""The folder of what was changed outside of any run."""
_LAYERS = "layers"
"""The folder of a run in which its view of the project lies while it plays."""


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
    replaced: bool = False
    """Whether its step was played again: what it changes then is in a set of its own."""

    def to_json(self) -> Json:
        """As the commands and the page show it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Seen:
    """The project as steps of a run see it: the view, and the folders that show it over the project."""

    view: View
    layers: tuple[str, ...]


@dataclass(slots=True)
class _Playing:
    """A run whose steps look at the project. `again` are those that have begun since `seen` was made."""

    places: set[str]
    """Steps of which changes are kept, of this host's life or an earlier one."""
    seen: Seen | None = None
    again: set[str] = field(default_factory=set)
    number: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def forget(self) -> None:
        """What was seen is not how it is any more."""
        self.number += 1
        self.seen = None


class Changes:
    """Keeps change sets below the folder of runs, shows, applies and undoes them.

    Within a run they build upon each other: what a step has changed, the steps that begin after it see.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        emit: Callable[[Json], None],
        configuration: Configuration,
    ) -> None:
        self._folder = folder
        self._store = store
        self._emit = emit
        self._configuration = configuration
        self._busy: dict[str, asyncio.Lock] = {}
        self._runs: dict[str, _Playing] = {}
        self.taking: Callable[[str], Awaitable[Json]] = self.apply
        """Applies what the settings say is to be applied without asking."""
        self.follower: Callable[[str], Awaitable[None]] | None = None
        """Told of a run that sees another project from now on."""

    def begin(self, run: str, node: str) -> bool:
        """A step begins to play. Whatever it has changed when it played before is seen no more; whether there is
        any. On the loop."""
        playing = self._play(run)
        if node not in playing.places:
            return False
        playing.again.add(node)
        playing.forget()
        return True

    async def places(self, run: str) -> list[str]:
        """The steps of a run of which changes are kept."""
        return sorted({record.node for record in await asyncio.to_thread(self._records, run)})

    def _play(self, run: str) -> _Playing:
        playing = self._runs.get(run)
        if playing is None:
            playing = self._runs[run] = _Playing({record.node for record in self._records(run)})
        return playing

    def end(self, run: str) -> None:
        """Nothing of the run plays any more: nobody looks through its view."""
        self._runs.pop(run, None)
        shutil.rmtree(
            self._folder / run / _LAYERS, ignore_errors=True
        )  # the next run of this id makes them anew

    async def seen(self, run: str, project: Path | None) -> Seen:
        """The project as steps of a run see it that begin now; outside of a run as it is."""
        if not run or project is None:
            return Seen(View(), ())
        playing = self._play(run)
        async with playing.turn:
            return await self._seen(run, playing, project)

    async def keep(self, caller: Caller, program: str, changes: ChangeSet, *, succeeded: bool) -> None:
        """Keeps what a program has changed, and applies it where the user said so beforehand."""
        if not changes.changes and not changes.refused:
            return
        playing = self._runs.get(caller.run)
        if playing is not None and caller.project is not None:
            async with playing.turn:
                before = await self._seen(caller.run, playing, caller.project)
                record = await asyncio.to_thread(self._put, caller, program, before.view.crossed(changes))
                playing.places.add(caller.node)
                playing.forget()
            await self._tell_follower(caller.run)
        else:
            record = await asyncio.to_thread(self._put, caller, program, changes)
        log.info(
            "%s changed the project: %s",
            program,
            _words(record.counts),
            extra={"run": caller.run, "node": caller.node},
        )
        self._emit({"event": "changes", "run": record.run})
        is_applied = self._configuration.get("stage.changes") == "apply"
        if succeeded and changes.changes and is_applied:
            try:
                await self.taking(record.id)
            except SymphonyError as error:
                self._emit({"event": "notice", "run": record.run, "message": str(error)})

    async def listed(self, run: str | None = None) -> list[Json]:
        """Newest first, of one run or of all."""
        records = await asyncio.to_thread(self._records, run)
        return [record.to_json() for record in records]

    async def of_call(self, node: str) -> list[Json]:
        """Those of one call outside of runs."""
        records = await asyncio.to_thread(self._records, _OUTSIDE)
        return [record.to_json() for record in records if record.node == node]

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

    async def waiting(self, run: str) -> list[str]:
        """The open sets of a run, in the order in which they were made. Raises BadInput when there are none."""
        records = await asyncio.to_thread(self._records, run)
        waiting = [r for r in reversed(records) if r.state in ("open", "applying") and not r.replaced]
        if not waiting:
            raise BadInput(f"No changes of the run {run} wait for a word", remedy="nothing was changed")
        return [record.id for record in waiting]

    async def is_applied(self, changes: str) -> bool:
        """Whether a set is in its project. Raises NotFound."""
        return (await asyncio.to_thread(self._find, changes)).state == "applied"

    async def about(self, changes: str) -> Json:
        """A set as `listed` shows it."""
        return (await asyncio.to_thread(self._find, changes)).to_json()

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
        self._emit({"event": "changes", "run": record.run, "state": done})
        if record.run in self._runs:
            self._runs[record.run].forget()
            await self._tell_follower(record.run)
        return record.to_json()

    async def _tell_follower(self, run: str) -> None:
        if self.follower is not None:
            await self.follower(run)

    async def _seen(self, run: str, playing: _Playing, project: Path) -> Seen:
        while playing.seen is None:
            number, again = playing.number, set(playing.again)
            made = await asyncio.to_thread(self._look_through, run, again, project)
            playing.again -= again
            if playing.number == number:  # else something has changed meanwhile
                playing.seen = made
        return playing.seen

    def _look_through(self, run: str, again: set[str], project: Path) -> Seen:
        """What the sets of a run that nobody has taken over make of the project, and a folder that shows it."""
        records = list(reversed(self._records(run)))
        for record in records:
            if record.node in again and record.state == "open" and not record.replaced:
                record.replaced = True
                self._write(record)
        shown = [r for r in records if r.state == "open" and not r.replaced and r.project == str(project)]
        view = View.of(self._load(record) for record in shown)
        if not view.states:
            return Seen(view, ())
        name = hashlib.sha256(" ".join(record.id for record in shown).encode()).hexdigest()[:16]
        place = self._folder / run / _LAYERS / name
        try:
            with Beneath(project) as tree:
                write_layer(view, tree, place)
        except OSError as error:
            raise explain(error, place) from error
        return Seen(view, (str(place.resolve()),))

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
                raise self._in_order(record, doing, applying.changed(found))
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

    def _in_order(
        self, record: Record, doing: State, refused: applying.ChangedMeanwhile
    ) -> applying.ChangedMeanwhile:
        """The error, with the sets named that have to be applied or undone before this one, if there are any."""
        wanted, between = ("open", operator.lt) if doing == "applying" else ("applied", operator.gt)
        paths = {finding["key"] for finding in refused.findings}
        first = [
            other.id
            for other in self._records(record.run or _OUTSIDE)
            if other.state == wanted and not other.replaced and between(other.created, record.created)
            if paths & {applying.shown(change.path) for change in self._load(other).changes}
        ]
        if first:
            verb, others = ("apply", first[::-1]) if doing == "applying" else ("undo", first)
            refused.remedy = f"{verb} {' and '.join(others)} first: these changes build upon them"
            if doing == "undoing":
                refused.remedy = f"undo {' and '.join(others)} first: they build upon these changes"
        return refused

    def _put(self, caller: Caller, program: str, changes: ChangeSet) -> Record:
        meta = {"run": caller.run, "node": caller.node, "player": caller.member.name}
        name = f"{caller.node.rpartition('/')[2] or 'call'}.changes"
        artifact = self._store.put(encode(changes), name=name, type=TYPE, meta=meta)
        before = self._records(caller.run or _OUTSIDE)  # their order holds when the clock is set back, too
        record = Record(
            id=secrets.token_hex(4),
            run=caller.run,
            node=caller.node,
            extension=caller.member.name,
            program=applying.shown(program)[:200],
            project=str(caller.project),
            artifact=artifact,
            created=max(time.time(), before[0].created + 1e-6) if before else time.time(),
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
