"""The words of a request, and pairs of neighbours: what a sentence vector blurs, such as `per` and `by`."""

from __future__ import annotations

import re
from itertools import pairwise

_LETTERS = 6
"""So many letters of a word count: what follows is mostly an ending."""
_FORMS = (
    (re.compile(r"[\"“”'‘’`«»„][^\"“”'‘’`«»„]{1,60}[\"“”'‘’`«»„]"), " quoted "),
    (re.compile(r"\b[\w/.-]*\.(\w{1,5})\b"), r" file \1 "),
    (re.compile(r"\b[\w.-]+/[\w./-]*"), " folder "),
    (re.compile(r"\b\d{4}-\d\d(?:-\d\d)?\b"), " date "),
    (re.compile(r"\d+"), " 0 "),
)
_WORD = re.compile(r"[^\W\d_]+|0|[?<>=%]")


def words_of(text: str) -> list[str]:
    """Each word of an English text once, shortened, and each pair of neighbours; names and numbers by their kind."""
    for pattern, kind in _FORMS:
        text = pattern.sub(kind, text)
    words = [word[:_LETTERS] for word in _WORD.findall(text.lower())]
    pairs = [f"{one} {next_}" for one, next_ in pairwise(words)]
    return list(dict.fromkeys([*words, *pairs]))
