"""The Player symphony/shell: runs one command in the project, as the user granted it."""

from __future__ import annotations

import posixpath
import re

import tasks

from symphony.sdk import Artifact, Context, PlayerFailure, player
from symphony.sdk.project import require_project

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smhd])\s*")
_TAIL = 2000
"""Characters of the output that a failure shows."""


@player.function
def run(
    ctx: Context,
    command: list[str] | str,
    project: str | None = None,
    input: str | None = None,
    cwd: str | None = None,
    timeout: str | float | None = "10m",
    check: bool = True,
) -> dict[str, object]:
    """Runs a command without a shell between: each word arrives as it is."""
    words = _words(command)
    answer = ctx.exec(
        words,
        cwd=_folder(project, cwd),
        timeout=_seconds(timeout),
        check=False,
        input=None if input is None else input.encode(),
    )
    stdout, stderr = answer.stdout.decode("utf-8", "replace"), answer.stderr.decode("utf-8", "replace")
    if check and answer.exit_code != 0:
        said = (stderr.strip() or stdout.strip())[-_TAIL:]
        raise PlayerFailure(
            f"{words[0]} ended with exit code {answer.exit_code}" + (f":\n{said}" if said else ""),
            remedy="mend what it reports, or set check to false to go on with its output",
        )
    return {
        "stdout": Artifact(stdout, name="stdout.txt", type="text/plain"),
        "stderr": Artifact(stderr, name="stderr.txt", type="text/plain"),
        "exit_code": answer.exit_code,
    }


@player.function
def test(ctx: Context, project: str, timeout: str | float | None = "30m") -> dict[str, object]:
    """Runs the project's tests; tests that fail are an answer, tests that cannot be run are a failure."""
    command = tasks.test_command(require_project(project))
    if command is None:
        raise PlayerFailure(
            "The project does not say how it is tested",
            remedy="give the command, for instance: run pytest -q",
            code="bad_input",
        )
    code, output = _told(ctx, command, timeout)
    failed = tasks.failures(output)
    if code != 0 and not failed:
        raise _ended(command, code, output)
    return {
        "failed": failed,
        "slowest": tasks.slowest(output),
        "output": Artifact(output, name="tests.txt", type="text/plain"),
        "passed": code == 0,
    }


@player.function
def build(ctx: Context, project: str, timeout: str | float | None = "30m") -> Artifact:
    """Builds the project and gives what that printed."""
    command = tasks.build_command(require_project(project))
    if command is None:
        raise PlayerFailure(
            "The project does not say how it is built",
            remedy="give the command, for instance: run make all",
            code="bad_input",
        )
    code, output = _told(ctx, command, timeout)
    if code != 0:
        raise _ended(command, code, output)
    return Artifact(output, name="build.txt", type="text/plain")


def _told(ctx: Context, command: list[str], timeout: str | float | None) -> tuple[int, str]:
    """The exit code, and all that was printed: what went to standard error comes after the rest."""
    ctx.log(" ".join(command))
    answer = ctx.exec(command, timeout=_seconds(timeout), check=False)
    return answer.exit_code, (answer.stdout + answer.stderr).decode("utf-8", "replace")


def _ended(command: list[str], code: int, output: str) -> PlayerFailure:
    said = output.strip()[-_TAIL:]
    return PlayerFailure(
        f"{' '.join(command)} ended with exit code {code}" + (f":\n{said}" if said else ""),
        remedy="mend what it reports, or run another command",
    )


def _words(command: list[str] | str) -> list[str]:
    """The program and its arguments; a text is split as a POSIX shell would, without expanding anything."""
    if isinstance(command, str):
        import shlex

        try:
            words = shlex.split(command)
        except ValueError as error:
            raise PlayerFailure(
                f"{command!r} is no command: {error}", remedy="close its quotes", code="bad_input"
            ) from error
    else:
        words = [str(word) for word in command]
    if not words or not words[0] or any("\0" in word for word in words):
        raise PlayerFailure(
            "There is no command to run", remedy='give one, such as ["pytest", "-q"]', code="bad_input"
        )
    return words


def _folder(project: str | None, cwd: str | None) -> str | None:
    if not cwd:
        return None
    place = posixpath.normpath(cwd)
    if place.startswith(("/", "../")) or place == "..":
        raise PlayerFailure(
            f"{cwd} is not inside the project",
            remedy="give a folder relative to the project",
            code="bad_input",
        )
    return posixpath.join(project, place) if project else place


def _seconds(timeout: str | float | None) -> float | None:
    if timeout is None or timeout == "":
        return None
    if isinstance(timeout, int | float):
        return float(timeout)
    text, total, position = timeout.strip().lower(), 0.0, 0
    if text.replace(".", "", 1).isdigit():
        return float(text)
    while match := _PART.match(text, position):
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not position or position != len(text):
        raise PlayerFailure(
            f"{timeout!r} is no duration", remedy="write for instance 30s or 10m", code="bad_input"
        )
    return total


if __name__ == "__main__":
    player.serve()
