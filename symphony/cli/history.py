"""`symphony history`, `symphony undo` and `symphony redo`: what was done, and taking it back."""

from __future__ import annotations

import time
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, say
from symphony.cli.tables import table


@click.command()
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@common
def history(mode: Mode, limit: int) -> None:
    """What you did, and Symphony for you, the newest first."""
    answer = ask(lambda port: port.list_actions(limit))

    def text() -> None:
        rows = [(str(a["id"]), _when(a["at"]), a["by"], _result(a), a["said"]) for a in answer["actions"]]
        table(("action", "when", "by", "result", "what"), rows, empty="Nothing has been done yet.")

    mode.show(answer, text)


@click.command()
@click.argument("action", type=int, required=False)
@common
def undo(mode: Mode, action: int | None) -> None:
    """Take ACTION back, the newest that can be when none is named."""
    answer = ask(lambda port: port.undo_action(action))
    mode.show(answer, lambda: say(f"Undid: {answer['said']}"))


@click.command()
@click.argument("action", type=int, required=False)
@common
def redo(mode: Mode, action: int | None) -> None:
    """Do ACTION again, the one that was undone last when none is named."""
    answer = ask(lambda port: port.redo_action(action))
    mode.show(answer, lambda: say(f"Did again: {answer['said']}"))


def _result(action: dict[str, Any]) -> str:
    if action["error"]:
        return "failed"
    return "undone" if action["undone"] else action["status"] or "done"


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
