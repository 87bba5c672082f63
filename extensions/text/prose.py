"""Takes the prose out of a document: no markup, no code, sentences and passages with their lines."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
_PIECE = 2000
"""Characters."""

_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "da", "ru")


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph without markup; `line` is where it begins, `heading` what stands above it."""

    text: str
    line: int
    heading: str


def passages(document: str) -> list[Passage]:
    """The paragraphs and list items of plain text or Markdown; code, tables and pictures are left out."""
    found: list[Passage] = []
    heading, lines, start, in_code = "", [""], 0, False

    def close() -> None:
        text = " ".join(line for line in lines if line).strip()
        if text:
            found.append(Passage(text, start, heading))
        lines.clear()

    lines.clear()
    for number, raw in enumerate(document.splitlines(), 1):
        if _FENCE.match(raw):
            close()
            in_code = not in_code
            continue
        title = _HEADING.match(raw)
        plain = "" if in_code else _plain(raw)
        is_item = bool(re.match(r"^\s*([-*+]|\d+[.)])\s", raw))
        if title or not plain or is_item:
            close()
        if title:
            heading = _plain(title[1])
        elif plain:
            if not lines:
                start = number
            lines.append(plain)
    close()
    return found


def sentences(document: str, language: str) -> list[str]:
    """The sentences of all passages, in their order."""
    segmenter = _segmenter(language)
    pieces = [piece for passage in passages(document) for piece in _pieces(passage.text)]
    return [s.strip() for piece in pieces for s in segmenter.segment(piece) if s.strip()]


def detect_language(document: str) -> str:
    """The language, of eleven, whose most common words the text uses most."""
    words = Counter(word.lower() for word in WORD.findall(document[:200_000]))
    weights = {language: sum(words[word] for word in _function_words(language)) for language in _LANGUAGES}
    best = max(weights, key=lambda language: weights[language])
    return best if weights[best] else "en"


@cache
def stop_words(language: str) -> frozenset[str]:
    """The words of a language that carry no meaning of their own; empty when the language is unknown."""
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


@cache
def _function_words(language: str) -> frozenset[str]:
    # Words that another language has, too, would not tell the two apart.
    others = frozenset[str]().union(*(stop_words(other) for other in _LANGUAGES if other != language))
    return frozenset(word for word in stop_words(language) - others if len(word) < 8)


@cache
def _segmenter(language: str):  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        # Its source has escapes that newer Pythons warn of when they compile it.
        warnings.simplefilter("ignore")
        import pysbd
        from pysbd.languages import LANGUAGE_CODES
    return pysbd.Segmenter(language=language if language in LANGUAGE_CODES else "en", clean=False)


def _pieces(text: str) -> list[str]:
    """A long passage cut where sentences seem to end: the segmenter's time grows with the square."""
    pieces: list[str] = []
    while len(text) > _PIECE:
        ends = [match.end() for match in re.finditer(r"[.!?]\s+", text[:_PIECE])]
        cut = ends[-1] if ends else _PIECE
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]


def _plain(line: str) -> str:
    if re.match(r"^\s*\|.*\|\s*$", line) or re.match(r"^\s*([-=*_]\s*){3,}$", line):
        return ""
    line = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", line)
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"<[^>\n]{1,200}>", "", line)
    line = re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?", "", line)
    line = re.sub(r"^\s*>+\s?", "", line)
    return re.sub(r"(\*\*|__|`|~~)", "", line).strip()
