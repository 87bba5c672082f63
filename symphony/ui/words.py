"""Numbers and states in the words that a person reads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

STATE_TONES = {
    "running": "info",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "neutral",
    "interrupted": "warning",
    "waiting": "warning",
}
"""The colour in which each state of a run is shown."""


def seconds(value: float) -> str:
    """A duration: `320 ms`, `2.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if value < 0.0005:
        return "0 s"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"


def finding(item: Mapping[str, Any]) -> str:
    """One finding of an error: where it is, as far as that is known, and what it says."""
    place = f"line {item['line']}, column {item['column']}" if item.get("line") else ""
    key = str(item.get("key") or "")
    message = str(item.get("message", item))
    return ": ".join(part for part in (place, f"{key} {message}".strip()) if part)


def label(name: str) -> str:
    """The name of a parameter as words: `follow_renames` is `Follow renames`."""
    spoken = name.replace("_", " ").strip()
    return spoken[:1].upper() + spoken[1:]


def size(count: int) -> str:
    """A number of bytes: `812 B`, `5.1 KB`, `2.4 MB`."""
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def ago(moment: float, now: float | None = None) -> str:
    """A time in the past: `just now`, `5 min ago`, `yesterday 14:05`, `2 May 14:05`."""
    if not moment:
        return ""
    present = time.time() if now is None else now
    age = present - moment
    if age < 60:
        return "just now"
    if age < 3600:
        return f"{int(age // 60)} min ago"
    then, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(present)
    days = (today.date() - then.date()).days
    if days == 0:
        return f"today {then:%H:%M}"
    if days == 1:
        return f"yesterday {then:%H:%M}"
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {then:%b}{year} {then:%H:%M}"


def day(moment: float, now: float | None = None) -> str:
    """The day of a time in the past: `Today`, `Yesterday`, `2 May`, `2 May 2024`."""
    then, today = datetime.fromtimestamp(moment).date(), datetime.fromtimestamp(now or time.time()).date()
    days = (today - then).days
    if days in (0, 1):
        return "Yesterday" if days else "Today"
    year = "" if then.year == today.year else f" {then.year}"
    return f"{then.day} {then:%B}{year}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 step`, `4 steps`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
