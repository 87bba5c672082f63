"""Filters, sorts, groups, joins and selects rows: pure functions from rows to rows."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from values import Row, Rows, identity, number, order_key

from symphony.sdk import PlayerFailure

_PERIODS: Mapping[str, Callable[[date], str]] = {
    "day": lambda day: day.isoformat(),
    "week": lambda day: f"{day.isocalendar().year}-W{day.isocalendar().week:02}",
    "month": lambda day: f"{day.year}-{day.month:02}",
    "year": lambda day: str(day.year),
}


def columns_of(items: Sequence[Row]) -> list[str]:
    """All columns in the order in which they first appear."""
    return list(dict.fromkeys(column for row in items for column in row))


def resolve(items: Sequence[Row], name: str) -> str:
    """The column that `name` means, whatever its case, with spaces or underscores.

    Raises PlayerFailure, naming the columns there are, when there is none.
    """
    columns = columns_of(items)
    if name in columns or not items:
        return name
    wanted = _folded(name)
    close = [column for column in columns if _folded(column) == wanted]
    if len(close) == 1:
        return close[0]
    raise PlayerFailure(
        f"There is no column {name!r}", remedy=f"choose one of {', '.join(columns[:20])}", code="bad_input"
    )


def keep(items: Rows, where: str) -> Rows:
    """Rows for which a condition holds. A row without a column that it names is left out."""
    from simpleeval import EvalWithCompoundTypes, FeatureNotAvailable, InvalidExpression, NameNotDefined

    functions = {
        "lower": lambda v: str(v).lower(),
        "upper": lambda v: str(v).upper(),
        "length": lambda v: len(v) if isinstance(v, str | list | dict) else 0,
        "number": number,
        "contains": lambda v, part: str(part).lower() in str(v).lower(),
        "starts_with": lambda v, part: str(v).startswith(str(part)),
        "ends_with": lambda v, part: str(v).endswith(str(part)),
        "matches": lambda v, pattern: re.search(str(pattern), str(v)) is not None,
    }
    evaluator = EvalWithCompoundTypes(functions=functions)
    try:
        parsed = evaluator.parse(_pythonic(where))
    except (InvalidExpression, SyntaxError) as error:
        raise _bad_condition(where, error) from error
    columns = columns_of(items)
    kept: Rows = []
    for row in items:
        names = {column: row.get(column) for column in columns}
        evaluator.names = {**{re.sub(r"\W", "_", column): value for column, value in names.items()}, **names}
        try:
            if evaluator.eval(where, previously_parsed=parsed):
                kept.append(row)
        except NameNotDefined as error:
            raise PlayerFailure(
                f"The condition {where!r} names a column that is not there",
                remedy=f"choose from {', '.join(columns[:20])}",
                code="bad_input",
            ) from error
        except (FeatureNotAvailable, InvalidExpression, re.error) as error:
            raise _bad_condition(where, error) from error
        except (TypeError, ValueError, ZeroDivisionError):
            # A gap or a text where a number is compared: the condition does not hold.
            continue
    return kept


def order(items: Rows, by: Sequence[str], descending: bool) -> Rows:
    """Rows ordered by columns; rows without a value come last either way."""
    ordered = list(items)
    for name in reversed([resolve(items, column) for column in by]):
        present = [row for row in ordered if row.get(name) is not None]
        absent = [row for row in ordered if row.get(name) is None]
        present.sort(key=lambda row: order_key(row[name]), reverse=descending)
        ordered = present + absent
    return ordered


def aggregate(items: Rows, by: Sequence[str], measure: str | None, how: str) -> Rows:
    """One row for each group, the largest first; periods such as `date:month` in the order of time."""
    if how not in _AGGREGATES:
        raise PlayerFailure(
            f"{how!r} is no way to aggregate",
            remedy=f"choose one of {', '.join(_AGGREGATES)}",
            code="bad_input",
        )
    if how != "count" and not measure:
        raise PlayerFailure(f"{how} needs a column to work on", remedy="name it as measure", code="bad_input")
    keys = [_key(items, column) for column in by]
    column = resolve(items, measure) if measure else None
    groups: dict[object, tuple[Row, list[object]]] = {}
    for row in items:
        values = [read(row) for _, read in keys]
        labels: Row = {name: value for (name, _), value in zip(keys, values, strict=True)}
        group = groups.setdefault(tuple(map(identity, values)), (labels, []))
        group[1].append(row.get(column) if column else None)
    result_name = "count" if how == "count" else f"{how}_{column}"
    rows: Rows = []
    for labels, measured in groups.values():
        counted = [v for v in measured if v is not None] if column else measured
        rows.append({**labels, result_name: _AGGREGATES[how](counted)})
    if any(":" in column for column in by):
        return sorted(rows, key=lambda row: [order_key(row[name]) for name, _ in keys])
    labels_key = [name for name, _ in keys]
    rows.sort(key=lambda row: [order_key(row[name]) for name in labels_key])
    return order(rows, [result_name], descending=True)


def merge(left: Rows, right: Rows, on: Sequence[str] | None, how: str) -> Rows:
    """Rows of both tables that agree on columns. A column that both have otherwise gets `_right` on its second."""
    shared = (
        [resolve(right, resolve(left, c)) for c in on]
        if on
        else [c for c in columns_of(left) if c in set(columns_of(right))]
    )
    if not shared and (left and right):
        raise PlayerFailure(
            "The two tables have no column in common", remedy="name the columns to join on", code="bad_input"
        )
    index: dict[object, list[int]] = {}
    for position, row in enumerate(right):
        index.setdefault(tuple(identity(row.get(c)) for c in shared), []).append(position)
    taken = {c for c in columns_of(left) if c not in shared}
    extra = [c for c in columns_of(right) if c not in shared]
    names = {c: f"{c}_right" if c in taken else c for c in extra}
    rows: Rows = []
    used: set[int] = set()
    for row in left:
        matches = index.get(tuple(identity(row.get(c)) for c in shared), [])
        used.update(matches)
        for position in matches:
            rows.append({**row, **{names[c]: right[position].get(c) for c in extra}})
        if not matches and how != "inner":
            rows.append({**row, **dict.fromkeys(names.values())})
    if how == "outer":
        blank: Row = dict.fromkeys(columns_of(left))
        for position, row in enumerate(right):
            if position not in used:
                rows.append(
                    {**blank, **{c: row.get(c) for c in shared}, **{names[c]: row.get(c) for c in extra}}
                )
    return rows


def choose(items: Rows, columns: Sequence[str], distinct: bool) -> Rows:
    """Only the named columns, in that order; `old=new` renames."""
    pairs = []
    for column in columns:
        old, _, new = str(column).partition("=")
        pairs.append((resolve(items, old.strip()), new.strip() or resolve(items, old.strip())))
    rows: Rows = [{new: row.get(old) for old, new in pairs} for row in items]
    if not distinct:
        return rows
    first: dict[object, Row] = {}
    for row in rows:
        first.setdefault(identity(row), row)
    return list(first.values())


def _key(items: Rows, column: str) -> tuple[str, Callable[[Row], object]]:
    """A group's column and how to read it; `date:month` cuts a date to its month."""
    name, _, period = str(column).partition(":")
    source = resolve(items, name)
    if not period:
        return source, lambda row: row.get(source)
    if period not in _PERIODS:
        raise PlayerFailure(
            f"{period!r} is no period", remedy=f"choose one of {', '.join(_PERIODS)}", code="bad_input"
        )
    return period, lambda row: _period(row.get(source), period)


