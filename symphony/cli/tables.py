"""Plain tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from symphony.cli.output import plain, say


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> None:
    """Prints rows under their columns on standard output; `empty` when there are none."""
    if not rows:
        if empty:
            say(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    shown = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for index, column in enumerate(columns):
        shown.add_column(
            column,
            overflow="fold" if index == len(columns) - 1 else "ellipsis",
            no_wrap=index < len(columns) - 1,
        )
    for row in rows:
        shown.add_row(*(Text(plain(str(cell))) for cell in row))
    if not console.is_terminal:
        console.width = 200
    console.print(shown)
