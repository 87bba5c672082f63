"""Asks the one question that the Conductor has where two readings of a prompt are about as likely."""

from __future__ import annotations

import sys
from typing import Any

import click

from symphony.cli.output import Mode, say


def can_ask(mode: Mode) -> bool:
    """Whether somebody sits at the terminal who wants to be asked; else the likelier reading is taken and told."""
    return not mode.json and not mode.yes and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: dict[str, Any]) -> str:
    """Shows the choices by number; answers with the value of the one that was taken, the first by default."""
    say(question["text"], err=True)
    choices = question["choices"]
    for number, choice in enumerate(choices, start=1):
        say(f"  {number}  {choice['label']}", err=True)
    number = click.prompt(
        "Which", type=click.IntRange(1, len(choices)), default=1, err=True, show_default=True
    )
    return str(choices[number - 1]["value"])
