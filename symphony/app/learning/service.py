"""What the host does for learning: logs decisions and how their runs end, starts the learner, changes the policy."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.app.learning.learner import Learner, Lesson, torch_is_there
from symphony.config import Configuration
from symphony.config.files import write_atomically
from symphony.engine.history import History
from symphony.errors import BadInput, EnvironmentLacks, NotFound, SymphonyError
from symphony.ports.component import HealthStatus

if TYPE_CHECKING:
    from conductor.context import Composition
    from conductor.learning.store import ReplayStore
    from conductor.learning.versions import Versions
    from conductor.past import Request

log = logging.getLogger(__name__)

Json = dict[str, Any]

MARK = "composition"
"""The entry in a Melody's metadata that names the composition it came from: it survives editing and saving."""
LOOKED = 30.0
"""Seconds between two looks whether there is something to learn."""
KEPT_LESSONS = 20
MOST_REMEMBERED = 200
"""Prompts that were served here count as past requests; the newest so many."""
NO_TORCH = "Learning needs torch, which is not installed"
GET_TORCH = "run `make learn` in Symphony's folder; everything else works without"


def deciding(folder: Path, shipped: Path) -> HealthStatus:
    """Which policy decides, and whether it is the one that was promoted. It blocks."""
    if not (folder / "policies" / "record.json").exists():
        return HealthStatus("learning", "ok")  # nothing was ever promoted; numpy need not be loaded for that
    from conductor.learning.versions import Versions

    try:
        _, version, trouble = Versions(folder / "policies", shipped).usable()
    except EnvironmentLacks as error:
        return HealthStatus(
            "learning", "degraded", f"{error.message}; the typed planner decides", error.remedy
        )
    if trouble:
        remedy = "run `symphony learning rollback`, or learn anew"
        return HealthStatus("learning", "degraded", f"{trouble}; {version} decides", remedy)
    return HealthStatus("learning", "ok", f"{version} decides")


