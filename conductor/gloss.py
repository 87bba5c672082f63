"""A prompt in German, French or Spanish word by word in English, which is what the sentence encoder understands.

Word order and endings are lost, which such an encoder minds little; words that are not in the lexicon (names,
files, English ones) stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from conductor.words import LEXICON, fold

OTHERS = ("de", "fr", "es")
"""The languages of `gloss.txt`, in the order of its columns."""
LONGEST_ENDING = 4
"""Letters by which an inflected word may be longer than its entry."""
SHORTEST_STEM = 4
SHORTEST_PART = 3
LEAST_SHARE = 0.4
"""From this share of known words on a text may be in a language."""
_WORD = re.compile(r"[^\W\d_]+")
_LETTERED = re.compile(r"(?<![\w./`])[^\W\d_]+(?![\w/`]|\.\w)")
"""A word that is no part of a path or of code."""


@dataclass(slots=True)
class Lexicon:
    """One language: folded words and stems with their English."""

    entries: dict[str, str] = field(default_factory=dict)

    def english(self, word: str) -> str | None:
        """A word's English: its entry with its accents, without them, that of its longest stem, or of its parts."""
        exact = self.entries.get(word.lower())
        if exact is not None:
            return exact
        plain = fold(word)
        return self._simple(plain) or self._compound(plain)

    def _simple(self, word: str) -> str | None:
        known = self.entries.get(word)
        if known is not None:
            return known
        for end in range(len(word) - 1, max(SHORTEST_STEM, len(word) - LONGEST_ENDING) - 1, -1):
            known = self.entries.get(word[:end])
            if known is not None:
                return known
        return None

    def _compound(self, word: str) -> str | None:
        """`Testlauf` is `Test` and `Lauf`; an `s` or `n` may join them."""
        for end in range(len(word) - SHORTEST_STEM, SHORTEST_STEM - 1, -1):
            first = self._simple(word[:end])
            if first is None:
                continue
            rest = word[end:]
            second = self._simple(rest) or (self._simple(rest[1:]) if rest[:1] in "sn" else None)
            if second is not None:
                return f"{first} {second}"
        return None


@lru_cache(maxsize=1)
def lexicons() -> dict[str, Lexicon]:
    """The lexicon of each language. Of two meanings of a word the first in the file counts."""
    found = {language: Lexicon() for language in OTHERS}
    for line in (LEXICON / "gloss.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        english, *columns = (part.strip() for part in line.split("|"))
        for language, column in zip(OTHERS, columns, strict=True):
            for word in column.split():
                if word != "-":
                    found[language].entries.setdefault(word, english)
    for lexicon in found.values():
        for word, english in list(lexicon.entries.items()):
            lexicon.entries.setdefault(fold(word), english)
    return found


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    """The words on the English side, with their plurals."""
    words = {
        word for lexicon in lexicons().values() for text in lexicon.entries.values() for word in text.split()
    }
    return frozenset(words | {f"{word}s" for word in words})


@lru_cache(maxsize=1024)
def language_of(text: str) -> str:
    """The language that most of a text's words belong to: `de`, `fr`, `es`, or `en` when none of these wins."""
    words = [word.lower() for word in _WORD.findall(text) if not word.isupper()]
    english = sum(word in _english() for word in words)

    def known(language: str) -> tuple[int, int]:
        lexicon = lexicons()[language]
        return sum(lexicon.english(w) is not None for w in words), sum(w in lexicon.entries for w in words)

    best = max(OTHERS, key=known)
    found, exact = known(best)
    # A word alone is too little (`todos` may be Spanish), and so are stems (a `briefing` is no letter).
    sure = len(words) > 1 and exact > 0 and found > english
    return best if sure and found >= LEAST_SHARE * len(words) else "en"


def glossed(text: str, language: str) -> str:
    """`text` with the words that the lexicon knows in English; names in capitals, paths and code stay."""
    lexicon = lexicons().get(language)
    if lexicon is None:
        return text
    return _LETTERED.sub(
        lambda m: m.group() if m.group().isupper() else lexicon.english(m.group()) or m.group(), text
    )
