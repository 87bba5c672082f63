"""What Players themselves write over the project: looked at when a node of theirs has ended, and kept with its run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from symphony.app.changes import Changes
from symphony.errors import SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller
from symphony.stage.changes.collect import collect
from symphony.stage.changes.model import ChangeSet, State
from symphony.stage.permissions import Grants
from symphony.stage.roster import Roster

log = logging.getLogger(__name__)

Json = dict[str, Any]

WHOLE = "write:project/**"
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Runtime(Protocol):
    """What is needed of `pit_native.Runtime`."""

    def player_overlays(self, key: str) -> list[tuple[Path, int]]: ...

    def player_states(self) -> dict[str, Json]: ...


class PlayerChanges:
    """A Player's process, and with it its layer, serves many nodes: each node is given what is new since the last."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        roster: Roster,
        changes: Changes,
        project_of: Callable[[str], str],
    ) -> None:
        """`project_of` answers the project of a run, empty for none."""
        self._runtime = runtime
        self._roster = roster
        self._changes = changes
        self._project_of = project_of
        self._known: dict[str, tuple[int, dict[str, State]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def follow(self, event: Json) -> None:
        """Takes an event of the engine. On the host's loop."""
        if event.get("event") != "taskProgress" or event["node"]["status"] not in _ENDED:
            return
        node = event["node"]
        extension = str(node["player"]).partition("#")[0].partition("@")[0]
        project = self._project_of(event["run"])
        if node["cached"] or not project or WHOLE not in self._granted(extension):
            return
        key = self._roster.key(extension, Path(project))
        # At once: the process may be let go in the next moment.
        layers = self._runtime().player_overlays(key)
        state = self._runtime().player_states().get(key) or {}
        work = self._keep(event["run"], node, key, state, layers, Path(project))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Waits for what is being looked at."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _granted(self, extension: str) -> tuple[str, ...]:
        try:
            return self._roster.granted_to(extension)
        except SymphonyError:
            return ()

    async def _keep(
        self, run: str, node: Json, key: str, state: Json, layers: list[tuple[Path, int]], project: Path
    ) -> None:
        try:
            async with self._turn:
                for target, upper in layers:
                    if target == project:
                        await self._keep_layer(run, node, key, state, upper, project)
        except (SymphonyError, OSError) as error:
            log.warning(
                "What %s changed is not kept: %s",
                node["player"],
                error,
                extra={"run": run, "node": node["id"]},
            )
        finally:
            for _, upper in layers:
                os.close(upper)

    async def _keep_layer(
        self, run: str, node: Json, key: str, state: Json, upper: int, project: Path
    ) -> None:
        pid, started = int(state.get("pid") or 0), int(float(state.get("since") or 0.0) * 1e9)

        def look() -> ChangeSet:
            with Beneath(project) as tree:
                return collect(upper, tree, started=started)

        found = await asyncio.to_thread(look)
        known_pid, known = self._known.get(key, (0, {}))
        if known_pid != pid:
            known = {}
        new = tuple(c for c in found.changes if known.get(c.path) != c.after)
        self._known[key] = pid, {**known, **{c.path: c.after for c in found.changes}}
        member, _ = self._roster.who(key)
        caller = Caller(member, Grants(list(member.granted)), project, run, node["id"])
        await self._changes.keep(
            caller, node["player"], found.part(new), succeeded=node["status"] == "succeeded"
        )