class Learning:
    """The component `learning`. Blocking work is done in threads; the replay opens when it is first needed."""

    name = "learning"

    def __init__(
        self,
        folder: Path,
        shipped: Path | None,
        configuration: Configuration,
        history: History,
        emit: Callable[[Json], None],
        learner: Learner,
        is_busy: Callable[[], bool],
    ) -> None:
        """`folder` is the home's, `shipped` the weights that came with Symphony; `is_busy` tells whether anything
        plays.
        """
        self._folder, self._shipped = folder, shipped
        self._configuration, self._history, self._emit = configuration, history, emit
        self._learner, self._is_busy = learner, is_busy
        self._opening = threading.Lock()
        self._store: ReplayStore | None = None
        self._versions: Versions | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._lesson: asyncio.Task[Json] | None = None
        self._quiet_since = time.monotonic()
        self._is_stopped = False
        self._turn = 0
        """How often what is kept has changed."""
        self._looked: tuple[int, bool] | None = None
        """What `past` was last made from."""
        self._own: list[Request] = []
        self._past: tuple[int, Sequence[Request]] | None = None
        self.adopted: Callable[[], None] = lambda: None
        """Called in a thread when another policy decides."""

    # --- component -------------------------------------------------------------------------------
    async def start(self) -> None:
        """Begins to look now and then whether there is something to learn."""
        self._watch = asyncio.create_task(self._look_now_and_then(), name="learning")

    async def stop(self) -> None:
        """Ends the learner and lets go of the replay. What runs have just told is written first; what they tell from
        now on, because the host ends under them, says nothing of their worth.
        """
        self._is_stopped = True
        for task in (self._watch, self._lesson):
            if task is not None:
                task.cancel()
        await asyncio.gather(
            *(t for t in (self._watch, self._lesson) if t is not None), return_exceptions=True
        )
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with self._opening:
            store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.close)

    async def health_check(self) -> HealthStatus:
        """Degraded when a promoted policy cannot be read and another decides in its place."""
        if self._shipped is None:
            return HealthStatus(self.name, "absent", "there are no weights", "run `make conductor-weights`")
        return await asyncio.to_thread(deciding, self._folder, self._shipped)

    @property
    def is_on(self) -> bool:
        """Whether decisions and outcomes are logged."""
        return bool(self._configuration.get("conductor.learning.log"))

    @property
    def store(self) -> ReplayStore:
        """The replay buffer, opened now if it was not. Call it in a thread. Raises ReplayDamaged."""
        from conductor.learning.store import ReplayStore

        with self._opening:
            if self._store is None:
                self._store = ReplayStore(self._folder / "replay.sqlite")
            return self._store

    @property
    def versions(self) -> Versions:
        """Which policy decides. Raises EnvironmentLacks where no weights are shipped."""
        from conductor.learning.versions import Versions

        if self._shipped is None:
            raise EnvironmentLacks(
                "There are no weights to learn from", remedy="run `make conductor-weights`"
            )
        if self._versions is None:
            self._versions = Versions(self._folder / "policies", self._shipped)
        return self._versions

    def weights(self) -> Path | None:
        """The file of the policy that decides now. For the planner, in its thread: it does without one that cannot
        be read.
        """
        if self._shipped is None or not (self._folder / "policies" / "record.json").exists():
            return self._shipped
        try:
            return self.versions.usable()[0]
        except EnvironmentLacks:
            return self._shipped

    def past(self) -> tuple[int, Sequence[Request]]:
        """What was asked and served here, and a number that changes with it. For the planner's thread."""
        looked = self._turn, self.is_on
        if looked != self._looked:
            own: list[Request] = []
            if self.is_on and (self._folder / "replay.sqlite").exists():
                try:
                    own = self.store.served(MOST_REMEMBERED)
                except SymphonyError as error:
                    log.warning("what was served cannot be read: %s", error, extra={"component": "conductor"})
            if self._past is None or own != self._own:
                self._past = (self._past[0] + 1 if self._past is not None else 1), own
            self._own, self._looked = own, looked
        assert self._past is not None
        return self._past

    # --- what happens ----------------------------------------------------------------------------
    def composed(self, prompt: str, composition: Composition, corrects: str = "") -> None:
        """Logs a composition and marks its Melody, in the thread that composed. `corrects` is the mark of the Melody
        that this one was made from. Trouble with the log is no trouble of the composition.
        """
        if not self.is_on or composition.melody is None:
            return
        try:
            name = self.store.keep(prompt, composition, corrects=corrects)
        except SymphonyError as error:
            log.warning("a composition could not be logged: %s", error, extra={"component": "conductor"})
            return
        composition.melody["metadata"] = {**composition.melody.get("metadata", {}), MARK: name}

    def begun(self, run: str, melody: Json) -> None:
        """A run has been started; on the host's loop."""
        mark = (melody.get("metadata") or {}).get(MARK)
        if self.is_on and isinstance(mark, str):
            self._later(lambda: self.store.begin(run, mark, melody))

    def follow(self, event: Json) -> None:
        """Takes an event of the host, on its loop: ends of runs, and changes that were taken back."""
        kind = event.get("event")
        if kind == "workflowComplete":
            self._quiet_since = time.monotonic()
            if self.is_on:
                info = dict(event["run"])
                self._later(lambda: self._ended(info))
        elif (
            kind == "changes"
            and event.get("state") in ("undone", "applied")
            and event.get("run")
            and self.is_on
        ):
            run, is_undone = str(event["run"]), event["state"] == "undone"
            self._later(lambda: self.store.undone(run, is_undone))

    def _ended(self, info: Json) -> None:
        results = self._history.get(info["id"]).results
        qualities = [float(made.get("quality") or 0.0) for made in results]
        quality = sum(qualities) / len(qualities) if qualities else 1.0
        if self.store.end(info["id"], info["status"], float(info["seconds"]), quality):
            log.info("the run's end joins its decisions", extra={"component": "conductor", "run": info["id"]})

    def _later(self, work: Callable[[], Any]) -> None:
        """Does blocking work in order, beside the loop."""
        if self._is_stopped:
            return
        before = list(self._tasks)

        async def done() -> None:
            await asyncio.gather(*before, return_exceptions=True)
            try:
                await asyncio.to_thread(work)
                self._turn += 1
            except SymphonyError as error:
                log.warning(
                    "what a run tells could not be logged: %s", error, extra={"component": "conductor"}
                )

        task = asyncio.get_running_loop().create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Waits until what has happened is written."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what is asked ---------------------------------------------------------------------------
    async def rate(self, run: str, rating: int) -> None:
        """Keeps what the user says of a run. Raises NotFound when the run is not logged."""
        await self.settled()
        if not await asyncio.to_thread(lambda: self.store.rate(run, rating)):
            raise NotFound(
                f"The run {run} was not composed by the Conductor, or nothing of it is kept",
                remedy="rate a run that began with a prompt; `symphony learning show` lists what is kept",
            )
        self._turn += 1
        self._emit({"event": "learning"})

    async def rating(self, run: str) -> Json | None:
        """What is kept of a run, None when it is not logged."""
        await self.settled()
        return await asyncio.to_thread(lambda: self.store.run(run))

    async def show(self, limit: int) -> Json:
        """Everything that the page and the command line show."""
        await self.settled()
        return await asyncio.to_thread(self._shown, limit)

    def _shown(self, limit: int) -> Json:
        record = self.versions.record
        _, deciding, trouble = self.versions.usable()
        lesson = self._lesson
        is_training = lesson is not None and not lesson.done()
        there = torch_is_there()
        return {
            "logging": self.is_on,
            "automatic": bool(self._configuration.get("conductor.learning.train")),
            "replay": self.store.counts(),
            "policy": {
                "deciding": deciding,
                "version": self.versions.version_of(deciding),
                "current": record.current,
                "previous": record.previous,
                "trouble": trouble,
            },
            "learner": {
                "state": "learning" if is_training else "waiting" if there else "missing",
                "detail": self._learner.phase if is_training else "" if there else NO_TORCH,
                "remedy": "" if there else GET_TORCH,
            },
            "events": [asdict(event) for event in reversed(record.events)],
            "lessons": self._lessons(),
            "runs": self.store.newest(limit),
        }

    async def export(self) -> list[Json]:
        """All that is kept."""
        await self.settled()
        return await asyncio.to_thread(lambda: self.store.export())

    async def forget(self, run: str | None) -> int:
        """Drops a run or everything. Raises NotFound for a run that is not kept."""
        await self.settled()
        count = await asyncio.to_thread(lambda: self.store.forget(run))
        self._turn += 1
        if run is not None and not count:
            raise NotFound(
                f"Nothing is kept of the run {run}", remedy="`symphony learning show` lists what is"
            )
        self._emit({"event": "learning"})
        return count

    async def roll_back(self, reason: str) -> Json:
        """One step back; the policy before decides from the next prompt on."""
        await asyncio.to_thread(lambda: self.versions.roll_back(reason))
        await self._changed()
        record = self.versions.record
        return {"current": record.current, "previous": record.previous}

    async def train(self) -> Json:
        """Learns now, and answers with what came of it: `{"version", "promoted", "reason", "curve", …}`.

        Raises EnvironmentLacks without torch, BadInput when it learns already or has nothing to learn from.
        """
        if not torch_is_there():
            raise EnvironmentLacks(NO_TORCH, remedy=GET_TORCH)
        if self._lesson is not None and not self._lesson.done():
            raise BadInput("The learner is at work already", remedy="`symphony learning` shows how far it is")
        await self.settled()
        counts = await asyncio.to_thread(lambda: self.store.counts())
        if not counts["ended"] and not counts["labelled"]:
            raise BadInput(
                "There is nothing to learn from yet: no run of a composed Melody has ended",
                remedy='play something, for instance `symphony run "…"`',
            )
        self._lesson = asyncio.create_task(self._learn(counts["decisions"]), name="lesson")
        self._emit({"event": "learning"})
        return await asyncio.shield(self._lesson)

    async def _learn(self, decisions: int) -> Json:
        versions = self.versions
        incumbent, _, _ = await asyncio.to_thread(versions.usable)
        lesson = Lesson(self._folder, incumbent, self._shipped or incumbent)
        row: Json = {"at": time.time(), "decisions": decisions, "version": "", "promoted": False, "reason": "",
                     "curve": []}  # fmt: skip
        try:
            row |= await self._learner.learn(lesson, lambda: self._emit({"event": "learning"}))
            await asyncio.to_thread(self._judged, row)
        except SymphonyError as error:
            row["reason"] = str(error)
            raise
        finally:
            await asyncio.to_thread(self._keep_lesson, row)
            self._emit({"event": "learning"})
        if row["promoted"]:
            await self._changed()
        return row

    def _judged(self, row: Json) -> None:
        """Lets the gate's word count, and the audit's after it."""
        from conductor.learning.gate import Bound, Verdict

        said = row.pop("verdict")
        verdict = Verdict(
            is_promoted=bool(said["is_promoted"]),
            reason=str(said["reason"]),
            against_incumbent=Bound(**said["against_incumbent"]),
            against_shipped=Bound(**said["against_shipped"]),
            levels=int(said["levels"]),
        )
        self.versions.judged(row["version"], verdict)
        row["promoted"], row["reason"] = verdict.is_promoted, verdict.reason
        if verdict.is_promoted and row.get("audit"):
            self.versions.roll_back(str(row["audit"]))
            row["promoted"], row["reason"] = False, f"taken back by the audit: {row['audit']}"

    async def _changed(self) -> None:
        await asyncio.to_thread(self.adopted)
        self._emit({"event": "learning"})

    def _lessons(self) -> list[Json]:
        try:
            kept = json.loads((self._folder / "lessons.json").read_text("utf-8"))
            return [dict(row) for row in kept] if isinstance(kept, list) else []
        except (OSError, ValueError, TypeError):
            return []

    def _keep_lesson(self, row: Json) -> None:
        kept: Iterable[Json] = [row, *self._lessons()][:KEPT_LESSONS]
        write_atomically(self._folder / "lessons.json", json.dumps(kept).encode())

    async def _look_now_and_then(self) -> None:
        """Starts the learner when nothing has played for a while and enough is new since the last lesson."""
        get = self._configuration.get
        while True:
            await asyncio.sleep(LOOKED)
            if not get("conductor.enabled") or not get("conductor.learning.train") or self._is_busy():
                continue
            if not torch_is_there():
                continue
            if time.monotonic() - self._quiet_since < get("conductor.learning.idle"):
                continue
            if not (self._folder / "replay.sqlite").exists():
                continue
            try:
                if await asyncio.to_thread(self._news) >= get("conductor.learning.least"):
                    await self.train()
            except SymphonyError as error:
                log.warning("the learner gave up: %s", error, extra={"component": "conductor"})

    def _news(self) -> int:
        """Decisions that have ended since the last lesson."""
        last = next(iter(self._lessons()), None)
        return self.store.ended_since(float(last["at"]) if last else 0.0)
