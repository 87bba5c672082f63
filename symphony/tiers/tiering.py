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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, TypeVar

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
from symphony.tiers.tier import PIECE, Tier

log = logging.getLogger(__name__)

ACTIVE = "active"
COLDER = ("archive", "cloud")
"""From warm to cold."""

_PAGE = 50_000
"""Ids that are in memory at once where all are gone through."""

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Bytes that have arrived, and bytes in all."""


class Store(Protocol):
    """What is needed of `pit_native.ArtifactStore`."""

    def get(self, id: str) -> bytes: ...

    def info(self, id: str) -> dict[str, Any]: ...

    def evict(self, id: str, tier: str = "") -> bool: ...

    def reader(self, id: str) -> Any: ...

    def restorer(self, id: str) -> Any: ...

    def is_local(self, id: str) -> bool: ...

    def remove(self, id: str) -> bool: ...

    def held(self) -> dict[str, str]: ...

    def whereabouts(self, id: str) -> tuple[str, str | None]: ...

    def ids(self, after: str = "", limit: int = 10_000) -> list[str]: ...


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

    def ids_of(self, names: Iterable[str]) -> dict[str, str]:
        """The artifacts that the store knows, by those of these names under which tiers keep them."""
        wanted = set(names)
        found = {}
        for name in wanted:
            id = f"sha256:{name}"
            if self._store.whereabouts(id)[0] != "unknown":
                found[name] = id
        if self._secret is not None and wanted - found.keys():
            # Such a name tells nothing: it can only be made anew from each of them.
            for id in self._ids():
                name = self.object_of(id)
                if name in wanted:
                    found[name] = id
        return found

    def _ids(self) -> Iterator[str]:
        after = ""
        while page := self._store.ids(after, _PAGE):
            yield from page
            after = page[-1]

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
    def read(self, id: str) -> bytes:
        """A content as a whole, wherever it is; see `bring_back`. The reader gets it also when the store has no
        space for it.
        """
        try:
            return self._store.get(id)
        except ArtifactRemote:
            pass
        except DamagedArtifact as error:
            self._must_be_elsewhere(id, error)
        try:
            self._recall(id, None)
        except StorageFull as error:
            log.warning("%s cannot be kept in the store: %s", id, error)
            return self._from_warmest(id, b"".join)
        return self._store.get(id)

    def bring_back(self, id: str, progress: Progress | None = None) -> None:
        """Makes sure that the store holds a content, whatever its size: little of it is in memory. One that
        was damaged there comes from elsewhere.

        Raises NotFound; TierUnreachable when a tier holds it that does not answer now; DamagedArtifact when
        no copy matches its digest; StorageFull.
        """
        try:
            for _ in self._local(id):
                pass  # it is checked while it is read
            return
        except ArtifactRemote:
            pass
        except DamagedArtifact as error:
            self._must_be_elsewhere(id, error)
        self._recall(id, progress)

    def _must_be_elsewhere(self, id: str, error: DamagedArtifact) -> None:
        """Raises the error, unless another tier may have what is damaged here."""
        if not self._catalogue.copies(self._names(id)):
            raise error
        log.warning("%s is damaged in the store and fetched from another tier", id)

    def _recall(self, id: str, progress: Progress | None) -> None:
        def keep(pieces: Iterable[bytes]) -> None:
            # Nothing of it can be read before the store, too, has found its digest right.
            with self._store.restorer(id) as writer:
                for piece in pieces:
                    writer.write(piece)

        self._from_warmest(id, keep, progress)
        self._catalogue.note_use(self.object_of(id), self._clock())

    def _local(self, id: str) -> Iterator[bytes]:
        """A content in the store, in pieces; raises DamagedArtifact at the latest behind the last of them."""
        with self._store.reader(id) as reader:
            while piece := reader.read(PIECE):
                yield piece

    def _from_warmest(
        self,
        id: str,
        take: Callable[[Iterable[bytes]], T],
        progress: Progress | None = None,
        *,
        but: str = "",
    ) -> T:
        """What `take` makes of the pieces of a content from the warmest tier that has it right; of another one
        it gets some pieces and then an error. A copy may go while it is read, so the catalogue is asked again
        when all of its copies have failed.
        """
        size = int(self._store.info(id)["bytes"])
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
                source = _Source(self._pieces(id, copy.object, copy.tier, size, progress))
                try:
                    return take(source)
                except (TierUnreachable, DamagedArtifact, NotFound) as error:
                    if source.failure is not error:
                        raise  # it is not the tier that failed, but who took
                    failures.append(error)
        for kind in (TierUnreachable, DamagedArtifact):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        raise DamagedArtifact(
            f"No tier holds the bytes of {id}", remedy="play its run again to make it anew", code="lost"
        )

    def _pieces(
        self, id: str, name: str, tier: str, size: int, progress: Progress | None = None
    ) -> Iterator[bytes]:
        """The content from one tier; raises DamagedArtifact, at the latest behind the last piece, when it is
        not what its digest says.
        """
        digest = hashlib.sha256()
        done = 0
        try:
            for piece in decode(self._limited(tier, self.tier(tier).read(name)), size, self._secret):
                digest.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, size)
                yield piece
        except DamagedArtifact as error:
            raise DamagedArtifact(f"What the {tier} tier holds of {id} is damaged: {error.message}") from None
        if f"sha256:{digest.hexdigest()}" != id:
            raise DamagedArtifact(f"What the {tier} tier holds of {id} does not match its SHA-256")

    def _check(self, id: str, name: str, tier: str, size: int) -> None:
        """Reads an object to its end. Raises what `_pieces` raises."""
        for _ in self._pieces(id, name, tier, size):
            pass

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
            self.bring_back(id)
            return
        with self._moving:
            name, size = self._copy(id, target)
            # From here on the target holds it. What is warmer may go.
            self._store.evict(id, target)
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
                    self._check(id, copy.object, target, size)
                    return copy.object, copy.bytes
                except (DamagedArtifact, NotFound) as error:
                    log.warning("%s is written to the %s tier again: %s", id, target, error)
        self._warn(target)
        name = self.object_of(id)

        def send(pieces: Iterable[bytes]) -> int:
            pieces = iter(pieces)
            first = next(pieces, b"")  # where nothing can be read, nothing is noted
            self._catalogue.set_copy(name, target, "writing")
            packed = encode(chain((first,), pieces), size, self._secret)
            return tier.write(name, self._limited(target, packed))

        if self._store.is_local(id):
            written = send(self._local(id))
        else:
            written = self._from_warmest(id, send, but=target)
        self._check(id, name, target, size)
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
        except (TierUnreachable, StorageFull) as error:
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
    def recover(self) -> Recovered:
        """Ends or takes back what was interrupted. What cannot be asked now is left for the next time."""
        removed = taken_back = 0
        with self._moving:
            halves = [copy for copy in self._catalogue.copies() if copy.state != "held"]
            known = self.ids_of(copy.object for copy in halves)
            for copy in halves:
                id = known.get(copy.object)
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


class _Source:
    """Pieces that remember with which error they ended."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.failure: SymphonyError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except SymphonyError as error:
            self.failure = error
            raise
