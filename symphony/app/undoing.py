"""What an action has made different, and taking exactly that back: differences of nested tables, nothing else."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Changed(Exception):
    """A place is not as the action left it; the argument is its path."""


def apart(before: Json, after: Json) -> tuple[Json, Json]:
    """What each of two states has that the other has not, or has otherwise. Equal parts are in neither answer."""
    old: Json = {}
    new: Json = {}
    for key in {**before, **after}:
        if key in before and key in after:
            a, b = before[key], after[key]
            if a == b:
                continue
            if isinstance(a, dict) and isinstance(b, dict):
                a, b = apart(a, b)
            old[key], new[key] = a, b
        elif key in before:
            old[key] = before[key]
        else:
            new[key] = after[key]
    return old, new


def patched(current: Json, expected: Json, wanted: Json) -> Json:
    """`current` with `wanted` where it is as `expected`, both as of `apart`; all else stays as it is.

    Raises Changed where it is not as expected.
    """
    made = dict(current)
    for key in {**expected, **wanted}:
        old, new, now = expected.get(key), wanted.get(key), current.get(key)
        if isinstance(old, dict) and isinstance(new, dict) and isinstance(now, dict):
            try:
                made[key] = patched(now, old, new)
            except Changed as error:
                raise Changed(f"{key}.{error}") from None
            continue
        if (key in current) != (key in expected) or now != old:
            raise Changed(key)
        if key in wanted:
            made[key] = new
        else:
            del made[key]
    return made
