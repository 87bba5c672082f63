"""Finds open notes, such as TODO and FIXME, in the comments of source files."""

from __future__ import annotations

import re
from collections.abc import Sequence

_COMMENT = r"(?:#|//|/\*|^\s*\*|--|;|%|<!--|\"\"\"|''')"


def compile_markers(markers: Sequence[str]) -> re.Pattern[str]:
    """The expression that finds a marker in a comment: at its start, or followed by a colon or a bracket.

    So `# TODO: x` and `// see FIXME(ada)` are notes and a sentence about them is none.
    """
    words = "|".join(re.escape(str(marker)) for marker in markers)
    return re.compile(
        rf"{_COMMENT}[\s*#/!-]*(?P<m1>{words})\b(?P<r1>.*)|{_COMMENT}.*?\b(?P<m2>{words})(?P<r2>[:(].*)"
    )


def find(path: str, text: str, pattern: re.Pattern[str]) -> list[dict[str, object]]:
    """Rows of type code/todo."""
    rows: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = pattern.search(line) if len(line) < 2000 else None
        if match is None:
            continue
        rest = match["r1"] if match["m1"] else match["r2"]
        person = re.match(r"\(([^)]*)\)", rest or "")
        note = (rest or "")[person.end() if person else 0 :]
        rows.append(
            {
                "file": path,
                "line": number,
                "marker": match["m1"] or match["m2"],
                "text": re.sub(r"\s*(\*/|-->)\s*$", "", note.lstrip(" :-")).strip(),
                "person": person[1] if person else "",
            }
        )
    return rows
