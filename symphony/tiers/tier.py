"""What a tier is: a place that keeps sealed objects under names, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from symphony.errors import TierUnreachable

PIECE = 1 << 20
"""Bytes of a piece in which contents travel, at most."""


PART = 8 << 20
"""Bytes of a part of an upload; what is smaller travels in one request. S3 takes parts from 5 MiB."""


class Tier(Protocol):
    """Keeps objects under names of 64 hexadecimal digits. An object is there whole or not at all.

    Every method may block and be called from several threads. Each raises TierUnreachable when the tier
    cannot be asked now, and after that the object is as it was before, or as it should be.
    """

    name: str
    """What the user calls it: `active`, `archive`, `cloud`."""

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        """Keeps an object, durably when it returns; one of that name is replaced. Answers its bytes."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """The object in pieces. Raises NotFound, at the latest with the first piece."""
        ...

    def size(self, key: str) -> int | None:
        """The object's bytes; None when it is not there."""
        ...

    def remove(self, key: str) -> bool:
        """Forgets an object, durably. False when it was not there."""
        ...

    def keys(self) -> Iterator[str]:
        """The names of all objects."""
        ...

    def tidy(self) -> int:
        """Drops what interrupted writes have left, and says how much that was. Nobody may write meanwhile."""
        ...

    def check(self) -> str:
        """Where it is, in words for the user and without secrets, once it has answered."""
        ...


def in_parts(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in parts of `size`; the last may be smaller."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            with memoryview(held) as view:
                part = bytes(view[:size])
            del held[:size]
            yield part
    if held:
        yield bytes(held)


def unreachable(tier: str, place: str, error: BaseException, remedy: str = "") -> TierUnreachable:
    """The one error for a tier that does not answer; what the library said is cut to one line."""
    cause = str(error).strip().splitlines()
    words = cause[0][:200] if cause else type(error).__name__
    return TierUnreachable(
        f"The {tier} tier ({place}) cannot be reached: {words}",
        remedy=remedy or "check the network and `symphony config show`, then try again; nothing is lost",
    )
