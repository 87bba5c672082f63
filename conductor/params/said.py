"""What few parameters ask for and people say in few ways: the least size, a delimiter, an element, a headline."""

from __future__ import annotations

import re

from conductor.params.numbers import NUMBER_WORDS

_N = r"(?P<n>\d{1,6}|" + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)) + r")"
_LEAST = (
    r"(?:at least|minimum(?: of)?|min\.?|mind\.|mindestens|ab|from|au moins|minimum de|al menos|mínimo(?: de)?|"
    r"como mínimo)"
)
_LINES = r"(?:lines?|zeilen?|lignes?|líneas?|lineas?)"
_LINES_AT_LEAST = (
    re.compile(rf"\b{_LEAST}\s+{_N}\s+{_LINES}\b", re.IGNORECASE),
    re.compile(
        rf"\b{_N}\s+{_LINES}\s+(?:or more|and more|and up|aufwärts|oder mehr|ou plus|o más|y más)\b", re.IGNORECASE
    ),
    re.compile(rf"\b{_N}\+\s+{_LINES}\b", re.IGNORECASE),
)  # fmt: skip
_LINES_OVER = re.compile(
    rf"\b(?:longer than|more than|over|exceeding|länger als|mehr als|über|plus de|plus longs? que|más de|"
    rf"más larg\w+ que)\s+{_N}\s+{_LINES}\b",
    re.IGNORECASE,
)
_DELIMITERS = {
    ";": re.compile(
        r"\b(?:semi-?colons?|semikolons?|strichpunkte?n?|points?-virgules?|puntos? y coma)\b", re.IGNORECASE),
    "\t": re.compile(
        r"\b(?:tabs?|tabulator\w*|tabulation\w*|tabulador\w*)[- ](?:separated|delimited|getrennt\w*)|"
        r"\b(?:separated|delimited|split|getrennt|séparée?s?|separad[oa]s?)\s+(?:by|with|durch|mit|par|por|con)\s+(?:a\s+)?"
        r"(?:tabs?|tabulator\w*|tabulation\w*|tabulador\w*)\b", re.IGNORECASE),
    "|": re.compile(
        r"\bpipes?[- ](?:separated|delimited|getrennt\w*)|"
        r"\b(?:separated|delimited|getrennt|séparée?s?|separad[oa]s?)\s+"
        r"(?:by|with|durch|mit|par|por|con)\s+(?:a\s+)?pipes?\b", re.IGNORECASE),
}  # fmt: skip
_ELEMENT = re.compile(
    r"<(?P<a>[A-Za-z_][\w.-]{0,60})>\s*-?\s*(?:elements?|nodes?|tags?|entries|elementen?|knoten|éléments?|balises?|"
    r"elementos?)\b|"
    r"\b(?:elements?|nodes?|tags?|elementen?|knoten|éléments?|balises?|elementos?)\s+<(?P<b>[A-Za-z_][\w.-]{0,60})>",
    re.IGNORECASE,
)
_HEADLINE = re.compile(
    r"\b(?:title|headline|heading|titel|überschrift|titre|título)\s*(?::|=|\b(?:should be|shall be|is|be|soll sein|sei|"
    r"lautet|sera|est|será|sea|debe ser))\s*(?P<t>[^\W_][^,;.?!\n]{0,80})",
    re.IGNORECASE,
)


def least_lines(text: str) -> int | None:
    """The least number of lines that something shall have: `at least 12 lines`, `ab 20 Zeilen`, `over 30 lines`."""
    for pattern in _LINES_AT_LEAST:
        if (match := pattern.search(text)) is not None:
            return _number(match["n"])
    over = _LINES_OVER.search(text)
    return _number(over["n"]) + 1 if over is not None else None


def delimiter(text: str) -> str | None:
    """The character that shall stand between fields: `separated by semicolons`."""
    return next((character for character, said in _DELIMITERS.items() if said.search(text)), None)


def element(text: str) -> str | None:
    """The name of XML elements: `<class> elements`."""
    match = _ELEMENT.search(text)
    return (match["a"] or match["b"]) if match is not None else None


def headline(text: str) -> str | None:
    """A headline that is said without quotes: `title should be Revenue H1`."""
    match = _HEADLINE.search(text)
    return match["t"].strip() if match is not None else None


def _number(said: str) -> int:
    return int(said) if said.isdigit() else NUMBER_WORDS[said.lower()]
