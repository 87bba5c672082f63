"""Puts one text in the place of another in a file, and shows as a patch what that changes."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from symphony.sdk import PlayerFailure
from symphony.sdk.project import ProjectFile


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file as it will be: `times` places differ, and `patch` is a unified diff."""

    path: str
    content: bytes
    times: int
    patch: str


def compiled(text: str, *, regex: bool, whole_words: bool, case_sensitive: bool) -> re.Pattern[str]:
    """What finds `text`; whole words end where letters, digits and underscores do.

    Raises PlayerFailure for an empty text and for what is no regular expression, or one that matches nothing at all.
    """
    if not text:
        raise PlayerFailure("There is nothing to replace", remedy="give a text", code="bad_input")
    source = text if regex else re.escape(text)
    if whole_words and not regex:
        source = (
            (r"\b" if re.match(r"\w", text) else "") + source + (r"\b" if re.search(r"\w$", text) else "")
        )
    try:
        found = re.compile(source, 0 if case_sensitive else re.IGNORECASE)
    except re.error as error:
        raise PlayerFailure(
            f"{text!r} is no regular expression: {error}",
            remedy="mend it, or set regex to false",
            code="bad_input",
        ) from error
    if found.match(""):
        raise PlayerFailure(
            f"{text!r} is found between any two characters",
            remedy="write an expression that matches some text",
            code="bad_input",
        )
    return found


def replaced(file: ProjectFile, wanted: re.Pattern[str], replacement: str, *, regex: bool) -> Replaced | None:
    """The file with `replacement`, or None when it stays as it is; its line ends and its other bytes are kept.

    Files that are no UTF-8 are left alone. Raises PlayerFailure for a replacement that names no group of `wanted`.
    """
    try:
        before = (file.root / file.path).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if file.text() is None or wanted.search(before) is None:
        return None
    try:
        after, times = wanted.subn(replacement if regex else lambda _: replacement, before)
    except (re.error, IndexError) as error:
        raise PlayerFailure(
            f"{replacement!r} is no replacement for {wanted.pattern!r}: {error}",
            remedy="name only groups that it has, such as \\1",
            code="bad_input",
        ) from error
    if after == before:
        return None
    patch = difflib.unified_diff(
        _lines(before),
        _lines(after),
        f"a/{file.path}",
        f"b/{file.path}",
    )
    return Replaced(file.path, after.encode("utf-8"), times, "".join(map(_ended, patch)))


def _lines(text: str) -> list[str]:
    """Lines with their ends, as `diff` sees them: a form feed ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _ended(line: str) -> str:
    """A line of a patch; one without an end says so, as `diff` does."""
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
