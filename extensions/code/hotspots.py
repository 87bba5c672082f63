"""Ranks files by how often they change times how complex they are, after Tornhill's "Your Code as a Crime Scene"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = Mapping[str, object]


def rank(churn: Sequence[Row], complexity: Sequence[Row]) -> list[dict[str, object]]:
    """Rows of type code/hotspot, highest score first.

    The score is 100 for a file that is both the most changed and the most complex one: the product of its
    commits and its complexity, each as a share of the largest. Files that are in one list only are left out:
    what never changes or is no code is no hotspot.
    """
    known = {str(row["file"]): row for row in complexity}
    pairs = [(row, known[str(row["file"])]) for row in churn if str(row["file"]) in known]
    most_commits = max((_number(changes, "commits") for changes, _ in pairs), default=0) or 1
    most_complex = max((_number(code, "complexity") for _, code in pairs), default=0) or 1
    rows: list[dict[str, object]] = []
    for changes, code in pairs:
        share = _number(changes, "commits") / most_commits * _number(code, "complexity") / most_complex
        rows.append(
            {
                "file": changes["file"],
                "score": round(100 * share, 1),
                "commits": changes["commits"],
                "complexity": code["complexity"],
                "worst_function": code.get("worst_function", ""),
                "worst_complexity": code.get("worst_complexity", 0),
                "lines": code.get("lines", 0),
                "authors": changes.get("authors", 0),
                "last_change": changes.get("last_change", ""),
            }
        )
    return sorted(rows, key=lambda row: (-float(str(row["score"])), str(row["file"])))


def _number(row: Row, column: str) -> float:
    value = row.get(column, 0)
    return float(value) if isinstance(value, int | float) else 0.0
