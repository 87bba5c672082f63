"""`symphony quest`: play a level of Function Quest, measure who plays, train the policy."""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, note, say
from symphony.config.home import Home
from symphony.errors import BadInput, EnvironmentLacks, NotFound, SymphonyError

if TYPE_CHECKING:
    from conductor.quest.level import Level
    from conductor.quest.session import Score, Session
    from symphony.ports.host import HostPort


@click.group()
def quest() -> None:
    """Function Quest, the game on which the Conductor learns to compose."""


@quest.command("play")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="The level (default: any).")
@click.option(
    "--level", "file", type=click.Path(path_type=Path), help="A file of levels; the first is played."
)
@click.option("--melody", help="A saved Melody, a run or a Melody file as the level.")
@common
def play_level(mode: Mode, seed: int | None, file: Path | None, melody: str | None) -> None:
    """Play a level: add functions until every goal is made. Par is what A* makes of it."""
    from conductor.quest.generator import generate
    from conductor.quest.level import read_levels
    from conductor.quest.session import Session

    if sum(given is not None for given in (seed, file, melody)) > 1:
        raise BadInput("Give one of --seed, --level and --melody", remedy="such as --melody review-risk")
    if melody is not None:
        level = _levels_of([melody])[0]
    elif file is not None:
        try:
            levels = read_levels(file)
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} cannot be read ({error})", remedy="give a file of levels") from error
        if not levels:
            raise BadInput(f"{file} holds no level", remedy="give one level a line")
        level = levels[0]
    else:
        level = generate(seed if seed is not None else random.randrange(1_000_000))
    session = Session(level)
    _introduce(session)
    _play(session)
    score = session.score()
    mode.show(_document(session, score), lambda: _tell(score))
    sys.exit(0 if score.outcome.success else 1)


