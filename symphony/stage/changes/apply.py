"""Brings a change set into a project: all of it or nothing, each file by temporary file and rename.

Every step takes a path from its state before to its state after, so whatever is found on the disk after a kill says
itself what is left to do, in either direction.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from symphony.errors import EnvironmentLacks, PermissionDenied, StorageFull, SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.changes.collect import state_of
from symphony.stage.changes.model import ABSENT, Change, ChangeSet, State


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that is not as the change expects it."""

    path: str
    reason: str


class ChangedMeanwhile(SymphonyError):
    """The project is not as it was when the changes were made; nothing was written."""

    code = "changed_meanwhile"


class PartlyApplied(SymphonyError):
    """It failed half way, and what was done could not all be taken back; the findings name those paths."""

    code = "partly_applied"


def conflicts(changes: ChangeSet, project: Beneath, *, is_resumed: bool = False) -> list[Conflict]:
    """What forbids to apply the changes. A path that is already as it would become forbids nothing; after an
    application that did not end, `is_resumed`, one that is on its way neither."""
    return list(_conflicts(changes, project, is_resumed))


def apply(changes: ChangeSet, project: Beneath, *, label: str, is_resumed: bool = False) -> None:
    """Brings every path into its state after. `label` marks temporary files and is the same for every try.

    Raises ChangedMeanwhile with a finding for each conflict, StorageFull or EnvironmentLacks; what was already
    done is then taken back. Raises PartlyApplied when that fails, too.
    """
    if is_resumed:
        _remove_temporary(changes, project, label)
    if found := conflicts(changes, project, is_resumed=is_resumed):
        raise changed(found)
    done: list[Change] = []
    try:
        for change in _in_order(changes):
            done.append(change)
            _step(changes, change, project, label, is_resumed)
    except (OSError, SymphonyError) as error:
        if left := _take_back(changes, done, project, label):
            raise _partly(error, left) from error
        if isinstance(error, OSError):
            raise _explained(error) from error
        raise
    for folder in {posixpath.dirname(change.path) for change in changes.changes}:
        with contextlib.suppress(OSError):  # it was removed with what was in it
            project.sync(folder or ".")


def _conflicts(changes: ChangeSet, project: Beneath, is_resumed: bool) -> Iterator[Conflict]:
    becomes = {change.path: change.after.kind for change in changes.changes}
    removed = {c.path for c in changes.changes if c.after.kind == "absent"}
    for change in changes.changes:
        if change.stale:
            yield Conflict(change.path, "it was changed while the program ran")
            continue
        if "other" in (change.before.kind, change.after.kind):
            yield Conflict(change.path, "it is a device, a FIFO or a socket")
            continue
        now = _current(project, change.path)
        if isinstance(now, str):
            yield Conflict(change.path, now)
        elif not _is_expected(now, change, is_resumed):
            yield Conflict(change.path, _difference(change, now))
        elif now.kind == "folder" and change.after.kind != "folder":
            yield from _lost_with(change.path, removed, project)
        parent = posixpath.dirname(change.path)
        if change.after.kind != "absent" and parent and becomes.get(parent) != "folder":
            around = _current(project, parent)
            if isinstance(around, str) or around.kind != "folder":
                yield Conflict(change.path, "its folder is not there any more")


def _lost_with(folder: str, removed: set[str], project: Beneath) -> Iterator[Conflict]:
    """A folder that is to go holds nothing that would go unseen."""
    try:
        names = project.names(folder)
    except OSError as error:
        yield Conflict(folder, f"it cannot be read: {error.strerror}")
        return
    if left := [path for name in names if (path := f"{folder}/{name}") not in removed]:
        yield Conflict(left[0], "it would be lost with its folder")


def _is_expected(now: State, change: Change, is_resumed: bool) -> bool:
    if now.is_as(change.before) or now.is_as(change.after):
        return True
    # A folder in the place of a file, or the other way round, is made in two steps.
    between = "folder" in (change.before.kind, change.after.kind)
    return is_resumed and between and now.kind == "absent"


