"""Durations, sizes, shares, versions, ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.types.identity import new_id
from symphony.types.quantities import (
    format_duration,
    format_size,
    parse_cpu,
    parse_duration,
    parse_size,
    readable_size,
)
from symphony.types.versions import VersionRange, is_version, version


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 7776000),
        ("30s", 30),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("2w", 1209600),
        ("1.5 h", 5400),
        ("7", 7),
        (3, 3),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "5 parsecs", "-3s", "1h x", True, -1, float("nan"), float("inf")])
def test_what_is_no_duration(text: str | float) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MiB", 256 << 20), ("2GB", 2 * 10**9), ("1.5 KiB", 1536), ("12", 12), ("7b", 7), (9, 9)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1MB", "1XB", True, -1, 1.5])
def test_what_is_no_size(text: str | float) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


def test_shares_of_processors() -> None:
    assert (parse_cpu("50%"), parse_cpu("1.5"), parse_cpu(2)) == (0.5, 1.5, 2.0)
    for text in ("half", "-1", True, float("inf")):
        with pytest.raises(ValueError, match="processors"):
            parse_cpu(text)


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_durations_are_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 1 << 60))
def test_sizes_are_read_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_sizes_for_people() -> None:
    assert (readable_size(10), readable_size(5000), readable_size(1 << 31)) == ("10 B", "4.9 KiB", "2.0 GiB")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "2.0.0-beta", "1.3.0-rc.1"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.9.0"], ["1.0.0"]),
        ("~1.2", ["1.2.9"], ["1.3.0"]),
        ("~1", ["1.9.0"], ["2.0.0"]),
        ("1.2", ["1.2.5"], ["1.3.0"]),
        ("1.x", ["1.7.0"], ["2.0.0"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9"], ["1.3.0"]),
        (">=1.0, <3", ["1.0.0", "2.9.9"], ["3.0.0"]),
        (">=1.0 <3 !=2.0.0", ["2.0.1"], ["2.0.0"]),
        ("1 || 3", ["1.5.0", "3.1.0"], ["2.0.0"]),
        ("*", ["0.0.0", "9.9.9"], ["1.0.0-a"]),
        (">=1.0.0-alpha", ["1.0.0-beta", "1.0.0"], ["1.0.1-beta"]),
    ],
)
def test_version_ranges(text: str, inside: list[str], outside: list[str]) -> None:
    parsed = VersionRange.parse(text)
    assert all(parsed.contains(v) for v in inside) and not any(parsed.contains(v) for v in outside)


@pytest.mark.parametrize("text", ["", "one", "1.2.3.4", "^", "^*", "1 ||", ">=1,", "01.2.3", "1" * 300])
def test_what_is_no_version_range(text: str) -> None:
    with pytest.raises(ValueError, match="version"):
        VersionRange.parse(text)


def test_versions() -> None:
    assert is_version("1.0.0-rc.1+b") and not is_version("1.0") and not is_version("v1.0.0")
    assert version("1.10.0") > version("1.9.0")
    with pytest.raises(ValueError, match="three numbers"):
        version("1")


def test_ids_sort_by_time() -> None:
    import time
    import uuid

    first = new_id()
    time.sleep(0.002)
    assert first < new_id() and uuid.UUID(first).version == 7
