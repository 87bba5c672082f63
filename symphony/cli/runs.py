"""`symphony runs`: the history of what was played."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import click

from symphony.cli.connection import ask, host
from symphony.cli.output import Mode, common, describe, say
from symphony.cli.playing import play
from symphony.cli.tables import table


@click.group()
def runs() -> None:
    """What was played: list, show, cancel, resume, rate."""


@runs.command("list")
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@common
def list_runs(mode: Mode, limit: int) -> None:
    """The newest runs first."""
    answer = ask(lambda port: port.list_runs(limit))

    def text() -> None:
        rows = [
            (r["id"][:8], r["status"], r["name"], f"{r['seconds']:.1f} s", _when(r["created"]), r["project"])
            for r in answer["runs"]
        ]
        table(
            ("run", "state", "melody", "took", "when", "project"),
            rows,
            empty='Nothing has been played yet; try `symphony run "…"`.',
        )

    mode.show(answer, text)


@runs.command()
@click.argument("run")
@common
def show(mode: Mode, run: str) -> None:
    """The nodes and results of RUN."""
    answer = ask(lambda port: port.get_run(run))

    def text() -> None:
        info = answer["run"]
        say(f"{info['id']}  {info['name']}  {info['status']}  {info['seconds']:.2f} s")
        if info["error"]:
            say(f"  {describe(info['error'])}")
        rows = [
            (
                n["id"],
                n["player"],
                n["status"],
                _took(n),
                n.get("waits_for") or ("cached" if n["cached"] else n["ran_because"]),
                describe(n["error"]) if n["error"] else "",
            )
            for n in info["nodes"]
        ]
        table(("node", "player", "state", "took", "why", "error"), rows)
        made = [(a["id"][:19], a["name"], a["type"], str(a["bytes"])) for a in answer["artifacts"]]
        if made:
            say()
            table(("artifact", "name", "type", "bytes"), made)

    mode.show({"melody": answer["melody"], "run": answer["run"], "artifacts": answer["artifacts"]}, text)


@runs.command()
@click.argument("run")
@common
def cancel(mode: Mode, run: str) -> None:
    """Stop RUN in order; what is finished is kept."""
    answer = ask(lambda port: port.cancel_run(run))
    mode.show(answer, lambda: say(f"cancelled {answer['run']}"))


@runs.command()
@click.argument("run")
@common
def resume(mode: Mode, run: str) -> None:
    """Go on with RUN; finished nodes are not played again."""

    async def whole() -> int:
        async with host() as port:
            return await play(port, mode, "", project=None, resume=run)

    sys.exit(asyncio.run(whole()))


@runs.command()
@click.argument("run")
@click.argument("rating", type=click.Choice(["good", "bad", "none"]))
@common
def rate(mode: Mode, run: str, rating: str) -> None:
    """Say of RUN that it was good or bad; the Conductor learns from it. `none` takes it back."""
    answer = ask(lambda port: port.rate_run(run, rating))
    mode.show(answer, lambda: say(f"{answer['run'][:8]} is rated {answer['rating']}"))


def _when(created: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))


def _took(node: dict[str, Any]) -> str:
    if node.get("started") is None or node.get("ended") is None:
        return ""
    return f"{node['ended'] - node['started']:.2f} s"
