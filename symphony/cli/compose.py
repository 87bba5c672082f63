"""`symphony compose`: the Melody for a prompt, explained, without playing it. Needs no running host."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from symphony.cli.asking import ask, can_ask
from symphony.cli.output import Mode, common, print_json
from symphony.cli.preview import show_composition
from symphony.cli.refusal import refusal


@click.command()
@click.argument("prompt")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to work on (default: this one).",
)
@click.option(
    "--revise",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="A file with a Melody: change it as PROMPT says instead of composing a new one.",
)
@common
def compose(mode: Mode, prompt: str, project: Path | None, revise: Path | None) -> None:
    """Compose a Melody for PROMPT and explain each choice."""
    from symphony.app.offline import compose_offline

    answer = compose_offline(prompt, project or Path.cwd(), revise, ask if can_ask(mode) else None)
    if not answer["possible"]:
        if mode.json:
            print_json({k: answer[k] for k in ("possible", "missing", "extensions")})
            sys.exit(1)
        raise refusal(answer)
    mode.show(answer, lambda: show_composition(answer))
