"""The tiers of a running host: opened when first needed, cleaned up on a schedule, out of the way of runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from symphony.app.worth import run_facts
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.errors import ArtifactRemote, DamagedArtifact, NotFound, SymphonyError

if TYPE_CHECKING:
    from pit_native import ArtifactStore
    from symphony.app.pit import Pit
    from symphony.engine.engine import Engine
    from symphony.engine.history import History
    from symphony.tiers.retention import Action, Retention
    from symphony.tiers.tier import Tier

log = logging.getLogger(__name__)
Json = dict[str, Any]

KEY_NAME = ".symphony/tier-key"
"""The artifact that is the key of what leaves an encrypted store. It lies in the store itself, so it is
encrypted with it, checked with it and gets new keys with it; a hold keeps it."""
KEY_TYPE = "application/x-symphony-key"
KEY_REASON = "it is the key of what has left this store"


class Tiers:
    """What the host does with its tiers. Blocking methods are for threads."""

    def __init__(
        self, home: Home, configuration: Configuration, pit: Pit, history: History, engine: Engine
    ) -> None:
        self._home, self._configuration, self._pit = home, configuration, pit
        self._history, self._engine = history, engine
        self._lock = threading.Lock()
        self._retention: Retention | None = None
        self._tiers: dict[str, Tier] = {}
        self._close: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None
        self._executing = asyncio.Lock()
        self._has_recovered = False
        self.removed: Callable[[int], None] = lambda count: None
        """Told how many artifacts the schedule has deleted."""

    @property
    def is_used(self) -> bool:
        """Whether anything has ever left the store, or is to: before that no file is opened."""
        get = self._configuration.get
        return bool(
            self._home.tiers.exists() or get("pit.stale.archive.folder") or get("pit.stale.cloud.kind")
        )

    @property
    def retention(self) -> Retention:
        """Planner and mover, opened now if need be. Raises InvalidConfig for settings that cannot be used."""
        with self._lock:
            if self._retention is None:
                self._open()
            assert self._retention is not None
            return self._retention

    def _open(self) -> None:
        from symphony.tiers.catalogue import Catalogue
        from symphony.tiers.retention import Retention
        from symphony.tiers.settings import bandwidths, tiers
        from symphony.tiers.tiering import Tiering

        get, store = self._configuration.get, self._pit.store
        catalogue = Catalogue(self._home.tiers)
        try:
            self._tiers = tiers(get, catalogue)
            tiering = Tiering(store, catalogue, self._tiers, secret=self._secret(), bandwidth=bandwidths(get))
        except BaseException:
            catalogue.close()
            raise
        self._close = catalogue.close
        self._retention = Retention(
            store, self._pit.stale, catalogue, tiering, self._home.store, self._values
        )

    def _secret(self) -> bytes | None:
        """The key of what leaves; none for a store that is not encrypted."""
        store = self._pit.store
        if not store.encryption()["is_on"]:
            return None
        # Anybody may put something of that name; only the host holds for that reason.
        for id, reason in store.held().items():
            if reason == KEY_REASON:
                return bytes(store.get(id))[-32:]
        # The zero byte keeps it out of the full-text search.
        secret = secrets.token_bytes(32)
        id = store.put(b"\0" + secret, name=KEY_NAME, type=KEY_TYPE)
        store.hold(id, KEY_REASON)
        return secret

    def _values(self) -> dict[str, float]:
        assessed = self._pit.stale.assess(run_facts(self._history))
        return {one["run"]: one["value"] for one in assessed}

    # --- reading ---------------------------------------------------------------------------------------
    def bring_back(self, id: str) -> None:
        """Makes sure that the store has the bytes. Raises TierUnreachable, DamagedArtifact, NotFound."""
        if not self._pit.store.is_local(id):
            self._pit.store.info(id)  # what is unknown is not asked of other tiers
            if self.is_used:
                self.retention.bring_back(id)

    def read(self, id: str) -> bytes:
        """A content as a whole, also when the store has no space for it. Raises as `bring_back`."""
        try:
            return bytes(self._pit.store.get(id))
        except (ArtifactRemote, DamagedArtifact):
            if not self.is_used:
                raise
            return self.retention.read(id)

    def places(self, ids: Iterable[str]) -> dict[str, str]:
        """The tier that each artifact is in."""
        ids = list(ids)
        store = self._pit.store
        local = {id: "active" for id in ids if store.is_local(id)}
        away = [id for id in ids if id not in local]
        if not away or not self.is_used:
            return dict.fromkeys(ids, "active")
        return local | self.retention.tiering.places(away)

    async def reread(self) -> None:
        """Takes the policy and the tiers from the settings of now, once what is being moved is moved. Raises
        InvalidConfig for a policy that makes no sense; then that of before holds.
        """
        async with self._executing:
            await asyncio.to_thread(self._pit.take_policy)
            with self._lock:
                # Who reads through the former one just now still does; it closes with its last reader.
                self._retention, self._tiers, self._close = None, {}, lambda: None

    # --- plans -----------------------------------------------------------------------------------------
    def plan(self) -> list[Action]:
        """What is due; nothing of the key that encrypts what leaves."""
        actions = self.retention.plan()
        held = self._pit.store.held()  # after the first opening, which may have made the key
        return [action for action in actions if held.get(action.id) != KEY_REASON]

    def is_key(self, id: str) -> bool:
        """Whether an artifact is the key that encrypts what leaves: it stays where it is, and held."""
        return self._pit.store.held().get(id) == KEY_REASON

    async def execute(self, actions: Iterable[Action]) -> Json:
        """Executes actions one by one, none while a run plays: `{"done", "bytes", "deleted", "failures"}`."""
        done = size = deleted = 0
        failures: list[Json] = []
        async with self._executing:
            await self._recover()
            for action in actions:
                await self._quiet()
                if self.is_key(action.id):
                    continue  # under itself it could never be read again
                try:
                    await asyncio.to_thread(self.retention.execute, action)
                except NotFound:
                    continue  # somebody else has removed it
                except SymphonyError as error:
                    failures.append({"id": action.id, "name": action.name, **error.to_json()})
                    log.warning("%s of %s: %s", action.kind, action.name, error)
                    if error.code in ("tier_unreachable", "storage_full", "storage_failed"):
                        break
                    continue
                done += 1
                deleted += action.kind == "delete"
                size += action.bytes
            if done:
                await asyncio.to_thread(self.retention.reclaim)
        return {"done": done, "bytes": size, "deleted": deleted, "failures": failures}

    async def _recover(self) -> None:
        """Ends what an earlier process has left half done, once."""
        if self.is_used and not self._has_recovered:
            await asyncio.to_thread(self.retention.recover)
            self._has_recovered = True

    async def _quiet(self) -> None:
        while playing := self._engine.playing():
            await asyncio.gather(*(self._engine.ended(run) for run in playing), return_exceptions=True)

    def look(self) -> list[Json]:
        """Each tier: `{"name", "place", "artifacts", "bytes", "status", "detail", "remedy"}`."""
        store = self._pit.store
        stats = store.stats()
        rows = [
            {
                "name": "active",
                "place": str(self._home.store),
                "artifacts": stats["artifacts"] - stats["remote"],
                "bytes": stats["stored_bytes"],
                "status": "ok",
                "detail": f"{shutil.disk_usage(self._home.store).free} bytes are free on its disk",
                "remedy": "",
            }
        ]
        if not self.is_used:
            return rows
        totals = self.retention.tiering.totals()
        for name in dict.fromkeys([*self._tiers, *totals]):
            count, size = totals.get(name, (0, 0))
            row: Json = {"name": name, "place": "", "artifacts": count, "bytes": size}
            try:
                row |= {"place": self.retention.tiering.tier(name).check(), "status": "ok"}
                row |= {"detail": "", "remedy": ""}
            except SymphonyError as error:
                row |= {"status": "failed", "detail": error.message, "remedy": error.remedy}
            rows.append(row)
        return rows

    # --- the schedule ------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Begins to look in the background; nothing is opened before the first look."""
        self._task = asyncio.create_task(self._clean_up())

    async def stop(self) -> None:
        """Ends the schedule after the step that it is at, and closes the catalogue."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        async with self._executing:
            with self._lock:
                self._close()

    async def _clean_up(self) -> None:
        get = self._configuration.get
        while True:
            interval = get("pit.stale.interval")
            await asyncio.sleep(interval or 60.0)
            if not interval:
                continue
            try:
                actions = await asyncio.to_thread(self.plan)
                if not get("pit.stale.cloud.scheduled"):
                    actions = [action for action in actions if action.kind != "cloud"]
                self.removed((await self.execute(actions))["deleted"])
            except SymphonyError as error:
                log.warning("The artifacts could not be tidied: %s", error)
            except Exception:
                # The next look may go better, and the host goes on without this one.
                log.exception("the artifacts could not be tidied")


class AnyTier:
    """The Artifact Store for those that read contents without asking where they are."""

    def __init__(self, store: ArtifactStore, tiers: Tiers) -> None:
        self._store, self._tiers = store, tiers

    def get(self, artifact: str) -> bytes:
        """The content. Raises what `Tiers.read` raises."""
        return self._tiers.read(artifact)

    def info(self, artifact: str) -> Json:
        """As the store's own."""
        return dict(self._store.info(artifact))

    def put(self, content: bytes, *, name: str, type: str, meta: Json) -> str:
        """As the store's own."""
        return str(self._store.put(content, name=name, type=type, meta=meta))
