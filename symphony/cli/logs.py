"""`symphony logs`: the structured log."""

from __future__ import annotations

import time
from typing import Any

import click

from symphony.cli.output import Mode, common, print_json, say
from symphony.config.home import Home


@click.command()
@click.option("--follow", is_flag=True, help="Go on with what comes.")
@click.option("--component", default=None, help="Only this component.")
@click.option("--run", default=None, help="Only this run.")
@click.option("--level", default=None, help="Only this level and above.")
@click.option("--limit", default=200, show_default=True)
@common
def logs(
    mode: Mode, follow: bool, component: str | None, run: str | None, level: str | None, limit: int
) -> None:
    """The log of every process of the host, oldest first."""
    from symphony.telemetry import read_logs

    entries = read_logs(Home.resolve(), component=component, run=run, level=level, limit=limit, follow=follow)
    if mode.json and not follow:
        print_json({"logs": list(entries)})
        return
    for entry in entries:
        if mode.json:
            print_json(entry)
        else:
            say(_line(entry))


def _line(entry: dict[str, Any]) -> str:
    when = entry.get("time", 0)
    stamp = time.strftime("%H:%M:%S", time.localtime(when)) if isinstance(when, int | float) else str(when)
    place = " ".join(str(entry[k])[:12] for k in ("run", "node") if entry.get(k))
    head = f"{stamp} {entry.get('level', ''):<7} {entry.get('component', ''):<16}"
    return f"{head} {place} {entry.get('message', '')}".rstrip()
