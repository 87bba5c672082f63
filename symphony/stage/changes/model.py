"""A change set as plain data: of each path what it was and what it became, with the contents of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import msgpack

from symphony.errors import DamagedArtifact

TYPE = "symphony/changes"
"""The type of the artifact that holds a change set."""
FORMAT = "symphony.changes/1"

Kind = Literal["absent", "file", "link", "folder", "other"]


@dataclass(frozen=True, slots=True)
class State:
    """What a path is. `other` (a device, a FIFO, a socket) is never written and never removed."""

    kind: Kind = "absent"
    mode: int = 0
    """Permission bits of a file or a new folder."""
    digest: str = ""
    """SHA-256 of a file's content."""
    size: int = 0
    target: str = ""
    """Where a link points."""

    def is_as(self, other: State) -> bool:
        """Whether both are the same to a user; the mode of a folder does not count."""
        if self.kind == other.kind == "folder":
            return True
        return self == other


ABSENT = State()


@dataclass(frozen=True, slots=True)
class Change:
    """One path, relative to the project. Names that are no text have surrogates, as the file system gives them."""

    path: str
    before: State
    after: State
    stale: bool = False
    """Whether the project's file was changed while the program ran: what it saw is not what is there."""

    @property
    def kind(self) -> Literal["added", "changed", "removed"]:
        """In one word."""
        if self.before.kind == "absent":
            return "added"
        return "removed" if self.after.kind == "absent" else "changed"


@dataclass(frozen=True, slots=True)
class Refused:
    """A path that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Changes sorted by path, so that a folder comes before what is in it. `contents` has every digest that the
    changes name."""

    changes: tuple[Change, ...]
    refused: tuple[Refused, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)

    def inverse(self) -> ChangeSet:
        """What takes these changes back."""
        turned = (replace(c, before=c.after, after=c.before, stale=False) for c in self.changes)
        return ChangeSet(tuple(turned), (), self.contents)

    def part(self, changes: tuple[Change, ...]) -> ChangeSet:
        """Only these of the changes; what was refused goes with any of them."""
        named = {state.digest for change in changes for state in (change.before, change.after)}
        contents = {digest: content for digest, content in self.contents.items() if digest in named}
        return ChangeSet(changes, self.refused if changes else (), contents)

    def counts(self) -> dict[str, int]:
        """How many paths were added, changed and removed, and how many are refused."""
        kinds = [change.kind for change in self.changes]
        counted = {kind: kinds.count(kind) for kind in ("added", "changed", "removed")}
        return {**counted, "refused": len(self.refused)}


def encode(changes: ChangeSet) -> bytes:
    """The bytes of the artifact."""
    body = {
        "format": FORMAT,
        "changes": [asdict(change) for change in changes.changes],
        "refused": [asdict(refused) for refused in changes.refused],
        "contents": dict(changes.contents),
    }
    packed: bytes = msgpack.packb(body, unicode_errors="surrogateescape")
    return packed


def decode(data: bytes) -> ChangeSet:
    """The change set of an artifact. Raises DamagedArtifact for anything that `encode` has not written: an
    artifact can be put by a Player."""
    try:
        body = msgpack.unpackb(data, unicode_errors="surrogateescape")
        if body["format"] != FORMAT:
            raise ValueError(body["format"])
        changes = tuple(_change(entry) for entry in body["changes"])
        refused = tuple(Refused(str(entry["path"]), str(entry["reason"])) for entry in body["refused"])
        contents = {str(digest): bytes(content) for digest, content in body["contents"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
        raise DamagedArtifact(f"This is no set of changes: {error}") from None
    for digest, content in contents.items():
        if hashlib.sha256(content).hexdigest() != digest:
            raise DamagedArtifact("A set of changes has a content that does not match its digest")
    for change in changes:
        for state in (change.before, change.after):
            if state.kind == "file" and state.digest not in contents:
                raise DamagedArtifact(f"A set of changes lacks the content of {change.path!r}")
    return ChangeSet(changes, refused, contents)


def _change(entry: Any) -> Change:
    path = entry["path"]
    if not isinstance(path, str) or refusal_of(path):
        raise ValueError(f"the path {path!r}")
    return Change(path, State(**entry["before"]), State(**entry["after"]), bool(entry["stale"]))


def refusal_of(path: str) -> str:
    """Why a path is never written, whatever a program did there; empty when it may be."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        return "it is no path beneath the project"
    if any(part.casefold() == ".git" for part in parts):
        return "what is in .git decides which programs git runs"
    return ""


def link_refusal(path: str, target: str) -> str:
    """Why a symbolic link is not taken over; empty when it stays inside the project whatever is linked there."""
    if not target or target.startswith("/"):
        return "it is a link that leaves the project"
    parts = target.split("/")
    climbing = 0
    while climbing < len(parts) and parts[climbing] == "..":
        climbing += 1
    # A `..` behind a name could climb out of whatever that name links to.
    if ".." in parts[climbing:] or climbing > path.count("/"):
        return "it is a link that leaves the project"
    if any(part.casefold() == ".git" for part in parts):
        return "it is a link into .git"
    return ""
