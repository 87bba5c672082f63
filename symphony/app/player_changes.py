"""What Players themselves write over the project: looked at when a node of theirs has ended, and kept with its run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from symphony.app.changes import Changes
from symphony.app.run_trees import WHOLE, RunTrees
from symphony.engine.steps import Step
from symphony.errors import SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller, Capability
from symphony.stage.changes.collect import collect, state_of
from symphony.stage.changes.model import Change, ChangeSet, State
from symphony.stage.changes.view import Tree, View
from symphony.stage.permissions import Grants
from symphony.stage.roster import Roster

log = logging.getLogger(__name__)

Json = dict[str, Any]

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_CONTENT_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class _Known:
    """What of a process's layer is kept already: the last state of each path, with the contents."""

    pid: int = 0
    states: Mapping[str, State] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Process:
    """A Player as it was when it had done its work: since when it plays (nanoseconds since the epoch), on what."""

    key: str
    pid: int
    started: int
    view: View


class Runtime(Protocol):
    """What is needed of `pit_native.Runtime`."""

    def player_overlays(self, key: str) -> list[tuple[Path, int]]: ...

    def player_states(self) -> dict[str, Json]: ...


class PlayerChanges:
    """A Player's process, and with it its layer, serves many calls: each is given what is new since the last.

    A Player says itself, by `changes.keep`, when it has done its work; of one that does not, or that failed, the
    layer is looked at when its node has ended.
    """

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        roster: Roster,
        changes: Changes,
        trees: RunTrees,
    ) -> None:
        self._runtime = runtime
        self._roster = roster
        self._changes = changes
        self._trees = trees
        self._known: dict[str, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def capabilities(self) -> dict[str, Capability]:
        """The call `changes.keep`. It uses no permission: what is kept has been written already."""
        return {"changes.keep": Capability(self._keep_now, lambda body: "", is_use=False)}

    def follow(self, event: Json) -> None:
        """Takes an event of the engine. On the host's loop."""
        if event.get("event") == "workflowComplete":
            self._spawn(self._forget(event["run"]["id"]))

    def step(self, step: Step) -> None:
        """A step has got another state. On the host's loop."""
        self._trees.step(step)
        if step.status not in _ENDED or step.is_cached:
            return
        extension = step.player.partition("#")[0].partition("@")[0]
        if WHOLE not in self._granted(extension):
            return
        project = self._trees.project_of(step.run)
        if project:
            key = self._trees.key(extension, Path(project), step.run)
            self._spawn(self._keep(step.run, step.place, step.player, key, step.status == "succeeded"))

    async def called(self, extension: str, project: Path | None, node: str, *, succeeded: bool) -> None:
        """A call outside of runs has ended, whose place is `node`."""
        if project is not None and WHOLE in self._granted(extension):
            key = self._trees.key(extension, project, "")
            await self._keep("", node, extension, key, succeeded)

    async def stop(self) -> None:
        """Waits for what is being looked at."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _granted(self, extension: str) -> tuple[str, ...]:
        try:
            return self._roster.granted_to(extension)
        except SymphonyError:
            return ()

    async def _keep_now(self, caller: Caller, body: Json) -> Json:
        if caller.project is not None and WHOLE in caller.member.granted:
            name = caller.member.name
            key = self._trees.key(name, caller.project, caller.run)
            await self._keep(caller.run, caller.node, name, key, True)
        return {}

    def _keep(self, run: str, node: str, player: str, key: str, succeeded: bool) -> Coroutine[Any, Any, None]:
        # At once: the process may be let go in the next moment.
        layers = self._runtime().player_overlays(key)
        state = self._runtime().player_states().get(key) or {}
        process = _Process(
            key,
            int(state.get("pid") or 0),
            int(float(state.get("since") or 0.0) * 1e9),
            self._trees.view_of(key),
        )
        member, project = self._roster.who(key)
        caller = Caller(member, Grants(list(member.granted)), project, run, node)
        return self._keep_layers(caller, player, process, layers, succeeded)

    async def _keep_layers(
        self,
        caller: Caller,
        player: str,
        process: _Process,
        layers: list[tuple[Path, int]],
        succeeded: bool,
    ) -> None:
        try:
            async with self._turn:
                for target, upper in layers:
                    if target == caller.project:
                        found = await asyncio.to_thread(self._look, process, upper, target)
                        await self._changes.keep(caller, player, found, succeeded=succeeded)
        except (SymphonyError, OSError) as error:
            log.warning(
                "What %s changed is not kept: %s",
                player,
                error,
                extra={"run": caller.run, "node": caller.node},
            )
        finally:
            for _, upper in layers:
                os.close(upper)

    async def _forget(self, run: str) -> None:
        async with self._turn:  # after what is still looked at
            for key in [key for key in self._known if key.endswith(f"/{run}")]:
                del self._known[key]

    def _look(self, process: _Process, upper: int, project: Path) -> ChangeSet:
        """What is new in a layer. In a thread; one at a time."""
        known = self._known.get(process.key, _Known())
        if known.pid != process.pid:
            known = _Known(process.pid)
        with Beneath(project) as tree:
            below = process.view.over(tree)
            found = collect(upper, below, started=process.started)
            new = _since(found, known, below)
        afters = {change.path: change.after for change in found.changes}
        held = {after.digest for after in afters.values()}
        contents = {digest: content for digest, content in found.contents.items() if digest in held}
        self._known[process.key] = _Known(process.pid, afters, contents)
        return new


def _since(found: ChangeSet, known: _Known, below: Tree) -> ChangeSet:
    """Of all that a layer holds what is new, told from what was kept before: also what was put back."""
    contents = {**found.contents, **known.contents}
    new = []
    for change in found.changes:
        before = known.states.get(change.path)
        if before is None:
            new.append(change)
        elif not before.is_as(change.after):
            new.append(replace(change, before=before, stale=False))
    there = {change.path for change in found.changes}
    for path, before in known.states.items():
        if path in there:
            continue
        after = state_of(below, path)
        if after.kind == "file":
            contents[after.digest] = below.read(path, _CONTENT_LIMIT) or b""
        new.append(Change(path, before, after))
    new.sort(key=lambda change: change.path)
    return replace(found, contents=contents).part(tuple(new))
