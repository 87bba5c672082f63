"""What changed between two texts, line by line."""

from __future__ import annotations

import difflib

from symphony.errors import BadInput

LIMIT = 2 << 20
"""Bytes of a text that are compared."""


def text_of(content: bytes, name: str) -> str:
    """The content as text. Raises BadInput for what is none, or too large to be compared."""
    if len(content) > LIMIT:
        raise BadInput(f"{name} is larger than the {LIMIT >> 20} MiB that can be compared")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadInput(f"{name} is no text", remedy="only texts can be compared line by line")
    return text


def difference(old: str, new: str, old_name: str, new_name: str) -> tuple[str, int, int]:
    """A unified diff and the number of lines that were added and removed. Equal texts give an empty one."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    lines = []
    added = removed = 0
    for number, line in enumerate(difflib.unified_diff(before, after, old_name, new_name)):
        if number >= 2:  # behind the two lines with the names
            added += line.startswith("+")
            removed += line.startswith("-")
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines), added, removed
