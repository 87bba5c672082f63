"""Reads JSON and JSON lines that a measurement is given, and says what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from symphony.errors import BadInput


def read_lines(file: Path, *needed: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, each with the keys `needed`. Raises BadInput."""
    found = []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
        except ValueError as error:
            raise BadInput(
                f"{file}:{number} is no JSON ({error})", remedy="give one object a line"
            ) from error
        lacking = [k for k in needed if not isinstance(one, dict) or k not in one]
        if lacking:
            raise BadInput(f"{file}:{number} lacks {', '.join(lacking)}", remedy="see docs/conductor.md")
        found.append(one)
    return found


def read_json(file: Path) -> Any:
    """The JSON document of a file. Raises BadInput."""
    try:
        return json.loads(_text(file))
    except ValueError as error:
        raise BadInput(f"{file} is no JSON ({error})", remedy="see docs/conductor.md") from error


def write_lines(file: Path, lines: list[dict[str, Any]]) -> None:
    """One JSON object a line. Raises OSError."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    file.write_text(text, encoding="utf-8")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read ({error})", remedy="check the path") from error
