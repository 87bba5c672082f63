"""From what the store, the catalogue and the runs say to a retention plan, and its execution step by step."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.errors import DamagedArtifact, NotFound
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tiering import ACTIVE, Recovered, Tiering

if TYPE_CHECKING:
    from pit_native import ArtifactStore, StaleManager

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """A step of a plan: `kind` is `archive`, `cloud` or `delete`, `source` the tier of now."""

    kind: str
    id: str
    name: str
    source: str
    bytes: int
    reason: str

    def to_json(self) -> Json:
        """As `symphony artifacts tier --json` shows it."""
        return {
            "action": self.kind,
            "id": self.id,
            "name": self.name,
            "from": self.source,
            "bytes": self.bytes,
            "reason": self.reason,
        }


class Retention:
    """Plans and executes. `values` answers what runs are worth to learn from, 0 to 1. An artifact is worth as
    much as its run, and at least half of its quality: that something is sound is no reason to keep it for ever.
    """

    def __init__(
        self,
        store: ArtifactStore,
        stale: StaleManager,
        catalogue: Catalogue,
        tiering: Tiering,
        folder: Path,
        values: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """`folder` is on the disk whose free space counts."""
        self._store, self._stale, self._catalogue, self.tiering = store, stale, catalogue, tiering
        self._folder, self._values = folder, values
        self._lock = threading.Lock()
        self._pinned: set[str] = set()

    def refresh(self) -> None:
        """Tells the Stale Manager all that counts for a plan. Of what is in the store it learns from the store's own
        index: a million artifacts take about a second.
        """
        with self._lock:
            away = self._stale.register_all(self._store, dict(self._values()))
            places = self.tiering.places(id for id, *_ in away)
            held = self._store.held()
            for id, size, created, value in away:
                if places[id] != "lost":
                    self._stale.register(id, size, created, value)
                    self._stale.moved(id, places[id])
                    self._stale.set_hold(id, id in held)
            self._stale.forget_others()
            pins, uses = self._catalogue.pins(), self._catalogue.uses()
            ids = self.tiering.ids_of(pins | uses.keys())
            pinned = {ids[name] for name in pins if name in ids}
            for id in self._pinned | pinned:
                if self._stale.item(id) is not None:
                    (self._stale.pin if id in pinned else self._stale.unpin)(id)
            self._pinned = pinned
            for name, at in uses.items():
                if name in ids and self._stale.item(ids[name]) is not None:
                    self._stale.used(ids[name], at)

    def plan(self, now: float | None = None) -> list[Action]:
        """What is due now, with its reasons. Nothing changes."""
        self.refresh()
        free = shutil.disk_usage(self._folder).free
        actions = []
        for due in self._stale.plan(time.time() if now is None else now, free):
            try:
                name = self._store.info(due["id"])["name"]
            except NotFound:
                continue  # it went meanwhile
            except DamagedArtifact:
                name = due["id"]  # its bytes may be whole
            actions.append(Action(due["action"], due["id"], name, due["from"], due["bytes"], due["reason"]))
        return actions

    def execute(self, action: Action) -> None:
        """One step, unless the artifact has been pinned since. Raises what Tiering raises."""
        if self.tiering.object_of(action.id) in self._catalogue.pins():
            return
        if action.kind == "delete":
            self.delete(action.id)
        else:
            self.tiering.move(action.id, action.kind)
            self._stale.moved(action.id, action.kind)

    def pin(self, id: str, pinned: bool) -> None:
        """Keeps an artifact where it is, durably, or lets the policy decide again."""
        self._catalogue.pin(self.tiering.object_of(id), pinned)

    def delete(self, id: str) -> None:
        """Removes an artifact everywhere. Raises ArtifactHeld, NotFound."""
        self.tiering.delete(id)
        self._stale.forget(id)

    def read(self, id: str) -> bytes:
        """A content as a whole, fetched and kept again when it is in another tier. Raises what Tiering raises."""
        content = self.tiering.read(id)
        self._note_read(id)
        return content

    def bring_back(self, id: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Fetches a content that is in another tier, of any size. Raises what Tiering raises."""
        self.tiering.bring_back(id, progress)
        self._note_read(id)

    def _note_read(self, id: str) -> None:
        if (self._stale.item(id) or {"tier": ACTIVE})["tier"] != ACTIVE and self._store.is_local(id):
            self._stale.moved(id, ACTIVE)
            self._stale.used(id, time.time())

    def reclaim(self) -> int:
        """Gives the space of contents that have left the store back to the disk; how many bytes."""
        return int(self._store.gc([], before=0.0)["freed"])

    def recover(self) -> Recovered:
        """Ends or takes back what a crash has interrupted."""
        return self.tiering.recover()
