"""What a person sees in a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pit_native import ArtifactStore
from symphony.config.home import Home

PICTURE = "data:image/png;base64," + "A" * 4000


def in_terminal(home: Path, *arguments: str) -> tuple[int, str]:
    """The command with a terminal as its output: exit status and what stood there."""
    ours, theirs = pty.openpty()
    program = str(Path(sys.prefix) / "bin" / "symphony")
    child = subprocess.Popen(
        [program, *arguments],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = bytearray()
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:  # a terminal whose last writer is gone says so
        pass
    finally:
        os.close(ours)
    return child.wait(timeout=60), seen.decode()


def test_a_content_is_fit_for_the_terminal(home: Path, symphony: Callable[..., Any]) -> None:
    where = Home(home)
    where.create()
    with ArtifactStore(where.store) as store:
        report = f"# Report\n\n![chart]({PICTURE})\n\nGrüße\n"
        store.put(report.encode(), name="report.md", type="text/markdown")
        store.put(b"\x89PNG\r\n\x1a\n\0\0", name="chart.png", type="image/png")
    code, seen = in_terminal(home, "artifacts", "show", "report.md")
    assert code == 0
    assert "Grüße" in seen and "![chart](data:image/png;base64,…)" in seen
    code, seen = in_terminal(home, "artifacts", "show", "chart.png")
    assert code == 2
    assert "\0" not in seen and "image/png" in seen and "> chart.png" in seen
    # A file gets every byte.
    assert symphony("artifacts", "show", "report.md").out == report


def test_a_run_shows_the_beginning_of_what_it_made(home: Path, repository: Path, tmp_path: Path) -> None:
    melody = tmp_path / "m.yaml"
    melody.write_text(
        "format: symphony.melody/1\nname: m\nnodes:\n"
        "  - {id: people, kind: operator, player: symphony/git#authors}\n"
        "  - {id: none, kind: operator, player: symphony/git#log, params: {author: nobody at all}}\n"
        "  - {id: told, kind: operator, player: symphony/shell#run,"
        ' params: {command: [printf, "\\\\033]0;owned\\\\007plain\\\\n"]}}\nedges: []\n'
    )
    code, seen = in_terminal(home, "play", str(melody), "--project", str(repository), "--yes")
    assert code == 0, seen
    assert "commits" in seen and "Ada" in seen and "It has no rows." in seen
    # What a program printed does not command the terminal.
    assert "]0;ownedplain" in seen and "\x1b]0;owned" not in seen


def test_what_a_failing_program_said_does_not_command_the_terminal(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    melody = tmp_path / "m.yaml"
    melody.write_text(
        "format: symphony.melody/1\nname: m\nnodes:\n"
        "  - {id: told, kind: operator, player: symphony/shell#run, params: {command:"
        " [sh, -c, \"printf '\\\\033]0;owned\\\\007sorry\\\\n' >&2; exit 3\"]}}\nedges: []\n"
    )
    code, seen = in_terminal(home, "play", str(melody), "--project", str(repository), "--yes")
    assert code == 1, seen
    assert "sorry" in seen and "\x1b]0;owned" not in seen


def test_a_changed_file_does_not_command_the_terminal(
    home: Path, symphony: Callable[..., Any], tmp_path: Path
) -> None:
    """Nor does the difference of two contents; a pipe has it byte for byte."""
    where = Home(home)
    where.create()
    with ArtifactStore(where.store) as store:
        store.put(b"calm\n", name="notes.txt", type="text/plain")
        store.put(b"\x1b]0;owned\x07loud\n", name="notes.txt", type="text/plain")
    for words in (("artifacts", "diff", "notes.txt"), ("artifacts", "show", "notes.txt")):
        code, seen = in_terminal(home, *words)
        assert code == 0 and "]0;ownedloud" in seen and "\x1b]0;owned" not in seen, seen
        assert "\x1b]0;owned" in symphony(*words).out
