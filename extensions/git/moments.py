"""Turns "90d", "2024-01-31" or an ISO time into a moment that git's --since and --until understand."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_UNITS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 7 * 86400,
    "mo": 30 * 86400,
    "y": 365 * 86400,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|mo|[smhdwy])\s*")

_EARLIEST = "1970-01-02T00:00:00+00:00"
"""git knows no time before 1970, and takes one for the present."""


def duration_seconds(text: str) -> float | None:
    """Seconds of a duration such as `90d` or `1h30m`, or None when `text` is none."""
    total, position = 0.0, 0
    while match := _PART.match(text, position):
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    return total if position and position == len(text) else None


def moment(value: object, *, end_of_day: bool = False, now: datetime | None = None) -> str | None:
    """The moment that `value` names, as ISO text, or None when it is empty.

    A duration counts back from `now`; a bare number is seconds. A date without a time is the start of that
    day in local time, or its end when `end_of_day`. Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    present = now or datetime.now(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _back(present, float(value))
    text = str(value).strip()
    seconds = duration_seconds(text.lower())
    if seconds is not None:
        return _back(present, seconds)
    try:
        if len(text) == 10:
            clock = "23:59:59" if end_of_day else "00:00:00"
            found = f"{date.fromisoformat(text).isoformat()}T{clock}"
        else:
            found = datetime.fromisoformat(text).isoformat(timespec="seconds")
    except ValueError:
        raise ValueError(
            f"{value!r} is neither a duration such as 90d nor a date such as 2024-01-31"
        ) from None
    return max(found, _EARLIEST)


def _back(present: datetime, seconds: float) -> str:
    try:
        return max((present - timedelta(seconds=seconds)).isoformat(timespec="seconds"), _EARLIEST)
    except OverflowError:
        # Further back than the calendar reaches: the whole history.
        return _EARLIEST
