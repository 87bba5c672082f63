"""Whatever is done to the audit log behind the host's back is found, and what a kill leaves is no false alarm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.stage.audit import AuditLog, examine_file, verify_file

Lines = list[str]


def kept(path: Path, number: int = 6) -> AuditLog:
    log = AuditLog(path)
    for count in range(number):
        log.record("test/door", "fs.read", f"file {count}", allowed=True)
    return log


def edited(lines: Lines) -> Lines:
    return [lines[0], lines[1].replace("file 1", "file 9"), *lines[2:]]


def forged(lines: Lines) -> Lines:
    """A line that somebody made up, with a hash of its own."""
    entry = {**json.loads(lines[2]), "detail": "nothing"}
    return [*lines[:2], json.dumps(entry), *lines[3:]]


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (edited, 2),
        (forged, 3),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [*lines[:3], lines[1], *lines[3:]], 4),
        (lambda lines: lines[:-1], 6),
        (lambda lines: lines[:2], 3),
        (lambda lines: [], 1),
        (lambda lines: ["junk", *lines], 1),
        (lambda lines: [*lines, "{}"], 7),
        (lambda lines: [line.replace("true", "false") for line in lines], 1),
    ],
)
def test_what_was_done_to_the_log_is_found(
    tmp_path: Path, attack: Callable[[Lines], Lines], found: int
) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    assert verify_file(path) is None
    lines = attack(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    assert verify_file(path) == found
    assert examine_file(path)[0] == "degraded"
    # A host that goes on writing does not cover it up.
    for _ in range(3):
        log = kept(path, 3)
        assert log.verify() is not None
        log.close()
        assert verify_file(path) is not None


def test_a_log_that_was_put_away_whole_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    path.unlink()
    assert verify_file(path) == 1
    kept(tmp_path / "other.jsonl").close()
    (tmp_path / "other.jsonl.head").unlink()
    assert verify_file(tmp_path / "other.jsonl") == 1


def test_what_a_kill_leaves_is_no_alarm(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = kept(path, 4)  # its head was written before the lines, as after a kill
    assert verify_file(path) is None
    with path.open("ab") as file:
        file.write(b'{"half a line')
    assert verify_file(path) is None
    again = AuditLog(path)
    again.record("test/door", "fs.read", "after", allowed=True)
    assert again.verify() is None and len(again.entries()) == 5
    again.close()
    os.close(log._file)
