"""`symphony sandbox run` says what was written under a grant of writing, shows it, and takes it over when told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
WRITE = ("sandbox", "run", "--grant", "write:project/**")


def test_what_was_written_is_said_shown_and_taken_over_when_told_to(symphony: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    script = ("--", "sh", "-c", "echo two >> a.txt; echo said")
    done = symphony(*WRITE, *script, cwd=tmp_path)
    assert (done.code, done.out) == (0, "said\n")
    assert "1 changed in a private copy" in done.err and "--commit" in done.err
    assert (tmp_path / "a.txt").read_text() == "one\n"
    done = symphony(*WRITE, "--diff", "--commit", *script, cwd=tmp_path)
    assert "+two" in done.err and done.out == "said\n"
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"


def test_what_a_program_wrote_that_failed_is_not_taken_over(symphony: Run, tmp_path: Path) -> None:
    done = symphony(*WRITE, "--commit", "--", "sh", "-c", "echo x > new; exit 3", cwd=tmp_path)
    assert done.code == 3 and not (tmp_path / "new").exists()


def test_nothing_is_said_where_nothing_was_written(symphony: Run, tmp_path: Path) -> None:
    assert symphony(*WRITE, "--", "true", cwd=tmp_path).err == ""
