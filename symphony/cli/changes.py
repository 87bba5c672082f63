"""`symphony changes`: what programs changed in a private copy of the project, to be taken over or not."""

from __future__ import annotations

import time
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, note, say
from symphony.cli.tables import table
from symphony.errors import BadInput


@click.group()
def changes() -> None:
    """Changes that programs made in a private copy of the project: list, show, apply, undo."""


@changes.command("list")
@click.option("--run", help="Only those of this run.")
@common
def list_changes(mode: Mode, run: str | None) -> None:
    """The newest first."""
    answer = ask(lambda port: port.list_changes(run))

    def text() -> None:
        rows = [
            (
                c["id"],
                c["state"],
                counted(c["counts"]),
                c["program"],
                c["run"][:8],
                c["node"],
                time.strftime("%Y-%m-%d %H:%M", time.localtime(c["created"])),
            )
            for c in answer["changes"]
        ]
        table(
            ("changes", "state", "paths", "program", "run", "node", "when"),
            rows,
            empty="No program has changed a project.",
        )

    mode.show(answer, text)


@changes.command()
@click.argument("changes_id", metavar="CHANGES")
@common
def show(mode: Mode, changes_id: str) -> None:
    """The difference that CHANGES would make."""
    answer = ask(lambda port: port.get_changes(changes_id))

    def text() -> None:
        say(answer["diff"], nl=False)
        for refused in answer["refused"]:
            say(f"left out: {refused['path']}: {refused['reason']}", err=True)

    mode.show(answer, text)


@changes.command()
@click.argument("changes_id", metavar="[CHANGES]", required=False)
@click.option("--run", metavar="RUN", help="All that this run changed, one set after the other.")
@common
def apply(mode: Mode, changes_id: str | None, run: str | None) -> None:
    """Bring CHANGES into the project, all of them or none."""
    if (changes_id is None) == (run is None):
        raise BadInput("Nothing says what to apply", remedy="name either CHANGES or a run with --run")
    if run is not None:
        whole = ask(lambda port: port.apply_run_changes(run))
        mode.show(whole, lambda: _told(*whole["changes"]))
        return
    answer = ask(lambda port: port.apply_changes(str(changes_id)))
    mode.show(answer, lambda: _told(answer))


@changes.command()
@click.argument("changes_id", metavar="CHANGES")
@common
def undo(mode: Mode, changes_id: str) -> None:
    """Take back CHANGES that were applied."""
    answer = ask(lambda port: port.undo_changes(changes_id))
    mode.show(answer, lambda: _told(answer))


def _told(*answers: dict[str, Any]) -> None:
    for answer in answers:
        say(f"{answer['state']} {answer['id']}: {counted(answer['counts'])}")


def is_waiting(kept: dict[str, Any]) -> bool:
    """Whether changes wait for a word of the user's."""
    return kept["state"] == "open" and not kept["replaced"]


def waiting(kept: dict[str, Any]) -> None:
    """Tells that changes wait, and what to do with them."""
    note(
        f"{counted(kept['counts'])} in a private copy of the project: `symphony changes show {kept['id']}`,"
        f" then `symphony changes apply {kept['id']}`"
    )


def counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
