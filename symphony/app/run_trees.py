"""Which project the steps of a run see: each begins with what those before it have changed, applied or not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from symphony.app.changes import Changes, Seen
from symphony.engine.history import History
from symphony.engine.steps import Step
from symphony.errors import SymphonyError
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.model import Melody
from symphony.stage.changes.view import View
from symphony.stage.roster import Roster

log = logging.getLogger(__name__)

Json = dict[str, Any]

WHOLE = "write:project/**"
"""With this grant a Player, or a program that it runs, can change any file of the project."""


_AT_WORK = frozenset({"loading", "warming", "active"})
_NOTHING = Seen(View(), ())


class Runtime(Protocol):
    """What is needed of `pit_native.Runtime`."""

    def player_states(self) -> dict[str, Json]: ...


class RunTrees:
    """Tells changes and roster how far each run is. A run that may change the project has Players of its own; the
    others share those that are warm."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        roster: Roster,
        changes: Changes,
        history: History,
        has_finished: Callable[[str, str], bool],
    ) -> None:
        """`has_finished` tells of a run's step, by its place, whether it has succeeded; it blocks."""
        self._runtime = runtime
        self._roster = roster
        self._changes = changes
        self._history = history
        self._has_finished = has_finished
        self._own: dict[str, bool] = {}
        self._views: dict[str, View] = {}
        self._seen: dict[str, Seen] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        changes.follower = self.changed

    def pool_key(self, extension: str, project: Path | None, run: str, melody: Melody) -> str:
        """The pool entry of an extension for a run."""
        if run not in self._own:
            self._own[run] = may_change(melody, self._granted)
        if not self._own[run]:
            return self._roster.key(extension, project)
        seen = self._seen.get(run, _NOTHING)
        key = self._roster.key(extension, project, run, seen.layers)
        self._views.setdefault(key, seen.view)
        return key

    async def prepare(self, run: str, project: Path | None, unfinished: Iterable[str]) -> None:
        """Before a run is resumed: what its steps have changed so far will be seen, but for those that play again."""
        again = set(unfinished)
        for place in await self._changes.places(run):
            if place in again or (
                place.partition("/")[0] in again and not await asyncio.to_thread(self._is_kept, run, place)
            ):
                self._changes.begin(run, place)
        self._seen[run] = await self._changes.seen(run, project)

    def _is_kept(self, run: str, place: str) -> bool:
        try:
            return self._has_finished(run, place)
        except SymphonyError:  # its run will say why it does not go on
            return False

    def key(self, extension: str, project: Path, run: str) -> str:
        """The entry that `pool_key` gave to a run that still plays."""
        return self._roster.key(extension, project, run if self._own.get(run) else "")

    def project_of(self, run: str) -> str:
        """The project of a run, empty for none."""
        return self._history.get(run).info.project

    def view_of(self, key: str) -> View:
        """What the Player of an entry sees over the project."""
        return self._views.get(key, _NOTHING.view)

    def follow(self, event: Json) -> None:
        """Takes an event of the engine. On the host's loop."""
        if event.get("event") == "workflowComplete":
            self._spawn(self._end(event["run"]["id"]))

    def step(self, step: Step) -> None:
        """A step has got another state. On the host's loop."""
        place = step.run, step.place
        if step.status != "running" or not self._own.get(step.run) or self._begun.get(place) == step.attempt:
            return
        self._begun[place] = step.attempt
        if self._changes.begin(step.run, step.place):
            # What it had changed in an earlier attempt, or before the run was resumed, may be in a view.
            self._spawn(self.changed(step.run))

    async def changed(self, run: str) -> None:
        """Steps of the run that begin from now on see another project: Players that do not play start anew. One
        that plays is left alone when it may write, for what it has written would go with it."""
        project = self.project_of(run)
        if not project or not self._own.get(run):
            return
        try:
            seen = await self._changes.seen(run, Path(project))
        except SymphonyError as error:
            log.error("What the run changed cannot be shown to its steps: %s", error, extra={"run": run})
            raise
        self._seen[run] = seen  # for entries that are made later, by melodies inside
        states = self._runtime().player_states()
        for key, layers in self._roster.of_run(run).items():
            writes = WHOLE in self._roster.who(key)[0].granted
            plays = (states.get(key) or {}).get("state") in _AT_WORK
            if layers != seen.layers and not (writes and plays):
                self._views[key] = seen.view
                await asyncio.to_thread(self._roster.show, run, key, seen.layers)

    async def stop(self) -> None:
        """Waits for what is being done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, run: str) -> None:
        self._begun = {place: begun for place, begun in self._begun.items() if place[0] != run}
        self._seen.pop(run, None)
        for key in self._roster.of_run(run):
            self._views.pop(key, None)
        if self._own.pop(run, None):
            await asyncio.to_thread(self._roster.release, run)
            self._changes.end(run)

    def _granted(self, extension: str) -> Iterable[str]:
        try:
            return self._roster.granted_to(extension)
        except SymphonyError:
            return ()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def may_change(melody: Melody, granted: Callable[[str], Iterable[str]]) -> bool:
    """Whether a step of the melody may change the project. What a melody inside would play is not looked up."""
    for node in melody.nodes:
        named = {node.extension, str(node.params.get("player") or "").partition("#")[0]}
        if node.fallback is not None:
            named.add(node.fallback.partition("#")[0])
        if node.extension == CONTROL and node.params.get("melody"):
            return True
        if any(name and name != CONTROL and WHOLE in granted(name) for name in named):
            return True
    return False
