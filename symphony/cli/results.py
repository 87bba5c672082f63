"""Shows in a terminal what a run made: the first rows of a table, the first lines of a text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from symphony.cli.artifacts import for_terminal
from symphony.cli.narrow import narrowed
from symphony.cli.output import plain
from symphony.cli.tables import table
from symphony.errors import BadInput, SymphonyError
from symphony.ports.host import HostPort
from symphony.types.port_types import element_type
from symphony.types.quantities import readable_size

Json = dict[str, Any]

SHOWN = 5
"""Results of one run that are shown; the others are named."""
ROWS, COLUMNS, CELL = 10, 6, 48
"""Rows and columns of a table, and characters of a cell."""
LINES = 24
"""Lines of a text."""
READ = 2 << 20
"""Bytes: of something larger only the name is told."""


async def show_results(port: HostPort, artifacts: Sequence[Json]) -> None:
    """Prints the name of each, and the beginning of the first few where a person looks on."""
    shown = 0
    for artifact in artifacts:
        _head(artifact)
        if not sys.stdout.isatty() or shown >= SHOWN or not 0 < artifact["bytes"] <= READ:
            continue
        try:
            _, content = await port.get_artifact(artifact["id"], READ)
        except SymphonyError:
            continue  # a tier that cannot be reached now; the name is told
        shown += _begin(artifact, content)


def _head(artifact: Json) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    size = readable_size(artifact["bytes"]) if artifact["bytes"] else "empty"
    name = plain(artifact["name"])
    if not console.is_terminal:
        console.print(Text(f"{artifact['id']}  {name}  {artifact['type']}  {size}"))
        return
    console.print(Text(name, style="bold"), Text(f"{artifact['type']}  {size}", style="dim"))


def _begin(artifact: Json, content: bytes) -> bool:
    """Prints the beginning; whether there was something to see."""
    try:
        text = for_terminal(artifact, content).decode()
    except BadInput:
        return False  # a picture, or other bytes that are no text
    if element_type(artifact["type"]) is not None:
        return _rows(text)
    if artifact["type"] == "text/markdown":
        _markdown(text)
    else:
        _lines(artifact["type"], text)
    return True


def _rows(text: str) -> bool:
    from rich.console import Console

    try:
        rows = json.loads(text)
    except ValueError:
        return False
    console = Console(highlight=False)
    if not isinstance(rows, list) or not rows:
        console.print("It has no rows.", style="yellow")
        return False
    shown = rows[:ROWS]
    if all(isinstance(row, dict) for row in shown):
        columns = _columns(shown)
        table(columns, [[_cell(row.get(column)) for column in columns] for row in shown])
    else:
        table(("value",), [[_cell(row)] for row in shown])
    if len(rows) > ROWS:
        console.print(f"… and {len(rows) - ROWS} more rows", style="dim")
    return True


def _columns(rows: Sequence[Json]) -> list[str]:
    """Those with something in them; what is no number, no date and no short text comes last and may fall away."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    told = [n for n in names if any(row.get(n) not in (None, "", [], {}) for row in rows)]
    long = [n for n in told if max(len(_cell(row.get(n))) for row in rows) >= CELL]
    kept = set(([n for n in told if n not in long] + long)[:COLUMNS])
    return [n for n in told if n in kept]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(plain(text).split())
    return line if len(line) <= CELL else line[: CELL - 1] + "…"


def _markdown(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    lines = text.splitlines()
    console = Console(highlight=False)
    shown = narrowed([plain(line)[:2000] for line in lines[:LINES]], console.width)
    console.print(Markdown("\n".join(shown)))
    _more(console, lines)


def _lines(kind: str, text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    lines = text.splitlines()
    colours = {"+": "green", "-": "red", "@": "cyan"} if kind == "text/x-diff" else {}
    for line in lines[:LINES]:
        console.print(
            Text(plain(line)[: console.width], style=colours.get(line[:1], "")),
            no_wrap=True,
            overflow="ellipsis",
        )
    _more(console, lines)


def _more(console: Any, lines: Sequence[str]) -> None:
    if len(lines) > LINES:
        console.print(f"… and {len(lines) - LINES} more lines", style="dim")
