"""`symphony doctor`: the health of every part."""

from __future__ import annotations

import sys

import click

from symphony.cli.output import Mode, common, say
from symphony.config.home import Home

MARKS = {
    "ok": ("✓", "green"),
    "degraded": ("!", "yellow"),
    "absent": ("–", "bright_black"),
    "failed": ("✗", "red"),
}


@click.command()
@common
def doctor(mode: Mode) -> None:
    """Every component's health, every sandbox layer, and what to do about what is missing."""
    from symphony.app.doctor import diagnose

    answer = diagnose(Home.resolve())

    def text() -> None:
        width = max(len(c["name"]) for c in answer["components"])
        for c in answer["components"]:
            mark, colour = MARKS[c["status"]]
            line = f"{click.style(mark, fg=colour)} {c['name']:<{width}}  {c['detail']}"
            say(line.rstrip() + (f"; {c['remedy']}" if c["remedy"] and c["status"] != "ok" else ""))
        say("Symphony is healthy." if answer["healthy"] else "Symphony cannot play as it is.")

    mode.show(answer, text)
    sys.exit(0 if answer["healthy"] else 3)