def _current(project: Beneath, path: str) -> State | str:
    """The state of a path, or why it has none."""
    try:
        return state_of(project, path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return ABSENT if _is_below_link(project, path) else "it cannot be read"
        return f"it cannot be read: {error.strerror}"


def _is_below_link(project: Beneath, path: str) -> bool:
    """Whether the path lies behind a link: then nothing of it is the project's own."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        status = project.status("/".join(parts[:end]))
        if status is not None and (status.st_mode & 0o170000) == 0o120000:
            return True
    return False


def _difference(change: Change, now: State) -> str:
    if now.kind == "absent":
        return "it was removed since"
    return "it was created since" if change.before.kind == "absent" else "it was changed since"


def _in_order(changes: ChangeSet) -> Iterator[Change]:
    """What goes, from the inside out; folders from the outside in; files and links last."""
    going = [c for c in changes.changes if _must_go_first(c)]
    yield from reversed(going)
    rest = [c for c in changes.changes if c.after.kind != "absent"]
    yield from (c for c in rest if c.after.kind == "folder")
    yield from (c for c in rest if c.after.kind != "folder")


def _must_go_first(change: Change) -> bool:
    return change.after.kind == "absent" or (
        change.before.kind != "absent" and "folder" in (change.before.kind, change.after.kind)
    )


def _step(changes: ChangeSet, change: Change, project: Beneath, label: str, is_resumed: bool) -> None:
    now = _current(project, change.path)
    if isinstance(now, str):
        raise changed([Conflict(change.path, now)])
    after = change.after
    if now.is_as(after):
        return
    # In two steps, an absent path has its first behind it.
    if not _is_expected(now, change, is_resumed or _must_go_first(change)):
        raise changed([Conflict(change.path, _difference(change, now))])
    if _must_go_first(change) and now.kind != "absent":
        project.remove(change.path)
    elif after.kind == "folder":
        # The user must be able to look into it and to undo it.
        project.make_folder(change.path, after.mode & 0o755 | 0o700)
    elif after.kind == "link":
        _check_link(change, project)
        project.replace_by_link(change.path, after.target, _temporary(change, label))
    elif after.kind == "file":
        content = changes.contents[after.digest]
        project.replace(change.path, content, _temporary(change, label), after.mode)


def _check_link(change: Change, project: Beneath) -> None:
    """The words of a link were checked; where it leads in this project is checked now."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(change.path), change.after.target))
    try:
        os.close(project.open(target, os.O_PATH, may_link=True))
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP):
            raise PermissionDenied(
                f"The link {shown(change.path)} would leave the project", remedy="leave it out"
            ) from None


def _take_back(changes: ChangeSet, done: list[Change], project: Beneath, label: str) -> list[Conflict]:
    """After a failure. Tries every path, and answers with those that are not as they were: the next try, which
    starts from what is there, finds them."""
    paths = {change.path for change in done}
    part = ChangeSet(tuple(c for c in changes.changes if c.path in paths), (), changes.contents).inverse()
    reasons: dict[str, str] = {}
    for change in _in_order(part):
        try:
            _step(part, change, project, label, True)
        except OSError as error:
            reasons[change.path] = error.strerror or str(error)
        except SymphonyError as error:
            reasons[change.path] = error.message
    left = []
    for change in part.changes:
        now = _current(project, change.path)
        if isinstance(now, str) or not now.is_as(change.after):
            left.append(Conflict(change.path, reasons.get(change.path, "it is not as it was")))
    return left


def _temporary(change: Change, label: str) -> str:
    return f".symphony-{label}-{hashlib.sha256(os.fsencode(change.path)).hexdigest()[:16]}"


def _remove_temporary(changes: ChangeSet, project: Beneath, label: str) -> None:
    for change in changes.changes:
        with contextlib.suppress(OSError):
            project.remove(posixpath.join(posixpath.dirname(change.path), _temporary(change, label)))


def changed(found: list[Conflict]) -> ChangedMeanwhile:
    """The error that names the conflicts."""
    first, more = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ChangedMeanwhile(
        f"{shown(first.path)}: {first.reason}{more}; nothing was changed",
        remedy="look at the difference and change the file by hand, or play the step again",
        findings=[{"key": shown(c.path), "message": c.reason} for c in found],
    )


def shown(path: str) -> str:
    """A path as it can be printed: control characters and what is no text are written as escapes."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _partly(error: OSError | SymphonyError, left: list[Conflict]) -> PartlyApplied:
    why = error.message if isinstance(error, SymphonyError) else f"{error.strerror}"
    why = why.removesuffix("; nothing was changed")
    first, more = left[0], f" and {len(left) - 1} more" if len(left) > 1 else ""
    return PartlyApplied(
        f"It failed half way ({why}), and {shown(first.path)}{more} could not be taken back: {first.reason}",
        remedy="mend the cause, then apply the changes to go on with them, or undo them",
        findings=[{"key": shown(c.path), "message": c.reason} for c in left],
    )


def _explained(error: OSError) -> SymphonyError:
    place = error.filename if isinstance(error.filename, str) else "the project"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"There is no space left for {shown(place)}", remedy="free some space; nothing was changed"
        )
    return EnvironmentLacks(
        f"{shown(place)} cannot be written: {error.strerror}; nothing was changed",
        remedy="check the permissions of the project",
    )
