"""`symphony sandbox run`: any command in the sandbox that a Player with the same grants gets."""

from __future__ import annotations

import select
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from symphony.cli.output import Mode, common, note
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
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD [ARG]...")
@common
def run(mode: Mode, grants: tuple[str, ...], workdir: Path | None, command: tuple[str, ...]) -> None:
    """Run CMD in the sandbox of a Player with the given grants; with none, of one with no capability.

    The system's interpreters and libraries are there read-only, nothing else is. Standard streams and the
    exit status pass through. Writes under a grant of writing end with the sandbox.
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
    sys.exit(code)


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
