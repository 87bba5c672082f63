"""Reads the private layer that a sandbox has left over a project, with the eyes of a host that trusts none of it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace

from symphony.errors import PlayerError
from symphony.stage.beneath import Beneath
from symphony.stage.changes.model import ABSENT, Change, ChangeSet, Refused, State, link_refusal, refusal_of
from symphony.stage.changes.view import Tree

_OPAQUE = "user.overlay.opaque"
_SHOWN_REFUSALS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a change set may hold. Bytes count the old and the new contents together."""

    paths: int = 20_000
    bytes: int = 64 << 20
    depth: int = 128


class TooLarge(PlayerError):
    """More was changed than is kept."""

    code = "changes_too_large"


def collect(upper: int, project: Tree, *, started: int, limits: Limits | None = None) -> ChangeSet:
    """The changes between `project`, as the sandbox saw it, and the upper folder of an overlay over it (a
    descriptor).

    `started` is a moment before the sandbox began, in nanoseconds since the epoch: what changed in the project
    since then is marked stale. Raises TooLarge.
    """
    with Beneath(upper) as layer:
        reader = _Reader(layer, project, started, limits or Limits())
        reader.walk()
        return reader.result()


def state_of(tree: Tree, path: str) -> State:
    """What `path` is now, the digest of a file included. OSError when it cannot be read or lies behind a link."""
    status = tree.status(path)
    if status is None:
        return ABSENT
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISREG(status.st_mode):
        return State("file", mode, tree.digest(path), status.st_size)
    if stat.S_ISLNK(status.st_mode):
        return State("link", target=tree.link_target(path))
    return State("folder", mode) if stat.S_ISDIR(status.st_mode) else State("other")


class _Reader:
    def __init__(self, layer: Beneath, project: Tree, started: int, limits: Limits) -> None:
        self._layer = layer
        self._project = project
        self._started = started
        self._limits = limits
        self._changes: dict[str, Change] = {}
        self._refused: list[Refused] = []
        self._contents: dict[str, bytes] = {}
        self._bytes = 0

    def result(self) -> ChangeSet:
        ordered = tuple(self._changes[path] for path in sorted(self._changes))
        found = ChangeSet(ordered, (), self._contents).part(ordered)
        return replace(found, refused=tuple(self._refused[:_SHOWN_REFUSALS]))

    def walk(self) -> None:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            if folder.count("/") >= self._limits.depth:
                self._refuse(folder, "it is nested too deeply")
                continue
            try:
                names = self._layer.names(folder or ".")
                is_opaque = self._is_opaque(folder)
            except OSError as error:
                self._refuse(folder, f"it cannot be read: {error.strerror}")
                continue
            if is_opaque:
                self._remove_all(
                    f"{folder}/{name}" for name in self._lower_names(folder) if name not in names
                )
            for name in names:
                path = f"{folder}/{name}" if folder else name
                try:
                    if self._look(path):
                        waiting.append(path)
                except OSError as error:
                    self._refuse(path, f"it cannot be read: {error.strerror}")

    def _look(self, path: str) -> bool:
        """Notes what became of one path of the layer; true for a folder, which is looked into."""
        status = self._layer.status(path)
        if status is None:
            return False  # a Player that still runs has removed it since
        if stat.S_ISDIR(status.st_mode):
            if refusal_of(path):
                if self._layer.names(path):  # git opens and closes its folders without a change
                    self._refuse(path, refusal_of(path))
                return False
            self._note(path, State("folder", stat.S_IMODE(status.st_mode) & 0o777))
            return True
        if reason := refusal_of(path):
            self._refuse(path, reason)
        elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            self._remove_all([path])
        elif stat.S_ISREG(status.st_mode):
            content = self._take(self._layer, path, status.st_size)
            digest = self._keep(content)
            self._note(path, State("file", stat.S_IMODE(status.st_mode) & 0o777, digest, len(content)))
        elif stat.S_ISLNK(status.st_mode):
            target = self._layer.link_target(path)
            if reason := link_refusal(path, target):
                self._refuse(path, reason)
            else:
                self._note(path, State("link", target=target))
        else:
            self._refuse(path, "it is a device, a FIFO or a socket")
        return False

    def _note(self, path: str, after: State) -> None:
        before, stale = self._lower(path)
        if before.kind == "folder" and after.kind != "folder":
            self._remove_all(f"{path}/{name}" for name in self._lower_names(path))
        if after.kind == "file":
            # Nothing becomes writable for others by a program's doing.
            kept = before.mode if before.kind == "file" else 0
            after = State("file", after.mode & (0o755 | kept), after.digest, after.size)
        if not after.is_as(before):
            self._add(Change(path, before, after, stale))

    def _remove_all(self, paths: Iterable[str]) -> None:
        waiting = list(paths)
        while waiting:
            path = waiting.pop().lstrip("/")
            if reason := refusal_of(path):
                self._refuse(path, reason)
                continue
            before, stale = self._lower(path)
            if before.kind == "absent":
                continue
            if before.kind == "folder":
                waiting += [f"{path}/{name}" for name in self._lower_names(path)]
            self._add(Change(path, before, ABSENT, stale))

    def _lower(self, path: str) -> tuple[State, bool]:
        """What the project has there, whose content is kept, and whether it changed while the program ran."""
        try:
            status = self._project.status(path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            status = None  # a folder of the layer has taken the place of a link
        if status is None:
            return ABSENT, False
        stale = status.st_ctime_ns > self._started
        if not stat.S_ISREG(status.st_mode):
            state = state_of(self._project, path)
            return state, stale and state.kind != "folder"
        content = self._take(self._project, path, status.st_size)
        mode = stat.S_IMODE(status.st_mode) & 0o777
        return State("file", mode, self._keep(content), len(content)), stale

    def _lower_names(self, folder: str) -> list[str]:
        try:
            return self._project.names(folder or ".")
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _is_opaque(self, folder: str) -> bool:
        if not folder:
            return False
        place = self._layer.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return os.getxattr(place, _OPAQUE) == b"y"
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOTSUP):
                return False
            raise
        finally:
            os.close(place)

    def _take(self, tree: Tree, path: str, size: int) -> bytes:
        """A content, as far as there is room for it."""
        room = self._limits.bytes - self._bytes
        content = tree.read(path, room) if size <= room else None
        if content is None:
            raise TooLarge(
                f"More than {self._limits.bytes >> 20} MiB were changed, so the changes are not kept",
                remedy="let it change less at once, or run it outside of Symphony",
            )
        return content

    def _keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._contents:
            self._contents[digest] = content
            self._bytes += len(content)
        return digest

    def _add(self, change: Change) -> None:
        if len(self._changes) >= self._limits.paths:
            raise TooLarge(
                f"More than {self._limits.paths} paths were changed, so the changes are not kept",
                remedy="let it change less at once, or run it outside of Symphony",
            )
        self._changes[change.path] = change

    def _refuse(self, path: str, reason: str) -> None:
        self._refused.append(Refused(path, reason))
