"""`symphony play`: a saved Melody or a file, or a run that is to be resumed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from symphony.cli.connection import host
from symphony.cli.output import Mode, common
from symphony.cli.playing import play as play_melody
from symphony.errors import BadInput


@click.command()
@click.argument("file", required=False)
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to work on (default: this one).",
)
@click.option(
    "--resume", metavar="RUN", default=None, help="Go on with this run; finished nodes are not played again."
)
@common
def play(mode: Mode, file: str | None, project: Path | None, resume: str | None) -> None:
    """Play the Melody in FILE, or the saved one of that name."""
    if file is None and resume is None:
        raise BadInput("Nothing to play", remedy="name a Melody file, a saved Melody, or --resume RUN")
    from symphony.app.project import resolve_project

    melody = "" if file is None else _melody(file)
    place = resolve_project(project or Path.cwd()) if file is not None or project is not None else None
    sys.exit(asyncio.run(_play(mode, melody, place, resume)))


def _melody(file: str) -> str | dict[str, Any]:
    """A file's Melody as a document; anything that is no file is the name of a saved one."""
    from symphony.melody.formats import load

    path = Path(file)
    return load(path).to_document() if path.exists() or path.suffix else file


async def _play(mode: Mode, melody: str | dict[str, Any], place: Path | None, resume: str | None) -> int:
    async with host() as port:
        return await play_melody(port, mode, melody, project=place, resume=resume)
