"""`symphony sandbox run`: streams, exit statuses, signals, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.prefix) / "bin" / "symphony"), "sandbox", "run"]


def _run(home: Path, *arguments: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def test_streams_and_status_pass_through(home: Path, tmp_path: Path) -> None:
    done = _run(home, "--", "sh", "-c", "cat; echo err >&2; exit 7", cwd=tmp_path, text="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "err\n")


def test_options_of_the_command_are_its_own(home: Path, tmp_path: Path) -> None:
    done = _run(home, "--", "echo", "--json", "--grant", "-x", cwd=tmp_path)
    assert done.stdout == "--json --grant -x\n"


def test_the_current_folder_is_the_project(home: Path, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("here")
    assert _run(home, "--", "cat", str(tmp_path / "here.txt"), cwd=tmp_path).returncode != 0
    done = _run(home, "--grant", "read:project/**", "--", "cat", "here.txt", cwd=tmp_path)
    assert done.stdout == "here"


def test_workdir(home: Path, tmp_path: Path) -> None:
    done = _run(home, "--workdir", str(tmp_path), "--", "sh", "-c", "pwd; echo x > made", cwd=Path("/"))
    assert done.stdout.strip() == str(tmp_path)
    assert (tmp_path / "made").read_text() == "x\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--", "no-such-program"], 127, "no-such-program"),
        (["--", "/etc/hosts"], 126, "/etc/hosts"),
        (["--grant", "fly:project/**", "--", "true"], 2, "fly"),
        (["--grant", "read:/no/such/folder/**", "--", "true"], 2, "/no/such/folder"),
        (["--grant", "read:/**", "--", "true"], 2, "/"),
        (["--workdir", "/no/such", "--", "true"], 2, "/no/such"),
        ([], 2, "CMD"),
    ],
)
def test_one_line_says_what_is_wrong(
    home: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = _run(home, *arguments, cwd=tmp_path)
    assert done.returncode == code, done
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_error_as_json(home: Path, tmp_path: Path) -> None:
    done = _run(home, "--json", "--", "no-such-program", cwd=tmp_path)
    assert json.loads(done.stdout)["error"]["code"] == "program_not_found"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_program(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    script = "trap 'echo caught; exit 5' INT TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*COMMAND, "--", "sh", "-c", script],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "caught\n"
        assert process.wait(20) == 5
