"""Moves contents between tiers so that at every instant somebody holds each: copy, verify, commit, remove.

| step of a move | what a crash after it leaves |
|---|---|
| the copy is noted as `writing` | nothing that counts; `recover` forgets it |
| the object is written | the same, and `recover` removes it |
| it was read back, unpacked and its SHA-256 compared; it is noted as `held` | two copies; the next plan goes on |
| the store drops its bytes, or the warmer tier's copy is noted as `leaving` | `recover` removes that |

A deletion is committed when the store has removed the entries; before that it can be taken back.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from symphony.errors import (
    ArtifactHeld,
    ArtifactRemote,
    DamagedArtifact,
    NotFound,
    StorageFull,
    SymphonyError,
    TierUnreachable,
)
from symphony.tiers.bandwidth import Bandwidth
from symphony.tiers.catalogue import Catalogue, Copy
from symphony.tiers.envelope import decode, encode
from symphony.tiers.tier import Tier

log = logging.getLogger(__name__)

ACTIVE = "active"
COLDER = ("archive", "cloud")
"""From warm to cold."""

Progress = Callable[[int, int], None]
"""Bytes that have arrived, and bytes in all."""


class Store(Protocol):
    """What is needed of `pit_native.ArtifactStore`."""

    def get(self, id: str) -> bytes: ...

    def info(self, id: str) -> dict[str, Any]: ...

    def evict(self, id: str) -> bool: ...

    def restore(self, id: str, content: bytes) -> bool: ...

    def is_local(self, id: str) -> bool: ...

    def remove(self, id: str) -> bool: ...

    def held(self) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found half done: objects removed, and deletions taken back."""

    removed: int
    taken_back: int


