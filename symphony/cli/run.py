"""`symphony run`: a prompt becomes a Melody and is played."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from symphony.cli.asking import ask, can_ask
from symphony.cli.connection import host
from symphony.cli.output import Mode, common, note
from symphony.cli.playing import play
from symphony.cli.preview import show_composition
from symphony.cli.refusal import refusal
from symphony.errors import Cancelled


@click.command()
@click.argument("prompt")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to work on (default: this one).",
)
@common
def run(mode: Mode, prompt: str, project: Path | None) -> None:
    """Compose a Melody for PROMPT, show it, and play it."""
    sys.exit(asyncio.run(_run(mode, prompt, project or Path.cwd())))


async def _run(mode: Mode, prompt: str, project: Path) -> int:
    from symphony.app.project import resolve_project

    place = resolve_project(project)
    async with host() as port:
        answer = await port.submit_prompt(prompt, str(place))
        question = answer.get("question")
        if question is not None and can_ask(mode):
            answer = await port.submit_prompt(prompt, str(place), {question["name"]: ask(question)})
        if not answer["possible"]:
            raise refusal(answer)
        if not mode.json:
            show_composition(answer, to_stderr=True)
            if not mode.yes and sys.stdin.isatty() and not click.confirm("Play it?", default=True, err=True):
                raise Cancelled("Nothing was played")
            note("")
        return await play(port, mode, answer["draft"], project=place, prompt=prompt)
