"""Durations, sizes and shares of processors as people write them: `90d`, `256MiB`, `50%`."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

_DURATION_UNITS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
    "w": Fraction(7 * 86400),
    "mo": Fraction(30 * 86400),
    "y": Fraction(365 * 86400),
}
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(ms|min|mo|[smhdwy])\s*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b|)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def parse_duration(value: str | float) -> float:
    """Seconds of `90d`, `30s`, `1h30m`, `250ms`, or of a bare number, which already is seconds.

    A month (`mo`) has 30 days and a year (`y`) 365. Raises ValueError for anything else, also for
    negative and non-finite numbers.
    """
    if isinstance(value, str):
        return _seconds(value)
    if isinstance(value, bool):
        raise ValueError("a duration is a number of seconds or text such as 30s, not true or false")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"a duration cannot be {value}")
    return float(value)


@lru_cache(maxsize=1024)
def _seconds(value: str) -> float:
    text = value.strip()
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    total, position = Fraction(0), 0
    while match := _DURATION_PART.match(text, position):
        total += Fraction(match[1]) * _DURATION_UNITS[match[2]]
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(f"{value!r} is no duration; write for instance 30s, 5m, 1h30m or 90d")
    return float(total)


@lru_cache(maxsize=1024)
def format_duration(seconds: float) -> str:
    """The shortest exact text of a duration: `30s`, `5m`, `90d`, `0.25s`. `parse_duration` reads it back."""
    if seconds != int(seconds) or seconds == 0:
        return f"{seconds!r}s" if seconds else "0s"
    whole = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def parse_size(value: str | float) -> int:
    """Bytes of `256MiB`, `2GB` (decimal, 2,000,000,000) or of a bare number of bytes.

    Raises ValueError for anything else.
    """
    if isinstance(value, bool):
        raise ValueError("a size is a number of bytes or text such as 256MiB, not true or false")
    if isinstance(value, (int, float)):
        if value < 0 or value != int(value):
            raise ValueError(f"a size cannot be {value} bytes")
        return int(value)
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size; write for instance 256MiB or 2GB")
    return int(Fraction(match[1]) * _SIZE_UNITS[match[2].lower()])


def format_size(size: int) -> str:
    """The shortest exact text of a size: `256MiB`, `1500B`. `parse_size` reads it back."""
    for unit, step in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size and size % step == 0:
            return f"{size // step}{unit}"
    return f"{size}B"


def readable_size(size: float) -> str:
    """A rounded size for people: `4.8 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def parse_cpu(value: str | float) -> float:
    """Cores of `50%` (half a core), `2` or `1.5`. Raises ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError("a share of processors is a number of cores or a percentage, not true or false")
    if isinstance(value, (int, float)):
        cores = float(value)
    else:
        text = value.strip()
        number = text[:-1].strip() if text.endswith("%") else text
        if not _PLAIN_NUMBER.fullmatch(number):
            raise ValueError(f"{value!r} is no share of processors; write for instance 1.5 or 50%")
        cores = float(number) / (100 if text.endswith("%") else 1)
    if not math.isfinite(cores) or cores < 0:
        raise ValueError(f"a share of processors cannot be {value}")
    return cores
