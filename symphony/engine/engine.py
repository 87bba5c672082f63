"""The engine: starts runs in the run loop, follows its events, and answers what only Python can decide."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from symphony.engine.control import ControlPlayers
from symphony.engine.control_call import ControlCall
from symphony.engine.figures import Figures
from symphony.engine.history import History
from symphony.engine.nesting import FindMelody, NestedRuns, Progress, folder_of, path_of, root_of
from symphony.engine.plan import Cast, compile_plan
from symphony.engine.record import RunRecord
from symphony.engine.steps import Step
from symphony.engine.telling import Emit, Teller
from symphony.errors import BadInput, PlayerError, SymphonyError
from symphony.melody.conditions import evaluate
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.model import Melody
from symphony.ports.conductor import PlayDecisions
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice
from symphony.types.runs import NodeRun, RunInfo

log = logging.getLogger(__name__)

Json = dict[str, Any]
PoolKey = Callable[[str, Path | None, str, Melody], str]
"""Extension, project, run and its melody → entry of the Pool Manager."""

_DONE = frozenset({"succeeded", "failed", "cancelled", "skipped"})


class Runtime(Protocol):
    """What the engine needs of `pit_native.Runtime`."""

    def fileno(self) -> int: ...

    def drain(self, limit: int = ...) -> list[Json]: ...

    def start(self, plan: Json) -> None: ...

    def resume(self, run_dir: str, plan: Json) -> Json: ...

    def cancel(self, run: str) -> object: ...

    def call_player(self, token: int, key: str, body: Json, timeout: float | None) -> None: ...

    def tell_call(self, run: str, node: str, method: str, body: Json) -> bool: ...

    def stop_call(self, run: str, node: str) -> bool: ...

    def decide(self, token: int, answer: Any) -> object: ...

    def prewarm(self, keys: Sequence[str]) -> object: ...

    def outputs(self, run: str, node: str) -> Json: ...

    def finished(self, run_dir: str, run: str) -> list[str]: ...


class Engine:
    """Plays melodies. All methods belong to the host's asyncio loop."""

    def __init__(
        self,
        runtime: Runtime,
        history: History,
        *,
        pool_key: PoolKey,
        versions: Callable[[], Mapping[str, str]],
        emit: Emit,
        on_request: Callable[[Json], None],
        on_withdrawn: Callable[[int], None],
        on_ui: Callable[[Json], None],
        on_step: Callable[[Step], None],
        node_timeout: Callable[[], float],
        find_melody: FindMelody,
        bring_back: Callable[[str], None],
        counts_nodes: bool = False,
        grants: Callable[[str], Iterable[str]] = lambda extension: (),
        decisions: PlayDecisions | None = None,
    ) -> None:
        """`on_step` is told of every step at once, before whatever it asks for is answered. `bring_back` fetches the
        content of an artifact from its tier, blocks, and raises a SymphonyError when it
        cannot. `counts_nodes` tells that the arbiter has places for nodes (`engine.max_parallel`), `grants` what an
        extension was granted, `decisions` who decides while a Melody plays; without one the plan alone holds.
        """
        self._runtime = runtime
        self._history = history
        self._pool_key = pool_key
        self._versions = versions
        self._emit = emit
        self._on_step = on_step
        self._teller = Teller(history, emit)
        self.figures = Figures()
        """What nodes took in all runs that have ended."""
        history.found.append(lambda record: self.figures.add(record.info))
        self._node_timeout = node_timeout
        self._counts_nodes = counts_nodes
        self._grants = grants
        self._bring_back = bring_back
        self._decisions = decisions
        self._plans: dict[str, Json] = {}
        self._playing: dict[str, RunRecord] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self._next_call = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._control_tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._casts: dict[str, Cast] = {}
        self._nested = NestedRuns(
            runtime,
            cast=lambda run: self._casts[run],
            folder=history.folder,
            find=find_melody,
            progress=self._nested_progress,
        )
        self.control = ControlPlayers(self._node_waits, self._nested)
        self._handlers: dict[str, Callable[[Json], object]] = {
            "node": self._on_node,
            "run": self._on_run,
            "progress": self._on_progress,
            "log": self._on_log,
            "output": self._on_output,
            "ui": on_ui,
            "request": lambda event: on_request(in_root(event)),
            "withdrawn": lambda event: on_withdrawn(event["id"]),
            "control": self._on_control,
            "condition": self._on_condition,
            "failure": self._on_failure,
            "recall": lambda event: self._spawn(self._recall(event)),
            "player": self._on_player,
            "call_done": self._on_call_done,
        }
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- lifetime ----------------------------------------------------------------------------
    async def start(self) -> None:
        """Follows the run loop's events from now on."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._runtime.fileno(), self._drain)

    async def stop(self) -> None:
        """Cancels what plays, waits for its end, and stops to follow events."""
        for run in list(self._playing):
            self._runtime.cancel(run)
        waits = [event.wait() for event in self._ended.values()]
        if waits:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waits), 10)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._loop is not None:
            self._loop.remove_reader(self._runtime.fileno())
        self._teller.close()

    # --- playing -----------------------------------------------------------------------------
    def play(
        self,
        melody: Melody,
        catalogue: Mapping[str, FunctionSpec],
        lattice: TypeLattice,
        *,
        project: Path | None,
        prompt: str = "",
        agreed: Sequence[str] = (),
    ) -> str:
        """Starts a run of a validated Melody and answers its id. `agreed` is what the user agreed to."""
        run = str(uuid.uuid4())
        plan = self._compile(melody, catalogue, lattice, run, project, prompt)
        record = RunRecord(
            RunInfo(
                id=run,
                name=melody.name,
                status="running",
                seconds=0.0,
                nodes=[NodeRun(n.id, n.player_name) for n in melody.nodes],
                project=str(project or ""),
                prompt=prompt,
                created=time.time(),
            ),
            melody.to_document(),
            agreed=list(agreed),
        )
        self._history.add(record)
        self._begin(record)
        try:
            self._runtime.start(plan)
        except SymphonyError:
            self._give_up(record)
            raise
        return run

    def resume(
        self,
        record: RunRecord,
        melody: Melody,
        catalogue: Mapping[str, FunctionSpec],
        lattice: TypeLattice,
    ) -> str:
        """Goes on with a run that did not end well, under its id; finished nodes are not played again."""
        info = record.info
        if info.id in self._playing:
            raise BadInput(f"The run {info.id} is playing", remedy="wait for its end or cancel it")
        if info.status == "succeeded":
            raise BadInput(f"The run {info.id} has succeeded", remedy="play its melody again instead")
        project = Path(info.project) if info.project else None
        plan = self._compile(melody, catalogue, lattice, info.id, project, info.prompt)
        shown = info.nodes, record.melody, list(record.results)
        info.status = "running"
        info.error = None
        known = {node.id: node for node in info.nodes}
        nodes = [_again(known.get(n.id), NodeRun(n.id, n.player_name)) for n in melody.nodes]
        record.begin_again(nodes, melody.to_document())
        self._begin(record)
        try:
            self._runtime.resume(str(self._history.folder(info.id)), plan)
        except SymphonyError as error:
            # Such as a damaged journal: the run shows what it had done, and why it does not go on.
            record.begin_again(*shown[:2])
            record.results += shown[2]
            info.error = error.to_json()
            self._give_up(record)
            raise
        return info.id

    def has_finished(self, run: str, place: str) -> bool:
        """Whether a step of a run, nested or not, has succeeded, by its journal. Blocks. Raises BadInput when that is
        damaged.
        """
        inner, _, node = place.rpartition("/")
        of = f"{run}/{inner}" if inner else run
        return node in self._runtime.finished(str(folder_of(self._history.folder, of)), of)

    def cancel(self, run: str) -> None:
        """Stops a run in order. Does nothing when it has ended already."""
        if run in self._playing:
            self._runtime.cancel(run)

    async def ended(self, run: str) -> RunRecord:
        """Waits for a run's end."""
        event = self._ended.get(run)
        if event is not None:
            await event.wait()
        return self._history.get(run)

    def playing(self) -> list[str]:
        """The ids of the runs that play now."""
        return list(self._playing)

    def tell(self, run: str, node: str, event: Json) -> bool:
        """Hands what the user did to the tree that a call shows to its Player; False when no such call is open."""
        return self._runtime.tell_call(run, node, "ui.event", event)

    def stop_call(self, run: str, node: str) -> bool:
        """Asks for the end of a call; False when no such call is open."""
        return self._runtime.stop_call(run, node)

    async def call(self, key: str, body: Json, timeout: float | None) -> Json:
        """One function of a Player alone; answers its outputs."""
        self._next_call += 1
        token = self._next_call
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._calls[token] = future
        self._runtime.call_player(token, key, body, timeout)
        return await future

    def _compile(
        self,
        melody: Melody,
        catalogue: Mapping[str, FunctionSpec],
        lattice: TypeLattice,
        run: str,
        project: Path | None,
        prompt: str,
    ) -> Json:
        cast = Cast(
            catalogue,
            lattice,
            project=str(project) if project else None,
            pool_key=lambda extension: self._pool_key(extension, project, run, melody),
            versions=self._versions(),
            node_timeout=self._node_timeout(),
            prompt=prompt,
            counts_nodes=self._counts_nodes,
            melody=melody.id or melody.name,
            expected_seconds=self.figures.expected_seconds,
            grants=self._grants,
        )
        plan = compile_plan(melody, cast, run=run, run_dir=str(self._history.folder(run)))
        self._casts[run] = cast
        if self._decisions is not None:
            self._plans[run] = plan
            self._runtime.prewarm(self._decisions.shape(plan, cast.project))
        return plan

    def _begin(self, record: RunRecord) -> None:
        self._playing[record.info.id] = record
        self._ended[record.info.id] = asyncio.Event()
        self._emit({"event": "runs", "run": record.info.id})

    def _give_up(self, record: RunRecord) -> None:
        record.info.status = "failed"
        self._finish(record)

    # --- events of the run loop ----------------------------------------------------------------
    def _drain(self) -> None:
        for event in self._runtime.drain(1024):
            handler = self._handlers.get(event["event"])
            if handler is not None:
                handler(event)

    def _on_node(self, event: Json) -> None:
        run, state = event["run"], event["state"]
        if state in _DONE:
            self._drop_control(run, event["node"])
        if "/" in run:
            self._tell_step(event, self._nested.player(run, event["node"]))
            self._nested.on_node(event)
            return
        record = self._playing.get(run)
        if record is None:
            return
        node = record.node(event["node"])
        self._tell_step(event, node.player)
        node.status = state
        node.waits_for = ""
        node.attempts = event.get("attempt") or node.attempts
        at = event.get("at")
        if state == "running":
            node.started = at
            node.progress = None
            node.artifacts = []  # those of an earlier attempt are in the store, as versions
            node.ran_because = event.get("ran_because", "")
        elif state in _DONE:
            if not event.get("kept"):
                node.ended = at
                _note_facts(node, event)
            made = event.get("artifacts") or []
            # What its nested runs made is there already.
            parts = node.artifacts if node.player.startswith(f"{CONTROL}#") else ()
            node.artifacts = list(dict.fromkeys([*parts, *(a["id"] for a in made)]))
            if state == "succeeded" and record.is_last(node.id):
                record.results.extend(_artifact_json(a, run, node.id) for a in made)
        if self._decisions is not None and state in _DONE:
            self._decisions.after_node(run, node.id, state)
        self._teller.changed(record, node)
        if state == "failed":
            said = (node.error or {}).get("message") or "it failed"
            log.error("%s: %s", node.player, said, extra={"run": run, "node": node.id})
            self._emit({"event": "taskError", "run": run, "node": node.to_json()})

    def _tell_step(self, event: Json, player: str) -> None:
        if not event.get("kept"):
            run, place = root_of(event["run"]), path_of(event["run"], event["node"])
            played = str(event.get("fallback") or player)
            attempt, is_cached = int(event.get("attempt") or 0), "cached" in event
            self._on_step(Step(run, place, played, event["state"], attempt, is_cached))

    def _nested_progress(self, progress: Progress) -> None:
        root, _, inner = progress.run.partition("/")
        record = self._playing.get(root)
        if record is None:
            return
        node = record.node(inner.partition("/")[0])
        node.artifacts = list(dict.fromkeys([*node.artifacts, *progress.artifacts]))
        if inner.count("/") <= 1:  # what is nested deeper has no share in the bar
            node.progress = progress.done / progress.total
            node.note = f"{progress.done} of {progress.total}"
        if node.status == "waiting" and not self.control.questions(root):
            node.status = "running"
        self._teller.changed(record, node)

    def _on_run(self, event: Json) -> None:
        run = event["run"]
        if event["state"] == "running":
            return
        for key in [key for key in self._control_tasks if key[0] == run]:
            self._drop_control(*key)
        if "/" in run:
            self._nested.on_run(event)
            return
        record = self._playing.get(run)
        if record is None:
            return
        record.info.status = event["state"]
        record.info.seconds = event.get("seconds") or 0.0
        record.info.error = event.get("error")
        self._finish(record)

    def _finish(self, record: RunRecord) -> None:
        run = record.info.id
        self._teller.ended(record)
        self.figures.add(record.info)
        del self._playing[run]
        self._casts.pop(run, None)
        self._plans.pop(run, None)
        self._ended.pop(run).set()
        info = record.info
        log.info(
            "%s %s after %.2f s", info.name or "the Melody", info.status, info.seconds, extra={"run": run}
        )
        self._emit({"event": "workflowComplete", "run": record.info.to_json(), "artifacts": record.results})
        self._emit({"event": "runs", "run": run})
        if record.results:
            self._emit({"event": "artifacts", "run": run})

    def _on_progress(self, event: Json) -> None:
        record = self._playing.get(event["run"])
        if record is not None:
            node = record.node(event["node"])
            node.progress, node.note = event.get("fraction"), event.get("note") or ""
            self._teller.changed(record, node)

    def _on_log(self, event: Json) -> None:
        event = in_root(event)
        level = logging.getLevelName(str(event.get("level", "info")).upper())
        log.log(
            level if isinstance(level, int) else logging.INFO,
            "%s",
            event.get("message"),
            extra={
                "component": f"player.{event.get('extension')}",
                "run": event.get("run"),
                "node": event.get("node"),
                "fields": event.get("fields"),
            },
        )

    def _on_output(self, event: Json) -> None:
        at = in_root(event)
        self._emit({"event": "output", "run": at["run"], "node": at["node"], "piece": at["piece"]})

    def _on_player(self, event: Json) -> None:
        state = str(event.get("state"))
        level = logging.WARNING if event.get("reason") else logging.INFO
        log.log(
            level,
            "%s is %s %s",
            event.get("extension"),
            state,
            event.get("reason") or "",
            extra={"component": "stage"},
        )
        self._emit({**event, "event": "players"})

    def _on_call_done(self, event: Json) -> None:
        future = self._calls.pop(event["token"], None)
        if future is None or future.done():
            return
        error = event.get("error")
        if error:
            future.set_exception(
                PlayerError(
                    error["message"], code=error.get("code", "failed"), remedy=error.get("remedy", "")
                )
            )
        else:
            future.set_result(event.get("outputs") or {})

    # --- decisions -----------------------------------------------------------------------------
    def _on_control(self, event: Json) -> None:
        call = ControlCall(event["run"], event["node"], event["player"], event["params"], event["inputs"])
        self._drop_control(call.run, call.node)
        self._control_tasks[call.run, call.node] = self._spawn(self._play_control(event["token"], call))

    def _drop_control(self, run: str, node: str) -> None:
        task = self._control_tasks.pop((run, node), None)
        if task is not None and not task.done():  # it timed out or was cancelled
            task.cancel()

    async def _play_control(self, token: int, call: ControlCall) -> None:
        try:
            outputs = await self.control.play(call)
        except SymphonyError as error:
            self._runtime.decide(token, {"error": error.to_json()})
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("control node failed", extra={"run": call.run, "node": call.node})
            self._runtime.decide(
                token, {"error": {"code": "internal", "message": str(error), "remedy": "see the log"}}
            )
        else:
            self._runtime.decide(token, {"outputs": outputs})

    def _on_condition(self, event: Json) -> None:
        when = event.get("when") or ""
        try:
            holds = evaluate(when, event["outputs"])
        except SymphonyError as error:
            log.warning("condition %r: %s", when, error, extra={"run": event["run"], "node": event["to"]})
            holds = False
        self._runtime.decide(event["token"], holds)

    def _on_failure(self, event: Json) -> None:
        """Only plans that `decisions` has shaped ask."""
        plan = self._plans.get(event["run"])
        answer: Json = {"action": "default"}
        if self._decisions is not None and plan is not None:
            answer = self._decisions.after_failure(plan, event)
        self._runtime.decide(event["token"], answer)

    async def _recall(self, event: Json) -> None:
        """Brings back what an earlier run made and this one needs."""
        answer: Any = True
        try:
            await asyncio.to_thread(self._bring_back, event["id"])
        except SymphonyError as error:
            log.warning("%s", error, extra={"run": event["run"]})
            answer = {"error": error.to_json()}
        except Exception as error:
            log.exception("%s could not be brought back", event["id"], extra={"run": event["run"]})
            answer = {"error": {"code": "internal", "message": str(error), "remedy": "see the log"}}
        self._runtime.decide(event["token"], answer)

    def _node_waits(self, call: ControlCall) -> None:
        record = self._playing.get(root_of(call.run))
        if record is not None:
            node = record.node(path_of(call.run, call.node).partition("/")[0])
            node.status = "waiting"
            node.note = str(call.params.get("message") or "Shall this go on?")
            self._teller.changed(record, node)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def in_root(event: Json) -> Json:
    """An event of a nested run as one of its root run."""
    run = event.get("run") or ""
    if "/" not in run:
        return event
    return {**event, "run": root_of(run), "node": path_of(run, event.get("node") or "")}


def _note_facts(node: NodeRun, event: Json) -> None:
    """What the run loop says of a node that has ended."""
    node.started = event.get("started", node.started)
    node.cached = "cached" in event
    node.error = event.get("error")
    node.queue_seconds = event.get("queue")
    node.cpu_seconds = event.get("cpu_seconds")
    node.peak_memory = event.get("peak_memory")
    node.gpu_share = event.get("gpu_share")
    node.ran_because = event.get("ran_because", "")
    node.fallback = event.get("fallback", "")


def _again(before: NodeRun | None, fresh: NodeRun) -> NodeRun:
    """A node of a resumed run: as it was when it had succeeded; what it had made by parts stays known."""
    if before is None:
        return fresh
    if before.status == "succeeded":
        return before
    if fresh.player.startswith(f"{CONTROL}#"):
        fresh.artifacts = list(before.artifacts)
    return fresh


def _artifact_json(artifact: Json, run: str, node: str) -> Json:
    kept: Json = {k: artifact[k] for k in ("id", "name", "type", "bytes", "quality") if k in artifact}
    return {**kept, "run": run, "node": node}
