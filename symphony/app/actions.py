"""What was done, by the user or by the host for them, and taking it back.

Undo knows no commands. What can be undone says how to look at its state and how to put a state back; an action is the
difference between the state before it and after it, and undoing it puts that difference back where it still stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from symphony.app.action_log import Action, ActionLog
from symphony.app.undoing import Changed, apart, patched
from symphony.errors import BadInput, NotFound, SymphonyError

Json = dict[str, Any]


class Restorable(Protocol):
    """A kind of things whose state can be looked at and put back."""

    async def look(self, subject: str) -> Json:
        """The state of a thing; empty when there is no such thing."""
        ...

    async def put(self, subject: str, state: Json) -> None:
        """Makes this its state. Raises SymphonyError; then nothing has changed."""
        ...


@dataclass(slots=True)
class Doing:
    """An action that is under way: its subject and its words may become known while it is done."""

    subject: str
    said: str


class Actions:
    """The history of actions. `emit` tells pages that it has grown; `status_of` tells how a run stands."""

    def __init__(
        self,
        log: ActionLog,
        kinds: dict[str, Restorable],
        emit: Callable[[Json], None],
        status_of: Callable[[str], str],
    ) -> None:
        self._log = log
        self._kinds = kinds
        self._emit = emit
        self._status_of = status_of
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._notes: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Writes what is still to be noted."""
        await asyncio.gather(*self._notes, return_exceptions=True)
        await asyncio.to_thread(self._log.close)

    @contextlib.asynccontextmanager
    async def record(self, kind: str, subject: str, said: str, *, by: str = "you") -> AsyncIterator[Doing]:
        """Notes what is done in the block, so that it can be undone. What changes nothing is not noted; what is
        refused as wrong usage, or before the user has agreed, neither.
        """
        doing, states = Doing(subject, said), self._kinds[kind]
        async with self._turns[kind]:
            before = await states.look(subject)
            try:
                yield doing
            except SymphonyError as error:
                if error.exit_code != BadInput.exit_code and error.code != "consent_needed":
                    await self._add(Action(kind, doing.subject, doing.said, by, error.message))
                raise
            old, new = apart(before, await states.look(doing.subject))
            if old or new:
                await self._add(Action(kind, doing.subject, doing.said, by, "", old, new))

    def note(self, kind: str, subject: str, said: str, by: str = "you") -> None:
        """Notes what cannot be undone, soon. On the host's loop."""
        task = asyncio.get_running_loop().create_task(self._add(Action(kind, subject, said, by)))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def note_removed(self, count: int, by: str = "Symphony") -> None:
        """Notes that artifacts are gone that nothing keeps; nothing when there were none."""
        if count:
            what = "1 artifact" if count == 1 else f"{count:,} artifacts"
            self.note("artifacts", "", f"Removed {what} that nothing keeps", by)
            self._emit({"event": "artifacts"})

    async def listed(self, limit: int, before: int | None = None) -> list[Json]:
        """The newest first; `status` of a run is as it stands now."""
        return await asyncio.to_thread(
            lambda: [self._shown(action) for action in self._log.newest(limit, before)]
        )

    async def turn(self, id: int | None, *, undo: bool) -> Json:
        """Undoes an action, or does one again that was undone; without an id the one whose turn it is. Answers with it.

        Raises an error with code `changed_meanwhile` when what it changed is otherwise by now.
        """
        action = await asyncio.to_thread(self._choose, id, undo=undo)
        expected, wanted = (action.after, action.before) if undo else (action.before, action.after)
        assert expected is not None and wanted is not None
        states = self._kinds[action.kind]
        async with self._turns[action.kind]:
            current = await states.look(action.subject)
            try:
                made = patched(current, expected, wanted)
            except Changed as place:
                if not _is(current, wanted, expected):  # else a killed host has done it and could not note it
                    raise await asyncio.to_thread(self._changed, action, str(place)) from None
            else:
                await states.put(action.subject, made)
            action.undone = undo
            word = "Undid" if undo else "Did again"
            done = Action("undo", str(action.id), f"{word}: {action.said}")
            await asyncio.to_thread(self._log.add, done, turned=action)
        self._emit({"event": "actions"})
        return self._shown(action)

    def _choose(self, id: int | None, *, undo: bool) -> Action:
        action = self._log.latest(undone=not undo) if id is None else self._log.find(id)
        if action is None and id is None:
            raise BadInput(f"There is nothing to {'undo' if undo else 'do again'}")
        if action is None:
            raise NotFound(f"There is no action {id}", remedy="`symphony history` shows them")
        if action.can != ("undo" if undo else "redo"):
            why = "is undone already" if undo and action.undone else "cannot be undone"
            raise BadInput(f"“{action.said}” {why if undo else 'was not undone'}")
        return action

    def _changed(self, action: Action, place: str) -> SymphonyError:
        later = [one for one in self._log.later(action) if one.subject == action.subject]
        remedy = f"undo “{later[0].said}” ({later[0].id}) first" if later else "nothing was changed"
        return SymphonyError(
            f"“{action.said}” cannot be taken back: {place} has changed since",
            remedy=remedy,
            code="changed_meanwhile",
        )

    async def _add(self, action: Action) -> None:
        await asyncio.to_thread(self._log.add, action)
        self._emit({"event": "actions"})

    def _shown(self, action: Action) -> Json:
        status = self._status_of(action.subject) if action.kind == "run" else ""
        return {**action.to_json(), "status": status}


def _is(current: Json, one: Json, other: Json) -> bool:
    """Whether the state is as the one of two says."""
    try:
        patched(current, one, other)
    except Changed:
        return False
    return True
