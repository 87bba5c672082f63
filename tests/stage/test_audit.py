"""Whatever is done to the audit log behind the host's back is found, and what a kill leaves is no false alarm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.errors import EnvironmentLacks
from symphony.stage.audit import AuditLog, examine_file, key_folder, verify_file
from symphony.stage.audit_key import START, Head, audit_key

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
    other = tmp_path / "other.jsonl"
    kept(other).close()
    (key_folder(other) / "head").unlink()
    assert verify_file(other) == 1
    kept(other).close()
    assert verify_file(other) == 1


def forge(path: Path, folder: Path) -> None:
    """Writes another history at `path`, whole and with its head, by the key in `folder`."""
    path.unlink()
    begun = path.with_name("forged.jsonl")
    shutil.copytree(folder, key_folder(begun))
    key = audit_key(key_folder(begun), make=False)
    assert key is not None
    key.pin(Head(0, START))
    log = AuditLog(begun)
    log.record("test/door", "fs.read", "nothing of interest", allowed=True)
    log.close()
    begun.rename(path)
    shutil.copy(key_folder(begun) / "head", key_folder(path) / "head")


def test_who_has_not_the_key_cannot_write_another_history(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    own = tmp_path / "own"
    audit_key(own)  # the forger's
    forge(path, own)
    assert verify_file(path) == 1 and examine_file(path)[0] == "degraded"
    kept(path, 3).close()
    assert verify_file(path) == 1


def test_who_has_the_key_can(tmp_path: Path) -> None:
    """The control: what is found above is found for want of the key."""
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    forge(path, key_folder(path))
    assert verify_file(path) is None


def test_an_older_history_in_the_place_of_this_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path, 3).close()
    older = path.read_bytes()
    kept(path, 3).close()
    path.write_bytes(older)
    assert verify_file(path) == 4


def test_a_key_without_its_head_is_no_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    path.unlink()
    (key_folder(path) / "head").unlink()
    assert verify_file(path) == 1
    kept(path, 2).close()
    assert verify_file(path) == 1


def test_another_key_makes_no_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    shutil.rmtree(key_folder(path))
    assert verify_file(path) == 1
    for _ in range(2):
        kept(path, 2).close()
        status, detail, remedy = examine_file(path)
        assert status == "degraded" and "another one" in detail and str(key_folder(path)) in remedy
    path.unlink()
    shutil.rmtree(key_folder(path))
    kept(path).close()
    assert verify_file(path) is None


def test_a_key_that_others_may_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    kept(path).close()
    key = key_folder(path) / "key"
    assert key.stat().st_mode & 0o777 == 0o600 and key_folder(path).stat().st_mode & 0o777 == 0o700
    assert key.read_bytes().hex() not in path.read_text()
    key.chmod(0o644)
    for use in (AuditLog, verify_file, examine_file):
        with pytest.raises(EnvironmentLacks, match="Others may read"):
            use(path)
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(EnvironmentLacks, match="no key"):
        AuditLog(path)


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
