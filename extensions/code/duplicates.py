"""Finds passages that stand in more than one place, line by line and whatever their indentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_TRIVIAL = frozenset("{}()[];,:")
_COMMON = 50
"""A window of lines that stands in more places than this is boilerplate, such as a licence, and would hide the rest."""


@dataclass(frozen=True, slots=True)
class _Source:
    path: str
    lines: list[str]
    numbers: list[int]
    """The line in the file of each of `lines`, counted from 1."""


def find(files: Iterable[tuple[str, str]], minimum: int) -> list[dict[str, object]]:
    """Rows of type code/duplicate for pairs of passages of at least `minimum` lines, the longest first.

    Blank lines and those of brackets alone do not count. Of three equal passages each pair with the first is a row.
    """
    sources = [_read(path, text) for path, text in files]
    places: dict[int, list[tuple[int, int]]] = {}
    for index, source in enumerate(sources):
        for start in range(len(source.lines) - minimum + 1):
            key = hash(tuple(source.lines[start : start + minimum]))
            places.setdefault(key, []).append((index, start))
    rows: list[dict[str, object]] = []
    covered: set[tuple[int, int, int, int]] = set()
    for found in places.values():
        first, *others = found
        if not others or len(found) > _COMMON:
            continue
        for other in others:
            row = _grown(sources, first, other, minimum, covered)
            if row is not None:
                rows.append(row)
    return sorted(rows, key=lambda r: (-int(str(r["lines"])), str(r["file"]), int(str(r["line"]))))


def _read(path: str, text: str) -> _Source:
    lines, numbers = [], []
    for number, line in enumerate(text.splitlines(), 1):
        bare = " ".join(line.split())
        if bare and not _TRIVIAL.issuperset(bare):
            lines.append(bare)
            numbers.append(number)
    return _Source(path, lines, numbers)


def _grown(
    sources: list[_Source],
    first: tuple[int, int],
    other: tuple[int, int],
    minimum: int,
    covered: set[tuple[int, int, int, int]],
) -> dict[str, object] | None:
    """The longest equal passages from two windows on, or None when they are part of passages already found."""
    (a, i), (b, j) = first, other
    if (a, b, i, j) in covered:
        return None
    one, two = sources[a], sources[b]
    if one.lines[i : i + minimum] != two.lines[j : j + minimum]:
        return None  # another text with the same hash
    length = 0
    while i + length < len(one.lines) and j + length < len(two.lines):
        is_overlap = a == b and i + length >= j
        if is_overlap or one.lines[i + length] != two.lines[j + length]:
            break
        covered.add((a, b, i + length, j + length))
        length += 1
    if length < minimum:
        return None
    return {
        "file": one.path,
        "line": one.numbers[i],
        "lines": one.numbers[i + length - 1] - one.numbers[i] + 1,
        "other": two.path,
        "other_line": two.numbers[j],
    }
