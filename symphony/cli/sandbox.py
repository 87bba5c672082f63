"""`symphony sandbox run`: any command in the sandbox that a Player with the same grants gets."""

from __future__ import annotations

import secrets
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from symphony.cli.output import Mode, common, note, say
from symphony.errors import BadInput, EnvironmentLacks, SymphonyError

if TYPE_CHECKING:
    from pit_native import SandboxChild

EXIT_CODES = {"program_not_found": 127, "program_not_executable": 126}
"""What a shell answers when a program cannot be started."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@click.group()
def sandbox() -> None:
    """The sandbox in which Players run."""


@sandbox.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="G",
    help="A capability, such as read:project/** (the current folder) or read:/absolute/folder/**.",
)
@click.option(
    "--workdir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Read-write at its own path, in place of the scratch folder.",
)
@click.option("--diff", is_flag=True, help="Show on standard error what CMD wrote under grants of writing.")
@click.option(
    "--commit", is_flag=True, help="Take over what CMD wrote under grants of writing if it succeeds."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD [ARG]...")
@common
def run(
    mode: Mode,
    grants: tuple[str, ...],
    workdir: Path | None,
    diff: bool,
    commit: bool,
    command: tuple[str, ...],
) -> None:
    """Run CMD in the sandbox of a Player with the given grants; with none, of one with no capability.

    The system's interpreters and libraries are there read-only, nothing else is. Standard streams and the
    exit status pass through. What is written under a grant of writing ends with the sandbox, which says so;
    with --commit it reaches the folder.
    """
    from pit_native import sandbox_spawn
    from symphony.config import Configuration
    from symphony.config.home import Home
    from symphony.stage.sandbox import spec_for

    for grant in grants:
        _check(grant)
    launcher = Path(sys.prefix) / "bin" / "symphony-launcher"
    if not launcher.exists():
        raise EnvironmentLacks(f"The sandbox launcher {launcher} is missing", remedy="run `make build`")
    settings = Configuration.load(home=Home.resolve())
    spec = spec_for(
        grants,
        argv=command,
        project=Path.cwd(),
        workdir=workdir,
        allow_missing=settings.get("stage.sandbox.allow_missing"),
    )
    spec["stdio"] = ["inherit", "inherit", "inherit"]
    started = time.time_ns()
    # Held back until there is a program to pass them on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    try:
        child = sandbox_spawn(str(launcher), spec)
    except SymphonyError as error:
        error.exit_code = EXIT_CODES.get(error.code, error.exit_code)
        raise
    code = _wait(child)
    if child.cause == "memory":
        note(f"symphony: {command[0]} was ended because it used more than {spec['limits']['memory']} bytes")
    for target, upper in child.overlays:
        _written(target, upper, started, is_shown=diff, is_kept=commit and code == 0)
    sys.exit(code)


def _written(target: Path, upper: int, started: int, *, is_shown: bool, is_kept: bool) -> None:
    """Says what was written over a folder, shows it, takes it over."""
    from symphony.stage.beneath import Beneath
    from symphony.stage.changes import apply as applying
    from symphony.stage.changes.collect import collect
    from symphony.stage.changes.diff import unified

    with Beneath(target) as folder:
        changes = collect(upper, folder, started=started)
        for refused in changes.refused:
            note(f"symphony: left out: {applying.shown(refused.path)}: {refused.reason}")
        if not changes.changes:
            return
        if is_shown:
            say(unified(changes), nl=False, err=True)
        if is_kept:
            applying.apply(changes, folder, label=secrets.token_hex(4))
    said = ", ".join(f"{number} {kind}" for kind, number in changes.counts().items() if number)
    if is_kept:
        note(f"symphony: {said} in {target}")
    else:
        note(
            f"symphony: {said} in a private copy of {target}, which is gone now; --diff shows what, --commit takes "
            "it over when the command succeeds"
        )


def _check(grant: str) -> None:
    """Refuses what is no capability; absolute folders are possible here and nowhere else."""
    from symphony.stage.permissions import parse_grant

    kind, _, target = grant.partition(":")
    if kind in ("read", "write") and target.startswith("/"):
        if ".." in Path(target).parts:
            raise BadInput(f"The grant {grant} has a .. in it", remedy="write the path without it")
        if any(wildcard in target.removesuffix("/**") for wildcard in "*?["):
            raise BadInput(f"The grant {grant} has a pattern", remedy="name a whole folder: /folder/**")
        return
    try:
        parse_grant(grant)
    except ValueError as error:
        raise BadInput(f"The grant {grant}: {error}") from error


def _wait(child: SandboxChild) -> int:
    """Waits for the end; signals that reach this command reach the program."""

    def pass_on(number: int, _: FrameType | None) -> Any:
        child.signal(number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    # Interrupted and taken up again by each signal, whose handler then runs.
    select.select([child], [], [])
    code = child.wait()
    assert code is not None
    return code