@quest.command("levels")
@click.argument("melodies", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the levels are written.")
@common
def write_levels_of(mode: Mode, melodies: tuple[str, ...], out: Path) -> None:
    """Make levels of MELODIES: saved ones, runs, or files. `quest play --level` and `quest evaluate --levels` take
    them.
    """
    from conductor.quest.level import write_levels

    levels = _levels_of(melodies)
    try:
        write_levels(out, levels)
    except OSError as error:
        raise BadInput(f"{out} cannot be written ({error})", remedy="name another file") from error
    done = {"levels": [level.id for level in levels], "file": str(out)}
    mode.show(done, lambda: say(f"wrote {len(levels)} levels to {out}"))


def _levels_of(names: Sequence[str]) -> list[Level]:
    """Real Melodies as levels over the Players that are installed, with what was measured of these."""
    from conductor.quest.melodies import level_of
    from symphony.app.extensions import open_catalogue
    from symphony.config import Configuration
    from symphony.melody.formats import load

    home = Home.resolve()
    catalogue = open_catalogue(home, Configuration.load(home=home, project=None))
    files = {name: load(Path(name)).to_document() for name in names if Path(name).is_file()}
    kept, metrics = ask(lambda port: _documents(port, [name for name in names if name not in files]))
    found = kept | {name: (document, "") for name, document in files.items()}
    measured = {
        player: (float(row["average"]), 0.0)
        for player, row in metrics["by_player"].items()
        if row.get("average")
    }
    return [
        level_of(
            found[name][0],
            catalogue.players,
            catalogue.lattice,
            name=name,
            prompt=found[name][1],
            measured=measured,
        )
        for name in names
    ]


async def _documents(
    port: HostPort, names: Sequence[str]
) -> tuple[dict[str, tuple[dict[str, Any], str]], dict[str, Any]]:
    """Runs and saved Melodies as documents with the prompts they came from, and what the host has measured."""
    found = {}
    for name in names:
        try:
            run = await port.get_run(name)
            found[name] = (run["melody"], str(run["run"]["prompt"]))
        except NotFound:
            found[name] = (await port.get_melody(name), "")
    return found, await port.metrics()


def _introduce(session: Session) -> None:
    level = session.level
    note(f"Level {level.id}: {level.prompt}")
    note(f"You have {', '.join(level.have) or 'nothing'}.")
    note(f"Make {', '.join(level.goal)} for at most {level.budget:g}. What is declared may not be true.")


def _play(session: Session) -> None:
    """Asks until the level is over or the player stops."""
    while choices := session.choices():
        note(f"\nspent {session.spent:g} of {session.level.budget:g}")
        for number, function in enumerate(choices, 1):
            note(
                f"{number:3} {function.name}: {', '.join(function.inputs.values()) or 'nothing'} → "
                f"{', '.join(function.outputs.values())}; {function.mean:g} s, fails {function.fail:.1%}, "
                f"costs {function.cost:g}\n    {function.description}"
            )
        answer = click.prompt("number, u to undo, q to stop", err=True).strip().lower()
        if answer == "q":
            return
        try:
            if answer == "u":
                session.undo()
            elif answer.isdecimal() and 1 <= int(answer) <= len(choices):
                session.take(choices[int(answer) - 1].id)
            else:
                note(f"{answer!r} is none of the choices")
        except BadInput as error:
            note(str(error))


def _document(session: Session, score: Score) -> dict[str, Any]:
    return {
        "id": session.level.id,
        **score.graph.to_json(session.level),
        "success": score.outcome.success,
        "makespan": round(score.outcome.makespan, 3),
        "failed": list(score.outcome.failed),
        "par": {
            "success": score.par.success,
            "makespan": round(score.par.makespan, 3),
            "nodes": score.par_nodes,
        },
        "below_par": score.is_below_par,
    }


def _tell(score: Score) -> None:
    failed = f", {', '.join(score.outcome.failed)} failed" if score.outcome.failed else ""
    say(
        f"{'Won' if score.outcome.success else 'Lost'} with {len(score.graph.functions)} functions in "
        f"{score.outcome.makespan:.1f} s{failed}."
    )
    say(
        f"Par: {'won' if score.par.success else 'lost'} with {score.par_nodes} functions in "
        f"{score.par.makespan:.1f} s{'; you are below par' if score.is_below_par else ''}."
    )


@quest.command()
@click.option("--seeds", help="Levels of the generator: A-B.")
@click.option("--levels", type=click.Path(path_type=Path), help="A file of levels.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the plans are written.")
@common
def evaluate(mode: Mode, seeds: str | None, levels: Path | None, out: Path) -> None:
    """Let the policy and the plain players play, and compare them."""
    from conductor.evaluate import quest as measurement
    from symphony.app.paths import encoder_files

    if (seeds is None) == (levels is None):
        raise BadInput("Give either --seeds or --levels", remedy="such as --seeds 1-200")
    options = argparse.Namespace(
        seeds=seeds, levels=levels, out=out, deep=False, seed=0,
        encoder=encoder_files(), weights=measurement.WEIGHTS,
    )  # fmt: skip
    try:
        found = measurement.run(options)
    except OSError as error:
        raise BadInput(f"{error}", remedy="name files that can be read and written") from error

    def text() -> None:
        for name, row in found.items():
            took = f"{row['makespan']:.1f} s" if row["makespan"] is not None else "–"
            say(f"{name:18} {row['success']:6.1%}  {took:>7}  {row['expansions']:8.1f} states")

    mode.show(found, text)


@quest.command()
@click.option("--seed", type=int, default=7, show_default=True, help="Of levels, networks and play.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder for the weights.")
@common
def train(mode: Mode, seed: int, out: Path) -> None:
    """Train the policy: cloning from A*, then PPO; some ten minutes on two cores."""
    from symphony.app.paths import encoder_files

    if importlib.util.find_spec("torch") is None:
        raise EnvironmentLacks("Training needs torch, which is not installed", remedy="run `make learn`")
    command = [sys.executable, "-m", "conductor.training.quest", "--seed", str(seed), "--out", str(out)]
    # What training says on its way is for people; standard output is for the answer.
    done = subprocess.run([*command, "--encoder", str(encoder_files())], stdout=sys.stderr, check=False)
    if done.returncode:
        raise SymphonyError("The training failed", remedy="see above for why")
    written = [str(out / "quest.npz"), str(out / "quest_cloned.npz")]
    mode.show({"seed": seed, "weights": written}, lambda: say(f"wrote {', '.join(written)}"))
