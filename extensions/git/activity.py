"""Counts commits by period: how the work went over time, and when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta

from commits import Commit

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST = 20_000
"""Periods between the first and the last that are listed although nothing happened in them."""


def by_period(commits: Iterable[Commit], by: str) -> list[dict[str, object]]:
    """Rows of type git/activity, oldest first; a period between without a commit has a row of zeros.

    `by` is day, week (named by its Monday), month, year, weekday or hour, each in the time of who committed.
    """
    name = _NAMES[by]
    counts: Counter[str] = Counter()
    added: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    people: dict[str, set[str]] = {}
    for commit in commits:
        period = name(commit.date)
        counts[period] += 1
        people.setdefault(period, set()).add(commit.author)
        added[period] += sum(change.added for change in commit.changes)
        deleted[period] += sum(change.deleted for change in commit.changes)
    return [
        {
            "period": period,
            "commits": counts[period],
            "authors": len(people.get(period, ())),
            "added": added[period],
            "deleted": deleted[period],
        }
        for period in _all(by, counts)
    ]


def _day(moment: str) -> str:
    return moment[:10]


def _week(moment: str) -> str:
    day = date.fromisoformat(moment[:10])
    return (day - timedelta(days=day.weekday())).isoformat()


def _month(moment: str) -> str:
    return moment[:7]


def _year(moment: str) -> str:
    return moment[:4]


def _weekday(moment: str) -> str:
    return _WEEKDAYS[date.fromisoformat(moment[:10]).weekday()]


def _hour(moment: str) -> str:
    return moment[11:13]


_NAMES: dict[str, Callable[[str], str]] = {
    "day": _day,
    "week": _week,
    "month": _month,
    "year": _year,
    "weekday": _weekday,
    "hour": _hour,
}


def _all(by: str, seen: Iterable[str]) -> list[str]:
    """Every period from the first to the last that was seen, or the whole round of those that come again."""
    if by == "weekday":
        return list(_WEEKDAYS) if seen else []
    if by == "hour":
        return [f"{hour:02}" for hour in range(24)] if seen else []
    found = sorted(seen)
    if not found:
        return []
    listed = [found[0]]
    while listed[-1] < found[-1] and len(listed) < _MOST:
        listed.append(_next(by, listed[-1]))
    return listed if listed[-1] == found[-1] else found


def _next(by: str, period: str) -> str:
    if by == "year":
        return f"{int(period) + 1:04}"
    if by == "month":
        year, month = int(period[:4]), int(period[5:])
        return f"{year + month // 12:04}-{month % 12 + 1:02}"
    return (date.fromisoformat(period) + timedelta(days=7 if by == "week" else 1)).isoformat()
