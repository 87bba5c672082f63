"""`symphony learning`: what is kept of runs, what was learnt from it and why, one step back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, note, say
from symphony.cli.tables import table
from symphony.errors import BadInput

CURVES = ("policy_loss", "value_loss", "kl_divergence", "return")


@click.group(invoke_without_command=True)
@common
@click.pass_context
def learning(ctx: click.Context, mode: Mode) -> None:
    """What the Conductor learns from your runs: show (also without a command), export, forget, train, rollback."""
    if ctx.invoked_subcommand is None:
        _show(mode, 10)


@learning.command()
@click.option("--limit", default=10, show_default=True, help="At most so many runs.")
@click.option("--run", help="One run alone: its decisions, its outcome, its rating.")
@common
def show(mode: Mode, limit: int, run: str | None) -> None:
    """Which policy decides, the learning curves, what was promoted and why, and what is kept of runs."""
    if run is None:
        _show(mode, limit)
        return
    kept = ask(lambda port: port.learning_of_run(run))
    mode.show(kept, lambda: _one(kept))


def _show(mode: Mode, limit: int) -> None:
    answer = ask(lambda port: port.learning(limit))
    mode.show(answer, lambda: _tell(answer))


def _tell(answer: dict[str, Any]) -> None:
    policy, replay, learner = answer["policy"], answer["replay"], answer["learner"]
    say(f"{policy['version'] or policy['deciding']} decides ({policy['deciding']})")
    if policy["trouble"]:
        say(f"  {policy['trouble']}")
    logged = "" if answer["logging"] else "; nothing new is kept (conductor.learning.log is false)"
    say(
        f"{replay['decisions']:,} of {replay['capacity']:,} decisions of {replay['runs']:,} runs are kept, "
        f"{replay['ended']:,} ended, {replay['labelled']:,} were rated or corrected{logged}"
    )
    about = "; ".join(part for part in (learner["detail"], learner["remedy"]) if part)
    say(f"the learner: {learner['state']}{f' ({about})' if about else ''}")
    for lesson in answer["lessons"][:3]:
        say()
        word = "promoted" if lesson["promoted"] else "not promoted"
        say(f"{_when(lesson['at'])}  {lesson['version'] or 'a lesson'}  {word}: {lesson['reason']}")
        rows = [
            (str(row.get("step", n)), *(_number(row.get(c)) for c in CURVES))
            for n, row in _some(lesson["curve"])
        ]
        if rows:
            table(("step", *CURVES), rows)
    if answer["events"]:
        say()
        rows = [(_when(e["at"]), e["kind"], e["version"], e["reason"]) for e in answer["events"][:10]]
        table(("when", "what", "policy", "why"), rows)
    if answer["runs"]:
        say()
        rows = [
            (r["run"][:8], r["status"], _number(r["reward"]), _rated(r), r["prompt"][:60])
            for r in answer["runs"]
        ]
        table(("run", "state", "reward", "you said", "prompt"), rows)


def _one(answer: dict[str, Any]) -> None:
    kept = answer["kept"]
    if kept is None:
        say(f"Nothing is kept of the run {answer['run']}.")
        return
    say(f"{kept['prompt']}  {kept['status']}  reward {_number(kept['reward'])}  {_rated(kept)}")
    rows = [
        (d["action"], f"{d['probability']:.3f}", str(len(d["allowed"])), str(len(d["candidates"]) + 1))
        for d in kept["decisions"]
    ]
    table(("chosen", "probability", "allowed", "of"), rows, empty="Nothing was to be decided.")
    say(f"policy {kept['policy']}, encoder {kept['encoder'] or 'none'}")


def _some(curve: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """At most eight rows of a curve, the last among them."""
    every = max(1, -(-len(curve) // 8))
    return [(n, row) for n, row in enumerate(curve, 1) if n % every == 0 or n == len(curve)]


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}"


def _rated(row: dict[str, Any]) -> str:
    words = {1: "good", -1: "bad"}
    return (
        "taken back" if row["undone"] else words.get(row["rating"], "corrected" if row["corrected"] else "")
    )


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


@learning.command()
@click.option("--out", type=click.Path(path_type=Path), help="A file; standard output without it.")
@common
def export(mode: Mode, out: Path | None) -> None:
    """Everything that is kept of your runs, one JSON object a line; arrays are 16-bit numbers in base64."""
    answer = ask(lambda port: port.export_learning())
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in answer["runs"])
    if out is None:
        mode.show(answer, lambda: say(lines, nl=False))
        return
    try:
        out.write_text(lines, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}", remedy="name another file") from None
    done = {"runs": len(answer["runs"]), "file": str(out)}
    mode.show(done, lambda: say(f"wrote {done['runs']} runs to {out}"))


@learning.command()
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="Everything that is kept.")
@common
def forget(mode: Mode, run: str | None, everything: bool) -> None:
    """Drop what is kept of RUN, or of all runs. What a policy has learnt from it goes with `rollback`."""
    if (run is None) != everything:
        raise BadInput("Name a run or give --all", remedy="such as `symphony learning forget --all`")
    if everything and not mode.yes:
        click.confirm("Forget everything that is kept of your runs?", abort=True, err=True)
    answer = ask(lambda port: port.forget_learning(run))
    mode.show(answer, lambda: say(f"forgot {answer['forgotten']} runs"))


@learning.command()
@click.option("--reason", default="", help="Why, for the record.")
@common
def rollback(mode: Mode, reason: str) -> None:
    """Let the policy decide that did before; the one that decides now is never offered again."""
    answer = ask(lambda port: port.rollback_policy(reason))
    mode.show(answer, lambda: say(f"{answer['current']} decides"))


@learning.command()
@common
def train(mode: Mode) -> None:
    """Learn from what is kept, now. The result decides only when it loses nothing on 4,000 levels."""
    note("learning; the levels of the gate take some minutes")
    answer = ask(lambda port: port.train_policy())
    word = "promoted" if answer["promoted"] else "not promoted"
    mode.show(answer, lambda: say(f"{answer['version']} {word}: {answer['reason']}"))
