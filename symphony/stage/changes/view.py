"""A project as a run sees it: with the changes of its steps that nobody has taken over yet lying on top."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from symphony.stage.beneath import Beneath
from symphony.stage.changes.model import ABSENT, ChangeSet, State


class Status(Protocol):
    """What is asked of a path's status; `os.stat_result` has it."""

    @property
    def st_mode(self) -> int: ...

    @property
    def st_size(self) -> int: ...

    @property
    def st_ctime_ns(self) -> int: ...


class Tree(Protocol):
    """A project that can be looked at: `Beneath`, or one with changes on top. Paths and errors are those of
    `Beneath`."""

    def status(self, path: str) -> Status | None: ...

    def names(self, path: str) -> list[str]: ...

    def read(self, path: str, limit: int) -> bytes | None: ...

    def digest(self, path: str) -> str: ...

    def link_target(self, path: str) -> str: ...


@dataclass(frozen=True, slots=True)
class View:
    """What changes, one set upon the other, have made of the paths that they touch. Empty: the project itself."""

    states: Mapping[str, State] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, sets: Iterable[ChangeSet]) -> View:
        """The sets in the order in which they were made. Of two that changed a path at the same time, so that the
        second has not seen the first, the first stays."""
        states: dict[str, State] = {}
        contents: dict[str, bytes] = {}
        for changes in sets:
            for change in changes.changes:
                known = states.get(change.path)
                if known is None or known.is_as(change.before):
                    states[change.path] = change.after
                    if change.after.kind == "file":
                        contents[change.after.digest] = changes.contents[change.after.digest]
        return cls(states, contents)

    def crossed(self, changes: ChangeSet) -> ChangeSet:
        """The changes, those marked stale that were made without having seen what this view holds."""

        def is_crossed(path: str, before: State, after: State) -> bool:
            known = self.states.get(path)
            return known is not None and not known.is_as(before) and not known.is_as(after)

        marked = tuple(
            replace(c, stale=True) if is_crossed(c.path, c.before, c.after) else c for c in changes.changes
        )
        return replace(changes, changes=marked)

    def over(self, project: Beneath) -> Tree:
        """`project` as it is seen through this view."""
        return _Seen(self, project) if self.states else project

    def touches(self, path: str) -> bool:
        """Whether the path, or a folder around it, is not as the project has it."""
        parts = path.split("/")
        return path in self.states or any(
            self.states.get("/".join(parts[:end]), ABSENT).kind not in ("absent", "folder")
            for end in range(1, len(parts))
        )


class Seen(Protocol):
    """The changes over a project, and the folders that show them."""

    @property
    def view(self) -> View: ...

    @property
    def layers(self) -> tuple[str, ...]: ...


class Look(Protocol):
    """Tells how a step of a run sees the project that begins now; outside of a run as it is."""

    async def __call__(self, run: str, project: Path | None) -> Seen: ...


@dataclass(frozen=True, slots=True)
class _Status:
    st_mode: int
    st_size: int = 0
    st_ctime_ns: int = 0


_MODES = {"file": stat.S_IFREG, "link": stat.S_IFLNK, "folder": stat.S_IFDIR}


class _Seen:
    def __init__(self, view: View, project: Beneath) -> None:
        self._states = view.states
        self._contents = view.contents
        self._project = project

    def status(self, path: str) -> Status | None:
        if self._is_hidden(path):
            return None
        state = self._states.get(path)
        if state is None:
            return self._project.status(path)
        if state.kind == "absent":
            return None
        return _Status(_MODES.get(state.kind, stat.S_IFIFO) | state.mode, state.size)

    def names(self, path: str) -> list[str]:
        folder = "" if path == "." else path
        if folder:
            status = self.status(folder)
            if status is None:
                raise _refused(errno.ENOENT, folder)
            if not stat.S_ISDIR(status.st_mode):
                raise _refused(errno.ENOTDIR, folder)
        try:
            names = set(self._project.names(path))
        except (FileNotFoundError, NotADirectoryError):
            names = set()
        for known, state in self._states.items():
            around, _, name = known.rpartition("/")
            if around == folder:
                (names.discard if state.kind == "absent" else names.add)(name)
        return sorted(names)

    def read(self, path: str, limit: int) -> bytes | None:
        state = self._known(path, "file")
        if state is None:
            return self._project.read(path, limit)
        content = self._contents[state.digest]
        return content if len(content) <= limit else None

    def digest(self, path: str) -> str:
        state = self._known(path, "file")
        return self._project.digest(path) if state is None else state.digest

    def link_target(self, path: str) -> str:
        state = self._known(path, "link")
        return self._project.link_target(path) if state is None else state.target

    def _known(self, path: str, kind: str) -> State | None:
        """The state of a path that the view has; None for one that is the project's."""
        state = self._states.get(path)
        if self._is_hidden(path) or (state is not None and state.kind == "absent"):
            raise _refused(errno.ENOENT, path)
        if state is not None and state.kind != kind:
            raise _refused(errno.EINVAL, path)
        return state

    def _is_hidden(self, path: str) -> bool:
        """Whether a folder around the path is none any more."""
        parts = path.split("/")
        around = (self._states.get("/".join(parts[:end])) for end in range(1, len(parts)))
        return any(state is not None and state.kind != "folder" for state in around)


def _refused(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


@dataclass(frozen=True, slots=True)
class _AsItIs:
    view: View = View()
    layers: tuple[str, ...] = ()


async def as_it_is(run: str, project: Path | None) -> Seen:
    """The project itself, whatever a run has changed."""
    return _AsItIs()
