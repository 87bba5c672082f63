"""Real programs in real sandboxes write into a project's private layer; the host takes their changes over, and back."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from symphony.app.paths import launcher
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller
from symphony.stage.capabilities import programs
from symphony.stage.changes.apply import apply, conflicts
from symphony.stage.changes.model import ChangeSet
from symphony.stage.manifest import parse_manifest
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember, PlayerLimits
from tests.stage.layers import look, write

MANIFEST = parse_manifest('[extension]\nname = "test/door"\nversion = "1.0.0"\ntype = "operator"\n')

WANDER = """
import base64, json, os, random, shutil, stat, sys
draw = random.Random(int(sys.argv[1]))
NAMES = ["a", "b", "c", "d", "e\\n"]
def place():
    return "/".join(draw.choice(NAMES) for _ in range(draw.randint(1, 3)))
def write(p):
    with open(p, draw.choice("wa")) as f: f.write(str(draw.random()) + "\\n")
def clear(p):
    shutil.rmtree(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)
STEPS = [write, write, clear, os.mkdir, lambda p: os.rename(p, place()), lambda p: os.chmod(p, 0o755),
         lambda p: os.symlink("a", p), lambda p: os.link(p, place()), lambda p: (shutil.rmtree(p), os.mkdir(p))]
for _ in range(300):
    try: draw.choice(STEPS)(place())
    except OSError: pass
seen = {}
for folder, folders, files in os.walk("."):
    for name in folders + files:
        p = os.path.join(folder, name)
        mode = os.lstat(p).st_mode
        if stat.S_ISLNK(mode): seen[p[2:]] = ["link", 0, os.readlink(p)]
        elif stat.S_ISREG(mode): seen[p[2:]] = ["file", stat.S_IMODE(mode), open(p).read()]
        else: seen[p[2:]] = ["folder", 0, ""]
json.dump(seen, sys.stdout)
"""


def play(project: Path, *argv: str, timeout: float = 60.0) -> tuple[dict[str, Any], list[ChangeSet]]:
    """What the program said, and what it changed."""
    kept: list[ChangeSet] = []

    async def keep(_caller: Caller, _program: str, changes: ChangeSet, *, succeeded: bool) -> None:
        kept.append(changes)

    grants = ("write:project/**", "exec:*")
    member = CastMember("test/door", "1.0.0", project.parent / "extension", MANIFEST, grants)
    member.directory.mkdir(exist_ok=True)
    who = Caller(member, Grants(grants), project, "run", "node")
    door = programs.capabilities(launcher(), PlayerLimits, keep)["exec"]
    return asyncio.run(door.handler(who, {"argv": list(argv), "timeout": timeout})), kept


def bring(changes: ChangeSet, project: Path) -> None:
    with Beneath(project) as tree:
        assert conflicts(changes, tree) == []
        apply(changes, tree, label="test")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    for name in ("a/a/a", "a/b", "b/c/d", "c", "d/d", "d/e\n"):
        write(place / name, f"{name}\n")
    return place


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_project_becomes_what_the_program_saw_and_back(project: Path, seed: int) -> None:
    before = look(project)
    answer, (changes,) = play(project, "python3", "-c", WANDER, str(seed))
    assert answer["exit_code"] == 0, answer["stderr"]
    assert look(project) == before
    assert not changes.refused
    bring(changes, project)
    seen = {
        path: (kind, mode, os.fsencode(text))
        for path, (kind, mode, text) in json.loads(answer["stdout"]).items()
    }
    assert look(project) == seen
    assert seen != before
    bring(changes.inverse(), project)
    assert look(project) == before


def test_a_program_that_changes_nothing_leaves_no_changes(project: Path) -> None:
    _, (changes,) = play(project, "sh", "-c", "cat c; touch c; mkdir x; rmdir x; chmod 600 c; chmod 644 c")
    assert changes == ChangeSet(())


def test_a_daemon_writes_nothing_once_its_program_has_ended(project: Path) -> None:
    script = "(while :; do echo $RANDOM > c; done) & (setsid sh -c 'sleep 100' &) ; echo done > c2"
    _, (changes,) = play(project, "sh", "-c", script)
    held = dict(changes.contents)
    assert {c.path for c in changes.changes} <= {"c", "c2"}
    assert held == dict(changes.contents)


def test_a_program_that_is_stopped_leaves_no_changes(project: Path) -> None:
    with pytest.raises(Exception, match="did not end"):
        play(project, "sh", "-c", "echo x > c; sleep 100", timeout=1.0)
    assert (project / "c").read_text() == "c\n"


def test_hooks_of_git_and_links_out_are_left_out_of_what_a_real_program_wrote(project: Path) -> None:
    (project / ".git").mkdir()
    script = (
        "mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit; ln -s /etc up; mkfifo pipe; echo ok > good"
    )
    _, (changes,) = play(project, "sh", "-c", script)
    assert {r.path for r in changes.refused} == {".git", "up", "pipe"}
    assert [c.path for c in changes.changes] == ["good"]
