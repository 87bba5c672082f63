"""Lays out a Markdown report: headline, findings, pictures, tables, texts."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import findings
import wording
from columns import Row, Table, understand

_COLUMNS = 8
_HIDDEN = {"hash", "email", "body", "help", "root"}
"""Columns that a reader of a report does not miss; the table's own artifact has them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data address, so that the report is one file."""

    address: str
    text: str


def parts_of(sections: Iterable[object]) -> list[Table | Picture | str]:
    """The parts of a report from what its edges brought: rows that follow each other make one table."""
    parts: list[Table | Picture | str] = []
    rows: list[Row] = []

    def close() -> None:
        if rows:
            parts.append(understand(list(rows)))
            rows.clear()

    for item in _flat(sections):
        if isinstance(item, dict):
            if rows and not _same_kind(rows[-1], item):
                close()
            rows.append(item)
            continue
        close()
        if isinstance(item, bytes):
            parts.append(_bitmap(item))
        elif isinstance(item, str) and _is_svg(item):
            parts.append(_drawing(item))
        elif item is not None and str(item).strip():
            parts.append(_text(item))
    close()
    return parts


def report(parts: Sequence[Table | Picture | str], title: str, introduction: str, limit: int) -> str:
    """The whole document. It opens with what was found; pictures stand before the tables that they show."""
    tables = [part for part in parts if isinstance(part, Table)]
    pictures = [part for part in parts if isinstance(part, Picture)]
    blocks = [f"# {wording.escape(title) if title.strip() else _title(tables)}"]
    if introduction:
        blocks.append(introduction.strip())
    found = [sentence for table in tables for sentence in findings.of(table)]
    if found:
        blocks.append("## Findings\n\n" + "\n".join(f"- {sentence}" for sentence in found[:8]))
    pending = [f"![{picture.text}]({picture.address})" for picture in pictures]
    for part in parts:
        if isinstance(part, Picture):
            continue
        if isinstance(part, Table):
            blocks += pending
            pending = []
            blocks.append(f"## {findings.heading(part)}\n\n{table(part, limit=limit)}")
        else:
            blocks.append(_demoted(part))
    blocks += pending
    if not parts:
        blocks.append("Nothing was found.")
    return "\n\n".join(blocks) + "\n"


def table(content: Table, *, columns: Sequence[str] | None = None, limit: int) -> str:
    """A Markdown table, numbers to the right, and how many rows were left out."""
    if not content.rows:
        return "Nothing was found."
    names = list(columns) if columns else _worth_showing(content)
    lines = [
        "| " + " | ".join(wording.escape(wording.title(name)) for name in names) + " |",
        "| " + " | ".join("---:" if name in content.numbers else "---" for name in names) + " |",
    ]
    for row in content.rows[:limit]:
        lines.append("| " + " | ".join(wording.cell(row.get(name), name) for name in names) + " |")
    left_out = len(content.rows) - limit
    if left_out > 0:
        lines.append(
            f"\n*{wording.number(left_out)} more of {wording.number(len(content.rows))} rows are not shown.*"
        )
    return "\n".join(lines)


def csv_text(rows: Sequence[Row], columns: Sequence[str] | None, delimiter: str) -> str:
    """CSV with a header. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    names = list(columns) if columns else understand(rows).columns
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in names])
    return out.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and len(value) > 1:
        return "'" + value
    return "" if value is None else value


def _worth_showing(content: Table) -> list[str]:
    """Columns for a reader: the naming and the ranking one first, nothing empty, at most eight."""
    names = []
    for name in content.columns:
        values = {str(row.get(name)) for row in content.rows}
        is_empty = values <= {"None", ""}
        is_constant_flag = len(values) == 1 and values <= {"True", "False"} and len(content.rows) > 1
        if not (is_empty or is_constant_flag or name in _HIDDEN):
            names.append(name)
    first = [name for name in (content.label, content.value) if name in names]
    ordered = [str(name) for name in dict.fromkeys(first)] + [name for name in names if name not in first]
    return ordered[:_COLUMNS] or content.columns[:_COLUMNS]


def _title(tables: Sequence[Table]) -> str:
    return findings.heading(tables[0]) if tables else "Report"


def _flat(items: Iterable[object]) -> Iterable[object]:
    for item in items:
        if isinstance(item, list | tuple):
            yield from _flat(item)
        else:
            yield item


def _same_kind(one: Row, other: Row) -> bool:
    """Whether two rows belong to one table: at least half of their columns are the same."""
    shared = len(one.keys() & other.keys())
    return shared * 2 >= len(one.keys() | other.keys())


def _is_svg(text: str) -> bool:
    return bool(
        re.match(r"\s*(<\?xml[^>]*>\s*)?(<!DOCTYPE[^>]*>\s*)?(<!--.*?-->\s*)*<svg[\s>]", text, re.DOTALL)
    )


def _drawing(svg: str) -> Picture:
    found = re.search(r"<title[^>]*>(.*?)</title>", svg, re.DOTALL)
    text = html.unescape(found[1]).strip() if found else "Chart"
    encoded = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return Picture(f"data:image/svg+xml;base64,{encoded}", wording.escape(text))


def _bitmap(content: bytes) -> Picture:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg" if content.startswith(b"\xff\xd8") else ""
    if not kind:
        return Picture(
            "data:application/octet-stream;base64," + base64.b64encode(content).decode("ascii"), "Data"
        )
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return Picture(address, wording.escape(_title_of(content)))


def _title_of(bitmap: bytes) -> str:
    """The title that a PNG carries, as those of `chart` do."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(bitmap)) as opened:
            return str(opened.info.get("Title") or "Picture")
    except (OSError, ValueError, SyntaxError):
        return "Picture"


def _text(item: object) -> str:
    if isinstance(item, bool):
        return "Yes." if item else "No."
    if isinstance(item, int | float):
        return f"**{wording.number(item)}**"
    text = str(item).strip()
    if re.match(r"(diff --git |--- \S)", text):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
        return f"{fence}diff\n{text}\n{fence}"
    return text


def _demoted(text: str) -> str:
    """The text with its headings one level lower: the report has the only first-level one."""
    lines, in_code = [], False
    for line in text.splitlines():
        if re.match(r"\s{0,3}(```|~~~)", line):
            in_code = not in_code
        lines.append(f"#{line}" if not in_code and re.match(r"#{1,5}\s", line) else line)
    return "\n".join(lines)
