"""A table of rows in memory: searched, sorted, and summed up."""

from __future__ import annotations

from typing import Any

MOST_COLUMNS, LONGEST_CELL = 24, 200


class Table:
    """Rows with what is asked of them. `found` has the numbers of the rows that match, in their order."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items
        self.columns = list(dict.fromkeys(str(name) for row in items for name in row))[:MOST_COLUMNS]
        self.numeric = {name for name in self.columns if _is_numeric(items, name)}
        self.query, self.by, self.descending = "", "", False
        self.first = 0
        self.found = list(range(len(items)))

    def search(self, query: str) -> None:
        """Keeps the rows of which some cell has every word of the query."""
        self.query = query
        self.arrange()

    def sort(self, by: str) -> None:
        """Orders the rows by a column; by none, as they came."""
        self.by = by if by in self.columns else ""
        self.arrange()

    def arrange(self) -> None:
        """Searches and sorts anew, from the first page on."""
        words = self.query.lower().split()
        found = [at for at in range(len(self.items)) if self._matches(at, words)]
        if self.by:
            # Rows without a value stand last, whatever the direction.
            have = [at for at in found if self.items[at].get(self.by) is not None]
            lack = [at for at in found if self.items[at].get(self.by) is None]
            have.sort(key=self._rank, reverse=self.descending)
            found = have + lack
        elif self.descending:
            found.reverse()
        self.found, self.first = found, 0

    def turn(self, pages: int, size: int) -> None:
        """Goes forth or back by pages."""
        last = max(0, (len(self.found) - 1) // size * size)
        self.first = min(max(0, self.first + pages * size), last)

    def cells(self, at: int) -> list[str]:
        """A row as short texts."""
        return [_cell(self.items[at].get(name)) for name in self.columns]

    def summary(self) -> str:
        """How many rows there are, and the range of the column that they are sorted by."""
        count = f"{len(self.found)} of {len(self.items)} rows"
        if self.by not in self.numeric:
            return count
        values = [self.items[at][self.by] for at in self.found if self.items[at].get(self.by) is not None]
        if not values:
            return count
        mean = sum(values) / len(values)
        return (
            f"{count} · {self.by}: least {_cell(min(values))}, greatest {_cell(max(values))}, mean {mean:.6g},"
            f" sum {_cell(sum(values))}"
        )

    def _matches(self, at: int, words: list[str]) -> bool:
        if not words:
            return True
        text = "\n".join(self.cells(at)).lower()
        return all(word in text for word in words)

    def _rank(self, at: int) -> Any:
        value = self.items[at][self.by]
        return value if self.by in self.numeric else _cell(value).lower()


def _is_numeric(items: list[dict[str, Any]], name: str) -> bool:
    values = [row[name] for row in items if row.get(name) is not None]
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
