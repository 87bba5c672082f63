"""Makes a Markdown text fit a terminal: a table loses columns before its words are cut, a picture is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_BETWEEN = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[\s|:-]+")
_MARKS = re.compile(r"[`*]")
GAP = 2
"""Characters between two columns."""


def narrowed(lines: Sequence[str], width: int) -> list[str]:
    """The lines for a terminal of so many characters.

    Of a table that is wider the first columns stay, as many as fit and at least two; a line below it names the others.
    """
    out: list[str] = []
    for table, block in _blocks(lines):
        out += _table(block, width) if table else [_PICTURE.sub(_named, line) for line in block]
    return out


def _named(picture: re.Match[str]) -> str:
    return f"*picture: {picture[1]}*" if picture[1] else "*picture*"


def _blocks(lines: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    """Runs of lines that are of a table, or are not."""
    block: list[str] = []
    inside = False
    for line in lines:
        is_row = line.startswith("|")
        if block and is_row != inside:
            yield inside, block
            block = []
        inside = is_row
        block.append(line)
    if block:
        yield inside, block


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _BETWEEN.split(line.strip().strip("|"))]


def _table(lines: list[str], width: int) -> list[str]:
    rows = [_cells(line) for line in lines]
    told = [row for line, row in zip(lines, rows, strict=True) if not _RULE.fullmatch(line)]
    count = max(len(row) for row in rows)
    wide = [
        max((len(_MARKS.sub("", row[at])) for row in told if at < len(row)), default=0) for at in range(count)
    ]
    kept, used = 0, GAP
    while kept < count and (kept < 2 or used + wide[kept] + GAP <= width):
        used += wide[kept] + GAP
        kept += 1
    if kept == count:
        return lines
    left = ", ".join(rows[0][kept:])
    return [*(f"| {' | '.join(row[:kept])} |" for row in rows), "", f"*more columns: {left}*"]
