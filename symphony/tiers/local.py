"""The Artifact Store as a tier: the warm end, where contents are plain and known by their digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from symphony.errors import ArtifactRemote, NotFound
from symphony.tiers.tier import PIECE


class Store(Protocol):
    """What is needed of `pit_native.ArtifactStore`."""

    def info(self, id: str) -> dict[str, Any]: ...

    def reader(self, id: str) -> Any: ...

    def restorer(self, id: str) -> Any: ...

    def evict(self, id: str, tier: str = "") -> bool: ...

    def is_local(self, id: str) -> bool: ...


class StoreTier:
    """Names are the digests of contents that the store has entries of. A removed one keeps its entries."""

    name = "active"

    def __init__(self, store: Store, ids: Iterable[str] = ()) -> None:
        """`ids` are those that `keys` looks through."""
        self._store = store
        self._ids = ids

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        """See Tier. Raises BadInput when the content has another digest."""
        size = 0
        with self._store.restorer(f"sha256:{key}") as writer:
            for piece in pieces:
                size += writer.write(piece)
        return size

    def read(self, key: str) -> Iterator[bytes]:
        """See Tier."""
        try:
            reader = self._store.reader(f"sha256:{key}")
        except ArtifactRemote:
            raise NotFound(f"The store does not hold the bytes of {key}") from None
        with reader:
            while piece := reader.read(PIECE):
                yield piece

    def size(self, key: str) -> int | None:
        """See Tier."""
        id = f"sha256:{key}"
        return int(self._store.info(id)["bytes"]) if self._store.is_local(id) else None

    def remove(self, key: str) -> bool:
        """See Tier."""
        try:
            return self._store.evict(f"sha256:{key}")
        except NotFound:
            return False

    def keys(self) -> Iterator[str]:
        """See Tier."""
        return (id.removeprefix("sha256:") for id in self._ids if self._store.is_local(id))

    def tidy(self) -> int:
        """See Tier: the store cuts torn ends itself when it is opened."""
        return 0

    def check(self) -> str:
        """See Tier."""
        return "the Artifact Store"
