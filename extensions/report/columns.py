"""Understands a table: what each column holds, which one names the rows and which one ranks them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

Row = dict[str, object]

_NAMING = (
    *("file", "path", "name", "function", "keyword", "word", "author", "branch", "language", "module"),
    *("rule", "marker", "subject", "title", "label", "key", "category"),
)
_RANKING = (
    *("score", "count", "commits", "complexity", "weight", "similarity", "confidence", "lines_changed"),
    *("lines", "total", "sum", "amount", "value", "size", "bytes"),
)
_PLURALS = {"path": "files", "subject": "commits", "branch": "branches", "key": "keys"}
_PLACES = {"line", "column", "row", "id", "port", "year", "number", "index", "position"}
"""Numbers that say where something is, not how much."""
_NOUNS = (
    ("passage", "passages"),
    ("marker", "open notes"),
    ("rule", "findings"),
    ("module", "imports"),
    ("match", "matches"),
    ("confidence", "unused code"),
    ("subject", "commits"),
)
"""What rows that have such a column are, when no column names each of them."""
_ADDITIVE = re.compile(
    r"(^|_)(count|commits|lines|bytes|size|added|deleted|files|total|sum|amount|functions|complexity|changed|price"
    r"|revenue|sales|quantity|units|duration|seconds)(_|$)"
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


@dataclass(slots=True)
class Table:
    """Rows with what is known of their columns, in the order in which they appear."""

    rows: Sequence[Row]
    columns: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    label: str | None = None
    """The column that names the rows."""
    value: str | None = None
    """The number that ranks them, or the most telling one."""

    def amounts(self, column: str) -> list[float]:
        """The numbers of a column, gaps left out."""
        return [
            float(v) for row in self.rows if _is_number(v := row.get(column)) and isinstance(v, int | float)
        ]

    def is_ranked_by(self, column: str) -> bool:
        """Whether the rows stand in falling order of a column that varies."""
        values = self.amounts(column)
        falling = all(a >= b for a, b in itertools.pairwise(values))
        return len(values) == len(self.rows) > 1 and falling and values[0] != values[-1]

    def noun(self) -> str:
        """What the rows are together, such as `files`."""
        if self.label and self.distinct(self.label) >= 0.9 * len(self.rows):
            return _PLURALS.get(self.label.lower(), _many(self.label))
        return next((noun for column, noun in _NOUNS if column in self.columns), "rows")

    def distinct(self, column: str) -> int:
        """How many different values a column has."""
        return len({str(row.get(column)) for row in self.rows})


def understand(rows: Sequence[Row]) -> Table:
    """The table of rows, which may have gaps and differing columns."""
    table = Table(rows, list(dict.fromkeys(str(column) for row in rows for column in row)))
    for column in table.columns:
        values = [v for row in rows if (v := row.get(column)) not in (None, "")]
        if values and all(_is_number(v) for v in values):
            table.numbers.append(column)
        elif values and all(isinstance(v, str) and _DATE.fullmatch(v) for v in values):
            table.dates.append(column)
        elif values and all(isinstance(v, str) for v in values):
            table.texts.append(column)
    table.label = _label(table)
    table.value = _value(table)
    return table


def is_additive(column: str) -> bool:
    """Whether the sum of a column means something, so that shares of it do, too."""
    return bool(_ADDITIVE.search(column)) and not column.startswith(
        ("mean", "average", "max", "min", "median", "worst")
    )


def moment(value: object) -> datetime | None:
    """The moment of an ISO date, in UTC when it has an offset."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _label(table: Table) -> str | None:
    named = [name for name in _NAMING if name in table.texts]
    # A name that repeats does not tell the rows apart: of commits it is the subject and not the author.
    telling = [name for name in named if table.distinct(name) >= 0.9 * len(table.rows)]
    if telling or named:
        return (telling or named)[0]
    short = [c for c in table.texts if _typical_length(table, c) <= 60]
    if short:
        return max(short, key=lambda c: (table.distinct(c), -table.columns.index(c)))
    periods = [c for c in table.columns if c in ("day", "week", "month", "year", "date")]
    return periods[0] if periods else (table.dates[0] if table.dates else None)


def _value(table: Table) -> str | None:
    measures = [c for c in table.numbers if c.lower() not in _PLACES]
    varied = [c for c in measures if len(set(table.amounts(c))) > 1] or measures

    def worth(column: str) -> tuple[bool, int, int]:
        known = _RANKING.index(column) if column in _RANKING else len(_RANKING)
        prefixed = column.startswith(("sum_", "mean_", "median_", "max_", "min_", "distinct_"))
        return (not table.is_ranked_by(column), -1 if prefixed else known, table.columns.index(column))

    return min(varied, key=worth, default=None)


def _typical_length(table: Table, column: str) -> float:
    values = [len(str(row[column])) for row in table.rows if row.get(column)]
    return sum(values) / len(values) if values else 0


def _many(column: str) -> str:
    word = column.replace("_", " ")
    return word if word.endswith("s") else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
