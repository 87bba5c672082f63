"""The Player symphony/data: rows from CSV, JSON, XML and text, and what one does with rows."""

from __future__ import annotations

import re

import reading
import tables
from values import Row, Rows, recognise

from symphony.sdk import Context, PlayerFailure, player
from symphony.sdk.project import text_or_file


@player.function
def parse_csv(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    delimiter: str | None = None,
    header: bool = True,
) -> Rows:
    """Rows of CSV."""
    return reading.csv_rows(text_or_file(project, text, path), delimiter, header)


@player.function
def parse_json(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    query: str | None = None,
) -> Rows:
    """Rows of JSON."""
    return reading.json_rows(text_or_file(project, text, path), query)


@player.function
def parse_xml(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    element: str | None = None,
) -> Rows:
    """Rows of XML."""
    return reading.xml_rows(text_or_file(project, text, path), element)


@player.function
def regex(
    ctx: Context,
    pattern: str,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    ignore_case: bool = False,
    limit: int = 10000,
) -> Rows:
    """All matches of a regular expression."""
    try:
        wanted = re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    except re.error as error:
        raise PlayerFailure(
            f"{pattern!r} is no regular expression: {error}", remedy="mend it at that place", code="bad_input"
        ) from error
    document = text_or_file(project, text, path)
    names = {number: name for name, number in wanted.groupindex.items()}
    rows: Rows = []
    line, counted = 1, 0
    for match in wanted.finditer(document):
        line += document.count("\n", counted, match.start())
        counted = match.start()
        row: Row = {"match": match[0], "line": line}
        for number, value in enumerate(match.groups(), 1):
            row[names.get(number, f"group_{number}")] = None if value is None else recognise(value)
        rows.append(row)
        if len(rows) >= limit:
            break
    return rows


@player.function(name="filter")
def keep(ctx: Context, items: Rows, where: str) -> Rows:
    """Rows for which a condition holds."""
    return tables.keep(items, where)


@player.function
def sort(ctx: Context, items: Rows, by: list[str] | str, descending: bool = False) -> Rows:
    """Rows in order."""
    return tables.order(items, _names(by), descending)


@player.function
def top(ctx: Context, items: Rows, limit: int = 10, by: str | None = None, smallest: bool = False) -> Rows:
    """The first rows by a column."""
    if by:
        return tables.order(items, [by], descending=not smallest)[:limit]
    return items[-limit:][::-1] if smallest else items[:limit]


@player.function
def group(
    ctx: Context,
    items: Rows,
    by: list[str] | str | None = None,
    measure: str | None = None,
    aggregate: str = "count",
) -> Rows:
    """One row for each group; without columns all rows are one."""
    return tables.aggregate(items, _names(by) if by else [], measure, aggregate)


@player.function
def join(
    ctx: Context, left: Rows, right: Rows, on: list[str] | str | None = None, how: str = "inner"
) -> Rows:
    """Rows of two tables that agree on columns."""
    return tables.merge(left, right, _names(on) if on else None, how)


@player.function
def select(ctx: Context, items: Rows, columns: list[str] | str, distinct: bool = False) -> Rows:
    """Only some columns."""
    return tables.choose(items, _names(columns), distinct)


@player.function
def count(ctx: Context, items: Rows) -> int:
    """How many rows there are."""
    return len(items)


def _names(value: list[str] | str) -> list[str]:
    """Column names given as a list, or as one text with commas."""
    names = value.split(",") if isinstance(value, str) else [str(name) for name in value]
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise PlayerFailure("No column is named", remedy="name at least one", code="bad_input")
    return names


if __name__ == "__main__":
    player.serve()
