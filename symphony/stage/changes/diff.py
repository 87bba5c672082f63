"""A change set as a unified diff, in the form of git, safe to print: a program chose every character of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from symphony.stage.changes.apply import shown
from symphony.stage.changes.model import Change, ChangeSet, State

FILE_LIMIT = 256 << 10
"""Bytes of a file that are compared line by line."""
LINES = 6000
"""Lines of both sides together that are compared; comparing takes time of the order of their product."""
TEXT_LIMIT = 1 << 20
"""Characters of one answer."""


def unified(changes: ChangeSet) -> str:
    """All changes, one after the other; what is too long for one answer is said to be left out."""
    pieces: list[str] = []
    length = 0
    for number, change in enumerate(changes.changes):
        piece = "".join(f"{line}\n" for line in _lines(change, changes))
        length += len(piece)
        if length > TEXT_LIMIT:
            pieces.append(f"… and {len(changes.changes) - number} more paths\n")
            break
        pieces.append(piece)
    return "".join(pieces)


def _lines(change: Change, changes: ChangeSet) -> Iterator[str]:
    name = shown(change.path)
    before, after = change.before, change.after
    yield f"diff --git a/{name} b/{name}"
    if change.kind == "added":
        yield f"new {_what(after)}"
    elif change.kind == "removed":
        yield f"deleted {_what(before)}"
    elif before.kind != after.kind or before.mode != after.mode:
        yield f"old {_what(before)}"
        yield f"new {_what(after)}"
    old, new = _text(before, changes), _text(after, changes)
    if old is None or new is None:
        yield f"Binary files differ ({before.size} bytes, then {after.size} bytes)"
        return
    if len(old) + len(new) > LINES:
        yield f"Too long to be compared ({len(old)} lines, then {len(new)} lines)"
        return
    old_name = "/dev/null" if change.kind == "added" else f"a/{name}"
    new_name = "/dev/null" if change.kind == "removed" else f"b/{name}"
    yield from difflib.unified_diff(old, new, old_name, new_name, lineterm="")


def _what(state: State) -> str:
    kinds = {"file": f"file mode 100{state.mode:03o}", "link": "file mode 120000", "folder": "folder"}
    return kinds.get(state.kind, "special file")


def _text(state: State, changes: ChangeSet) -> list[str] | None:
    """The lines of a file, or of what a link says; None for what is no text."""
    if state.kind == "link":
        return [shown(state.target)]
    if state.kind != "file":
        return []
    content = changes.contents[state.digest]
    if len(content) > FILE_LIMIT or b"\0" in content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    lines = [_printable(line) for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += "\\ (no newline at the end)"
    return lines


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c == "\t" or c.isprintable() else shown(c) for c in line)
