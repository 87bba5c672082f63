"""Which columns the tables of a project have: the first line of CSV files, the keys of the first JSON record."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

MOST_TABLES = 200
"""Files that are looked into; a project with more of them names the file it means."""
HEAD = 64 << 10
"""Bytes that are read of a CSV file or of JSON lines."""
MOST_JSON = 1 << 20
"""Bytes of a JSON file that is still read whole."""
MOST_COLUMNS = 500
_DELIMITED = (".csv", ".tsv")
_JSON = (".json", ".jsonl", ".ndjson")


def columns_of(project: Path, files: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Columns by path for the tables among `files`; what cannot be read, or is no table, is left out."""
    found: dict[str, tuple[str, ...]] = {}
    tables = [f for f in files if f.lower().endswith(_DELIMITED + _JSON)]
    for name in tables[:MOST_TABLES]:
        file = project / name
        try:
            status = file.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and (columns := _columns(file, status.st_mtime_ns, status.st_size)):
            found[name] = columns
    return found


@lru_cache(maxsize=2 * MOST_TABLES)
def _columns(file: Path, modified: int, size: int) -> tuple[str, ...]:
    """The columns of a file as it was `modified`, empty when it is no table."""
    is_whole = file.suffix.lower() == ".json"
    if is_whole and size > MOST_JSON:
        return ()
    try:
        text = _read(file, MOST_JSON if is_whole else HEAD).decode("utf-8-sig", "replace")
        names = _of_json(text, is_whole) if file.suffix.lower() in _JSON else _of_csv(text, file)
    except (OSError, ValueError, csv.Error, RecursionError):
        return ()
    return tuple(name.strip() for name in names if name.strip())[:MOST_COLUMNS]


def _read(file: Path, most: int) -> bytes:
    """The beginning of a plain file; neither a link nor a pipe that took its place is followed or waited for."""
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return b""
        return opened.read(most)


def _of_csv(text: str, file: Path) -> list[str]:
    first = text.partition("\n")[0].rstrip("\r")
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
    return next(csv.reader([first], delimiter=delimiter), [])


def _of_json(text: str, is_whole: bool) -> list[str]:
    document = json.loads(text if is_whole else text.partition("\n")[0])
    record = document[0] if isinstance(document, list) and document else document
    is_record = isinstance(record, dict) and (isinstance(document, list) or not is_whole)
    return [str(key) for key in record] if is_record else []
