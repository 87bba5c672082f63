"""Words and numbers as people read them: titles of columns, cells, shares."""

from __future__ import annotations

import re

from columns import moment

_CODE = {
    "file",
    "path",
    "function",
    "worst_function",
    "former",
    "short",
    "commit",
    "hash",
    "module",
    "rule",
    "name",
}
_CELL = 120
"""Characters of a cell: a longer text breaks the table's shape."""


def title(column: str) -> str:
    """`last_change` as `Last change`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def number(value: float, column: str = "") -> str:
    """`1234567` as `1,234,567`; bytes in binary units; fractions with as many digits as they need."""
    if column == "bytes" or column.endswith("_bytes"):
        return _size(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def percent(part: float, whole: float) -> str:
    """`12 %`, and `< 1 %` for what would round to nothing."""
    share = 100 * part / whole if whole else 0.0
    return "< 1 %" if 0 < share < 0.5 else f"{share:.0f} %"


def cell(value: object, column: str) -> str:
    """A value as the content of a Markdown table's cell."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value) if column in ("line", "column", "year", "port", "id") else number(value, column)
    if isinstance(value, list):
        return escape(", ".join(str(v) for v in value))
    text = str(value)
    if len(text) >= 16 and text[4:5] == "-" and (when := moment(text)) is not None:
        return f"{when:%Y-%m-%d %H:%M}"
    if column in _CODE and "`" not in text and "\n" not in text:
        return f"`{shortened(text, _CELL).replace('|', chr(92) + '|')}`"
    return escape(text)


def escape(text: str) -> str:
    """Text that stays text in Markdown: in one line, without markup of its own."""
    line = shortened(" ".join(text.split()), _CELL)
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", line)


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and end around an ellipsis; of a path its end says more."""
    if len(text) <= length:
        return text
    if "/" in text and " " not in text:
        tail = text[-(length - 1) :]
        return "…" + (tail[tail.index("/") :] if "/" in tail else tail)
    return text[: length - 1].rstrip() + "…"


def _size(value: float) -> str:
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
