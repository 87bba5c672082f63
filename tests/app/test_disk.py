"""A full disk and damaged files: one clear line, nothing acknowledged is lost, and it goes on afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import StorageFull
from symphony.stage.audit import AuditLog

Run = Callable[..., Any]


def fill(place: Path) -> Path:
    """Takes all space that is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                if file.write(b"\1" * size) < size:
                    size //= 2
            except OSError:
                size //= 2
    return ballast


def play(symphony: Run, home: Path, project: Path, *more: str) -> Any:
    file = project.parent / "log.yaml"
    file.write_text(
        "format: symphony.melody/1\nname: listing\nnodes:\n"
        "  - {id: files, kind: operator, player: symphony/files#list}\nedges: []\n"
    )
    return symphony("play", file, "--project", project, "--json", *more, SYMPHONY_HOME=str(home))


def test_a_full_disk(symphony: Run, small: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("a")
    home = small / "home"
    first = play(symphony, home, project)
    assert first.code == 0, first.err
    kept = [a["id"] for a in json.loads(first.out)["artifacts"]]
    assert kept
    ballast = fill(small)
    (project / "b.txt").write_text("b" * 1000)
    full = play(symphony, home, project)
    assert full.code == 3, (full.code, full.out, full.err)
    error = json.loads(full.out)["error"]
    assert "space" in error["message"] + error["remedy"], error
    assert "Traceback" not in full.err
    ballast.unlink()
    again = play(symphony, home, project)
    assert again.code == 0, (again.out, again.err)
    for artifact in kept:
        shown = symphony("artifacts", "show", artifact, SYMPHONY_HOME=str(home))
        assert shown.code == 0, shown.err
    verified = symphony("artifacts", "verify", "--json", SYMPHONY_HOME=str(home))
    assert json.loads(verified.out)["findings"] == []
    runs = json.loads(symphony("runs", "list", "--json", SYMPHONY_HOME=str(home)).out)["runs"]
    first_run = json.loads(first.out)["run"]["id"]
    assert first_run in {r["id"] for r in runs if r["status"] == "succeeded"}


def test_an_unreadable_summary_harms_no_other_run(symphony: Run, home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    runs = [json.loads(play(symphony, home, project).out)["run"]["id"] for _ in range(2)]
    (home / "runs" / runs[0] / "run.json").write_text('{"run": {"id"')
    listed = symphony("runs", "list", "--json")
    assert listed.code == 0, listed.err
    assert [r["id"] for r in json.loads(listed.out)["runs"]] == [runs[1]]
    doctor = json.loads(symphony("doctor", "--json").out)
    history = next(c for c in doctor["components"] if c["name"] == "history")
    assert history["status"] == "degraded" and runs[0] in history["detail"] and history["remedy"]


def test_a_changed_line_of_the_audit_log_is_found(symphony: Run, home: Path, tmp_path: Path) -> None:
    from symphony.config.home import Home

    path = Home(home).audit
    log = AuditLog(path)
    for number in range(3):
        log.record("a/b", "fs.read", f"file {number}", allowed=True)
    log.close()
    path.write_text(path.read_text().replace("file 1", "file X"))
    assert AuditLog(path).verify() == 2
    doctor = json.loads(symphony("doctor", "--json").out)
    audit = next(c for c in doctor["components"] if c["name"] == "audit log")
    assert audit["status"] == "degraded" and "line 2" in audit["detail"]
    assert symphony("runs", "list").code == 0


def test_an_audit_log_with_rubbish_still_takes_entries(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    log = AuditLog(path)
    log.record("a/b", "exec", "git", allowed=True)
    log.close()
    with path.open("a") as file:
        file.write("rubbish\n")
    log = AuditLog(path)
    log.record("a/b", "exec", "ls", allowed=False)
    assert [e["detail"] for e in log.entries()] == ["ls", "git"]
    assert log.verify() == 2
    log.close()


def test_an_entry_that_finds_no_space_leaves_no_half_line(small: Path) -> None:
    path = small / "audit"
    log = AuditLog(path)
    log.record("a/b", "exec", "git", allowed=True)
    ballast = fill(small)
    with pytest.raises(StorageFull, match="space"):
        for number in range(1000):
            log.record("a/b", "exec", f"{number} " + "x" * 400, allowed=True)
    ballast.unlink()
    log.record("a/b", "exec", "after", allowed=True)
    assert log.verify() is None
    assert log.entries()[0]["detail"] == "after"
    log.close()
