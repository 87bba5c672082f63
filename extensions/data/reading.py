"""Reads CSV, JSON and XML into rows."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

from values import Row, Rows, recognise

from symphony.sdk import PlayerFailure


def csv_rows(text: str, delimiter: str | None, header: bool) -> Rows:
    """Rows of CSV or TSV; the delimiter is found out when it is not given."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return []
    separator = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter) or _delimiter(text)
    if len(separator) != 1:
        raise PlayerFailure(
            f"{separator!r} is no delimiter", remedy="give one character, such as ; or ,", code="bad_input"
        )
    csv.field_size_limit(1 << 24)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if line]
    except csv.Error as error:
        raise PlayerFailure(
            f"The text is no CSV: {error}", remedy="check its quotes", code="bad_input"
        ) from error
    names = _columns(lines[0]) if header else [f"column_{i + 1}" for i in range(max(map(len, lines)))]
    rows: Rows = []
    for line in lines[1:] if header else lines:
        row: Row = {name: recognise(line[i]) if i < len(line) else None for i, name in enumerate(names)}
        row.update({f"column_{i + 1}": recognise(line[i]) for i in range(len(names), len(line))})
        rows.append(row)
    return rows


def json_rows(text: str, query: str | None) -> Rows:
    """Rows of JSON or JSON lines: a list's items, or a map's only list, or the map itself as one row."""
    value = _json(text)
    if query:
        import jmespath
        from jmespath.exceptions import JMESPathError

        try:
            value = jmespath.search(query, value)
        except JMESPathError as error:
            raise PlayerFailure(
                f"{query!r} is no JMESPath query: {error}",
                remedy="write for instance users[].name",
                code="bad_input",
            ) from error
    elif isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if value is None:
        return []
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        return [{"key": key, **item} for key, item in value.items()]
    items = value if isinstance(value, list) else [value]
    return [
        {str(k): v for k, v in item.items()} if isinstance(item, dict) else {"value": item} for item in items
    ]


def xml_rows(text: str, element: str | None) -> Rows:
    """One row for each element of a kind; attributes, children and text become columns.

    Entities and external documents are refused.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(text.removeprefix("\ufeff"))
    except ParseError as error:
        raise PlayerFailure(
            f"The text is no XML: {error}", remedy="check it at that place", code="bad_input"
        ) from error
    except DefusedXmlException as error:
        raise PlayerFailure(
            f"The XML declares entities or outside documents: {error}",
            remedy="remove the declaration",
            code="bad_input",
        ) from error
    name = element or _most_repeated(root)
    found = [item for item in root.iter() if _local(item.tag) == name] if name else [root]
    return [_element_row(item) for item in found]


def _json(text: str) -> Any:
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1:
            try:
                return [json.loads(line) for line in lines]
            except json.JSONDecodeError:
                pass
        raise PlayerFailure(
            f"The text is no JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            remedy="check it at that place",
            code="bad_input",
        ) from error
    except RecursionError:
        raise PlayerFailure("The JSON is nested too deeply", code="bad_input") from None


def _delimiter(text: str) -> str:
    sample = "\n".join(text.splitlines()[:50])
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:
        # One column, or lines that differ: the most frequent candidate of the first line.
        first = sample.partition("\n")[0]
        return max(",;\t|", key=first.count)


def _columns(names: list[str]) -> list[str]:
    """Names of the columns, each once: a second `name` becomes `name_2`."""
    seen: Counter[str] = Counter()
    columns = []
    for position, raw in enumerate(names, 1):
        name = raw.strip() or f"column_{position}"
        seen[name] += 1
        columns.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return columns


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _most_repeated(root: Any) -> str:
    counts = Counter(_local(item.tag) for item in root.iter() if item is not root)
    # Elements that have parts of their own are rows sooner than the cells in them.
    rich = Counter(
        _local(item.tag) for item in root.iter() if item is not root and (len(item) or item.attrib)
    )
    best = (rich or counts).most_common(1)
    return best[0][0] if best else ""


def _element_row(item: Any) -> Row:
    row: Row = {_local(key): recognise(value) for key, value in item.attrib.items()}
    for child in item:
        name = _local(child.tag)
        value: object = (
            recognise(child.text or "") if not len(child) and not child.attrib else _element_row(child)
        )
        if name in row:
            before = row[name]
            row[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            row[name] = value
    own = (item.text or "").strip()
    if own:
        row["text"] = recognise(own)
    return row
