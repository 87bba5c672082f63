"""Values as text of the prompt, brought to the type that a parameter wants."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_YES = frozenset(("yes", "true", "on", "enabled", "with", "include", "included"))
_NO = frozenset(("no", "false", "off", "disabled", "without", "not"))


def number_of(text: str) -> float | int | None:
    """The only number of a text: whole ones as int, thousands with commas; None without just one."""
    found = _NUMBER.findall(text)
    if len(found) != 1:
        return None
    plain = found[0].replace(",", "")
    return float(plain) if "." in plain else int(plain)


def same_value(text: str, value: Any) -> bool:
    """Whether a text stands for a number."""
    found = number_of(text)
    try:
        return found is not None and float(found) == float(value)
    except (TypeError, ValueError):
        return False


_SENTENCE_ENDS = re.compile(r"[.!?]\s+[A-Z]")
_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)|[\"`“”]")
_SERIES = re.compile(
    r"^(?P<items>(?:[^\s,.]+(?: [^\s,.]+){0,3}, )*[^\s,.]+(?: [^\s,.]+){0,3}), and (?P<last>[^,.]+)$"
)
_STOP_AFTER_QUOTE = re.compile(r"(?<=[\"'`“”‘’])\.$")


def is_one_piece(text: str) -> bool:
    """Whether a span neither runs over the end of a sentence nor over one quote of a pair.

    Whole quotes may lie in it or around it; an apostrophe is none.
    """
    inner = text.strip().strip("\"'`“”‘’")
    return len(_QUOTE.findall(inner)) % 2 == 0 and _SENTENCE_ENDS.search(inner) is None


def typed_value(text: str, kind: str, name: str, description: str) -> Any:
    """A span of the prompt as a value of type `str`, `int`, `float` or `bool`; None when it is none.

    Text loses the quotes around it and the marks after it; a full stop within quotes is its own. A date in
    words becomes `YYYY-MM-DD` where name or description speak of a date and of that form or of none. A series
    of short things, `a, b, and c`, becomes `a, b, c`.
    """
    plain = _STOP_AFTER_QUOTE.sub("", " ".join(text.split())).strip("\"'`“”‘’ ").rstrip(",;:\"'`“”‘’ ")
    if not plain:
        return None
    if kind in ("int", "float"):
        number = number_of(plain)
        if number is None:
            return None
        return float(number) if kind == "float" else (int(number) if number == int(number) else None)
    if kind == "bool":
        word = plain.lower()
        return True if word in _YES else False if word in _NO else None
    if "date" in f"{name} {description}".lower():
        return _written_date(plain) or plain
    return _SERIES.sub(r"\g<items>, \g<last>", plain)


def _written_date(text: str) -> str | None:
    """A date with day, month in words and year as `YYYY-MM-DD`; None for all else."""
    if not re.search(r"[A-Za-z]{3,}", text) or not re.search(r"\b\d{4}\b", text):
        return None
    # Imported here: 50 ms that only a date in words is worth.
    import dateparser

    found = dateparser.parse(
        text, languages=["en"], settings={"REQUIRE_PARTS": ["day", "month", "year"], "DATE_ORDER": "MDY"}
    )
    return found.date().isoformat() if found is not None else None