def _period(value: object, period: str) -> str | None:
    try:
        return _PERIODS[period](datetime.fromisoformat(str(value)).date())
    except ValueError:
        return None


def _numbers(values: Sequence[object]) -> list[float]:
    return [n for n in map(number, values) if n is not None]


def _tidy(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, 6)


_AGGREGATES: Mapping[str, Callable[[Sequence[object]], object]] = {
    "count": len,
    "sum": lambda values: _tidy(sum(_numbers(values))),
    "mean": lambda values: _tidy(statistics.fmean(n)) if (n := _numbers(values)) else None,
    "median": lambda values: _tidy(statistics.median(n)) if (n := _numbers(values)) else None,
    "min": lambda values: min(values, key=order_key) if values else None,
    "max": lambda values: max(values, key=order_key) if values else None,
    "distinct": lambda values: len({identity(v) for v in values}),
}


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _pythonic(where: str) -> str:
    """The condition as the evaluator reads it: SQL's single `=`, `AND`, `OR`, `NOT` and `<>` are allowed."""
    parts = re.split(r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", where.strip())
    for i in range(0, len(parts), 2):
        text = re.sub(r"(?<![<>=!])=(?!=)", "==", parts[i]).replace("<>", "!=")
        parts[i] = re.sub(r"\b(AND|OR|NOT|IN)\b", lambda m: m[1].lower(), text)
    return "".join(parts)


def _bad_condition(where: str, error: Exception) -> PlayerFailure:
    return PlayerFailure(
        f"{where!r} is no condition: {error}",
        remedy="write for instance size > 1000 and language == 'Python'",
        code="bad_input",
    )