class Tiering:
    """The one that moves. `tiers` are the colder ones by name, those that are there.

    `secret` (32 bytes) encrypts what is written and hides its names; without it a warning says once that
    plain contents leave the machine.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        tiers: Mapping[str, Tier],
        *,
        secret: bytes | None = None,
        bandwidth: Mapping[str, Bandwidth] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._catalogue, self._tiers = store, catalogue, dict(tiers)
        self._secret, self._clock = secret, clock
        self._bandwidth = bandwidth or {}
        self._moving = threading.Lock()
        self._has_warned = secret is not None

    # --- names ---------------------------------------------------------------------------------------
    def object_of(self, id: str) -> str:
        """The name under which tiers keep an artifact: its digest, or what only this home can tell from it."""
        return self._names(id)[0]

    def _names(self, id: str) -> tuple[str, ...]:
        """That name; behind it the one that it had when the store was not encrypted yet."""
        plain = id.removeprefix("sha256:")
        if self._secret is None:
            return (plain,)
        return (hmac.new(self._secret, b"name" + bytes.fromhex(plain), "sha256").hexdigest(), plain)

    # --- where things are ------------------------------------------------------------------------------
    def places(self, ids: Iterable[str]) -> dict[str, str]:
        """The warmest tier that holds each artifact; `lost` when none does."""
        held: dict[str, str] = {}
        for copy in sorted(self._catalogue.copies(), key=lambda copy: COLDER.index(copy.tier)):
            if copy.state != "writing":
                held.setdefault(copy.object, copy.tier)
        found = {}
        for id in ids:
            if self._store.is_local(id):
                found[id] = ACTIVE
            else:
                places = (held[name] for name in self._names(id) if name in held)
                found[id] = next(places, "lost")
        return found

    def totals(self) -> dict[str, tuple[int, int]]:
        """For each colder tier the number of its objects and their bytes."""
        return self._catalogue.totals()

    # --- reading ---------------------------------------------------------------------------------------
    def read(self, id: str, progress: Progress | None = None) -> bytes:
        """A content, wherever it is. One that had to be fetched is kept in the store again; so is one that
        was damaged there and is held elsewhere.

        Raises NotFound; TierUnreachable when a tier holds it that does not answer now; DamagedArtifact when
        no copy matches its digest.
        """
        try:
            return self._store.get(id)
        except ArtifactRemote:
            return self._recall(id, progress)
        except DamagedArtifact:
            if not self._catalogue.copies(self._names(id)):
                raise
            log.warning("%s is damaged in the store and fetched from another tier", id)
            return self._recall(id, progress)

    def _recall(self, id: str, progress: Progress | None) -> bytes:
        content = self._fetch(id, int(self._store.info(id)["bytes"]), progress)
        try:
            self._store.restore(id, content)
        except StorageFull as error:
            # The reader gets it all the same.
            log.warning("%s cannot be kept in the store: %s", id, error)
        self._catalogue.note_use(self.object_of(id), self._clock())
        return content

    def _fetch(self, id: str, size: int, progress: Progress | None = None, *, but: str = "") -> bytes:
        """The content from the warmest tier that has it right. A copy may go while it is read, so the
        catalogue is asked again when all of its copies have failed.
        """
        failures: list[SymphonyError] = []
        tried: set[Copy] = set()
        while True:
            copies = [c for c in self._catalogue.copies(self._names(id)) if c.state != "writing"]
            copies = sorted(set(copies) - tried, key=lambda c: (c.state == "leaving", COLDER.index(c.tier)))
            if not copies:
                break
            for copy in copies:
                tried.add(copy)
                if copy.tier == but:
                    continue
                try:
                    return self._content(id, copy.object, copy.tier, size, progress)
                except (TierUnreachable, DamagedArtifact, NotFound) as error:
                    failures.append(error)
        for kind in (TierUnreachable, DamagedArtifact):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        raise DamagedArtifact(
            f"No tier holds the bytes of {id}", remedy="play its run again to make it anew", code="lost"
        )

    def _content(self, id: str, name: str, tier: str, size: int, progress: Progress | None = None) -> bytes:
        """The content from one tier, its digest checked."""
        content = bytearray()
        digest = hashlib.sha256()
        try:
            for piece in decode(self._limited(tier, self.tier(tier).read(name)), size, self._secret):
                digest.update(piece)
                content += piece
                if progress is not None:
                    progress(len(content), size)
        except DamagedArtifact as error:
            raise DamagedArtifact(f"What the {tier} tier holds of {id} is damaged: {error.message}") from None
        if f"sha256:{digest.hexdigest()}" != id:
            raise DamagedArtifact(f"What the {tier} tier holds of {id} does not match its SHA-256")
        return bytes(content)

    def tier(self, name: str) -> Tier:
        """A colder tier. Raises TierUnreachable when the settings do not name it any more."""
        tier = self._tiers.get(name)
        if tier is None:
            raise TierUnreachable(
                f"The {name} tier is not set up, and it holds artifacts",
                remedy=f"set pit.stale.{name} as it was",
            )
        return tier

    def _limited(self, tier: str, pieces: Iterable[bytes]) -> Iterable[bytes]:
        limit = self._bandwidth.get(tier)
        return limit.limited(pieces) if limit else pieces

    # --- moving ----------------------------------------------------------------------------------------
    def move(self, id: str, target: str) -> None:
        """Brings an artifact to a colder tier, or back (`active`). Where it is already nothing happens.

        Raises NotFound, TierUnreachable, StorageFull, or DamagedArtifact when what was written cannot be read
        back; the artifact then stays where it was.
        """
        if target == ACTIVE:
            self.read(id)
            return
        with self._moving:
            name, size = self._copy(id, target)
            # From here on the target holds it. What is warmer may go.
            self._store.evict(id)
            warmer = COLDER[: COLDER.index(target)]
            for copy in self._catalogue.copies(self._names(id)):
                if copy.tier in warmer or (copy.tier == target and copy.object != name):
                    self._leave(copy)
        log.info("%s is in the %s tier", id, target, extra={"component": "tiers", "bytes": size})

    def _copy(self, id: str, target: str) -> tuple[str, int]:
        """Makes sure that the target holds the content, read back from it just now."""
        tier = self.tier(target)
        size = int(self._store.info(id)["bytes"])
        for copy in self._catalogue.copies(self._names(id)):
            if copy.tier == target and copy.state == "held":
                try:
                    self._content(id, copy.object, target, size)
                    return copy.object, copy.bytes
                except (DamagedArtifact, NotFound) as error:
                    log.warning("%s is written to the %s tier again: %s", id, target, error)
        content = self._store.get(id) if self._store.is_local(id) else self._fetch(id, size, but=target)
        self._warn(target)
        name = self.object_of(id)
        self._catalogue.set_copy(name, target, "writing")
        written = tier.write(name, self._limited(target, encode(content, self._secret)))
        self._content(id, name, target, size)
        self._catalogue.set_copy(name, target, "held", written)
        return name, written

    def _warn(self, target: str) -> None:
        if self._has_warned or target == "archive":
            return
        self._has_warned = True
        words = f"Artifacts are written to the {target} tier as they are, for the store is not encrypted"
        log.warning(words, extra={"component": "tiers"})

    def _leave(self, copy: Copy) -> bool:
        """Removes a copy that is not needed any more; later, when its tier does not answer."""
        self._catalogue.set_copy(copy.object, copy.tier, "leaving", copy.bytes)
        try:
            self.tier(copy.tier).remove(copy.object)
        except TierUnreachable as error:
            log.warning("An object in the %s tier is removed later: %s", copy.tier, error)
            return False
        self._catalogue.drop_copy(copy.object, copy.tier)
        return True

    # --- deleting --------------------------------------------------------------------------------------
    def delete(self, id: str) -> None:
        """Removes an artifact everywhere. Raises ArtifactHeld while it is held, and NotFound."""
        with self._moving:
            reason = self._store.held().get(id)
            if reason is not None:
                raise ArtifactHeld(f"{id} is held: {reason}", remedy="lift the hold first, if you may")
            names = self._names(id)
            self._catalogue.set_states(names, "leaving", of="held")
            try:
                if not self._store.remove(id):
                    raise NotFound(f"There is no artifact {id}")
            except ArtifactHeld:
                self._catalogue.set_states(names, "held", of="leaving")
                raise
            for copy in self._catalogue.copies(names):
                self._leave(copy)
            self._catalogue.forget(names)

    # --- after a crash -----------------------------------------------------------------------------------
    def recover(self, ids: Sequence[str]) -> Recovered:
        """Ends or takes back what was interrupted; `ids` are all that the store has entries of. What
        cannot be asked now is left for the next time.
        """
        removed = taken_back = 0
        with self._moving:
            known = {name: id for id in ids for name in self._names(id)}
            for copy in self._catalogue.copies():
                id = known.get(copy.object)
                if copy.state == "held":
                    continue
                if copy.state == "leaving" and id is not None and not self._is_safe_without(id, copy):
                    self._catalogue.set_copy(copy.object, copy.tier, "held", copy.bytes)
                    taken_back += 1
                else:
                    removed += self._leave(copy)
            for tier in self._tiers.values():
                try:
                    removed += tier.tidy()
                except TierUnreachable as error:
                    log.warning("The %s tier is tidied later: %s", tier.name, error)
        return Recovered(removed, taken_back)

    def _is_safe_without(self, id: str, copy: Copy) -> bool:
        """Whether somebody else holds what this copy holds."""
        others = self._catalogue.copies(self._names(id))
        return self._store.is_local(id) or any(other.state == "held" for other in others if other != copy)
