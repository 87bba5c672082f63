"""Tokens of a prompt as the span reader sees them: what their letters are like, and where a value may begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LETTERS = 8
"""Facts about a token's letters and surroundings."""
MOST_TOKENS = 256
LONGEST_SPAN = 28
"""Tokens; numbers and names of many letters have several."""


def token_letters(text: str, places: Sequence[tuple[int, int]]) -> tuple[Array, Array, Array]:
    """For tokens at these places of a text: facts `[tokens, 8]`, and where a value may begin and end."""
    letters = np.zeros((len(places), LETTERS), dtype=np.float32)
    starts = np.zeros(len(places), dtype=bool)
    ends = np.zeros(len(places), dtype=bool)
    quoted = _quoted(text)
    for row, (a, b) in enumerate(places):
        if a == b:
            continue
        before, after = text[a - 1 : a], text[b : b + 1]
        word = text[a:b]
        letters[row] = (
            word.isdigit(), word[:1].isupper(), quoted[a], before in "'\"`“‘(" and bool(before),
            after in "'\"`”’)" and bool(after), not word.isalnum(), before.isspace() or not before,
            after in ".,;:!?" and bool(after),
        )  # fmt: skip
        starts[row] = not (before.isalnum() and word[:1].isalnum()) and word[:1] not in ".,;:!?)'\""
        ends[row] = not (after.isalnum() and word[-1:].isalnum()) and word[-1:] not in ",;:('\""
    return letters, starts, ends


def _quoted(text: str) -> list[bool]:
    """For each letter whether it stands between quotes of one kind."""
    marks = [False] * (len(text) + 1)
    opened: tuple[str, int] | None = None
    for place, letter in enumerate(text):
        if letter not in "'\"`“”":
            continue
        if opened is not None and letter == opened[0]:
            marks[opened[1] + 1 : place] = [True] * (place - opened[1] - 1)
            opened = None
        elif opened is None and not text[place - 1 : place].isalnum():
            opened = ("”" if letter == "“" else letter, place)
    return marks
