"""What a layer holds becomes a change set; one is applied whole, refused for what changed, undone, and resumed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from symphony.errors import DamagedArtifact, SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.changes import apply as applying
from symphony.stage.changes.apply import ChangedMeanwhile
from symphony.stage.changes.collect import Limits, TooLarge
from symphony.stage.changes.diff import unified
from symphony.stage.changes.model import Change, ChangeSet, State, decode, encode, link_refusal
from tests.stage.layers import Layered, look, now, write

ROOT = Path(__file__).resolve().parents[2]


def test_added_changed_and_removed_files_are_shown_applied_and_undone(tmp_path: Path) -> None:
    layer = Layered.make(
        tmp_path, **{"a.py": "one\ntwo\n", "old/b.py": "b\n", "old/c.py": "c\n", "same": "s\n"}
    )
    write(layer.upper / "a.py", "one\nthree\n")
    write(layer.upper / "new/d.sh", "#!/bin/sh\n")
    (layer.upper / "new/d.sh").chmod(0o777)
    write(layer.upper / "same", "s\n")
    layer.whiteout("old")
    (layer.upper / "new/link").symlink_to("../a.py")
    before = look(layer.project)
    changes = decode(encode(layer.collect()))
    assert {c.path: c.kind for c in changes.changes} == {
        "a.py": "changed", "new": "added", "new/d.sh": "added", "new/link": "added",
        "old": "removed", "old/b.py": "removed", "old/c.py": "removed",
    }  # fmt: skip
    text = unified(changes)
    assert "-two\n+three\n" in text and "+++ b/new/d.sh" in text and "deleted file mode" in text
    layer.apply(changes)
    after = look(layer.project)
    assert after == {
        "a.py": ("file", 0o644, b"one\nthree\n"),
        "same": before["same"],
        "new": ("folder", 0, b""),
        "new/d.sh": ("file", 0o755, b"#!/bin/sh\n"),  # executable, and writable for its owner only
        "new/link": ("link", 0, b"../a.py"),
    }
    layer.apply(changes.inverse())
    assert look(layer.project) == before


def test_a_folder_takes_the_place_of_a_file_and_the_other_way_round(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, file="f", **{"folder/x": "x"})
    (layer.project / "link").symlink_to("file")
    write(layer.upper / "file/inside", "i")
    write(layer.upper / "folder", "now a file")
    write(layer.upper / "link/y", "y")
    before = look(layer.project)
    changes = layer.collect()
    assert not changes.refused
    layer.apply(changes)
    assert look(layer.project)["file/inside"][2] == b"i"
    assert look(layer.project)["folder"][2] == b"now a file"
    assert look(layer.project)["link/y"][2] == b"y"
    layer.apply(changes.inverse())
    assert look(layer.project) == before


def test_an_opaque_folder_hides_what_was_there(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, **{"d/gone": "g", "d/kept": "k"})
    write(layer.upper / "d/kept", "new")
    try:
        os.setxattr(layer.upper / "d", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system keeps no attributes of users")
    assert {c.path: c.kind for c in layer.collect().changes} == {"d/gone": "removed", "d/kept": "changed"}


@pytest.mark.parametrize("spoil", ["edit", "remove", "create", "chmod", "link"])
def test_what_changed_meanwhile_is_refused_by_name_and_nothing_is_written(tmp_path: Path, spoil: str) -> None:
    layer = Layered.make(tmp_path, a="a", b="b")
    for name in ("a", "b", "c"):
        write(layer.upper / name, "new")
    changes = layer.collect()
    path = layer.project / ("c" if spoil == "create" else "b")
    if spoil == "edit":
        path.write_text("mine")
    elif spoil == "create":
        path.write_text("mine too")
    elif spoil == "chmod":
        path.chmod(0o755)
    else:
        path.unlink()
        if spoil == "link":
            path.symlink_to("a")
    before, inode = look(layer.project), (layer.project / "a").stat().st_ino
    with pytest.raises(ChangedMeanwhile) as refused:
        layer.apply(changes)
    assert (layer.project / "a").stat().st_ino == inode  # not even for a moment
    assert [finding["key"] for finding in refused.value.findings] == [path.name]
    assert look(layer.project) == before


def test_undo_is_refused_when_somebody_went_on_working(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    write(layer.upper / "a", "b")
    write(layer.upper / "d/new", "n")
    changes = layer.collect()
    layer.apply(changes)
    write(layer.project / "d/mine", "mine")
    with pytest.raises(ChangedMeanwhile, match="d/mine"):
        layer.apply(changes.inverse())
    assert (layer.project / "a").read_text() == "b"


def test_what_the_user_changed_while_the_program_ran_is_not_overwritten(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    during = Layered(layer.project, layer.upper, now() - 10_000_000_000)
    write(layer.upper / "a", "b")
    changes = during.collect()
    assert changes.changes[0].stale
    with pytest.raises(ChangedMeanwhile, match="while the program ran"):
        layer.apply(changes)


@pytest.mark.parametrize(
    ("path", "target", "is_refused"),
    [
        ("l", "a", False), ("d/l", "../a", False), ("l", "d/e/f", False), ("l", "/etc/passwd", True),
        ("l", "..", True), ("d/l", "../../a", True), ("l", "a/../../x", True), ("l", "d/../a", True),
        ("l", "", True), ("l", ".git/config", True), ("l", ".GIT/hooks", True),
    ],
)  # fmt: skip
def test_links_that_could_leave_the_project_are_refused(path: str, target: str, is_refused: bool) -> None:
    assert bool(link_refusal(path, target)) == is_refused


def test_a_link_through_a_link_of_the_project_does_not_lead_out(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    (tmp_path / "secret").write_text("s")
    (layer.project / "out").symlink_to(tmp_path)
    (layer.upper / "l").symlink_to("out/secret")
    with pytest.raises(SymphonyError, match="leave the project"):
        layer.apply(layer.collect())
    assert not (layer.project / "l").is_symlink()


@pytest.mark.parametrize("name", [".git/hooks/post-commit", "sub/.git/config", ".GIT/config", ".git"])
def test_what_git_would_run_is_never_taken_over(tmp_path: Path, name: str) -> None:
    layer = Layered.make(tmp_path, a="a")
    write(layer.upper / name, "evil")
    write(layer.upper / "a", "b")
    changes = layer.collect()
    assert [refused.path.split("/")[-1].lower() for refused in changes.refused] == [".git"]
    layer.apply(changes)
    assert set(look(layer.project)) <= {"a", "sub"} and (layer.project / "a").read_text() == "b"


def test_devices_fifos_and_sockets_are_left_out(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    os.mkfifo(layer.upper / "fifo")
    here = Path.cwd()
    os.chdir(layer.upper)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("sock")
    finally:
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(layer.upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    write(layer.upper / "a", "b")
    changes = layer.collect()
    assert {r.path for r in changes.refused} >= {"fifo", "sock"}
    assert [c.path for c in changes.changes] == ["a"]


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, **{"d/a": "a"})
    (tmp_path / "elsewhere").mkdir()
    write(layer.upper / "d/a", "changed")
    changes = layer.collect()
    shutil.rmtree(layer.project / "d")
    (layer.project / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChangedMeanwhile, match="d"):
        layer.apply(changes)
    assert not list((tmp_path / "elsewhere").iterdir())
    # A layer with a link in the place of a folder that the host has seen is not followed either.
    (layer.upper / "up").symlink_to(tmp_path)
    assert "up" in {r.path for r in layer.collect().refused}


def test_a_link_to_another_folder_of_the_project_is_not_followed_either(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, **{"d/a": "a", "other/a": "a"})
    write(layer.upper / "d/a", "changed")
    changes = layer.collect()
    shutil.rmtree(layer.project / "d")
    (layer.project / "d").symlink_to("other")
    with pytest.raises(ChangedMeanwhile):
        layer.apply(changes)
    assert (layer.project / "other/a").read_text() == "a"


def test_a_folder_that_nobody_may_enter_can_be_undone(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    (layer.upper / "locked").mkdir(mode=0o000)
    changes = layer.collect()
    layer.apply(changes)
    assert stat.S_IMODE((layer.project / "locked").stat().st_mode) == 0o700
    layer.apply(changes.inverse())
    assert set(look(layer.project)) == {"a"}


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path, a="a")
    os.link(layer.project / "a", tmp_path / "twin")  # the user's own second name
    write(layer.upper / "a", "b")
    os.link(layer.upper / "a", layer.upper / "c")
    layer.apply(layer.collect())
    assert (tmp_path / "twin").read_text() == "a"
    assert (layer.project / "a").stat().st_nlink == (layer.project / "c").stat().st_nlink == 1


def test_odd_names_and_terminal_commands_are_shown_as_escapes(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path)
    names = [b"new\nline", b"\xff\xfe", b"\x1b[2J", "\u202egnp.exe".encode(), b"sp ace"]
    for name in names:
        Path(os.fsdecode(os.fsencode(layer.upper) + b"/" + name)).write_text("\x1b]0;title\x07 \u202e\n")
    changes = decode(encode(layer.collect()))
    text = unified(changes)
    assert all(c == "\n" or c == "\t" or c.isprintable() for c in text)
    text.encode()
    layer.apply(changes)
    assert {os.fsencode(path.name) for path in layer.project.iterdir()} == set(names)


def test_more_than_is_kept_is_said_and_costs_no_memory(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path)
    with (layer.upper / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="MiB"):
        layer.collect()
    (layer.upper / "sparse").unlink()
    for number in range(30):
        (layer.upper / str(number)).touch()
    with pytest.raises(TooLarge, match="20 paths"):
        layer.collect(Limits(paths=20))
    deep = layer.upper
    for _ in range(200):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert "too deeply" in layer.collect().refused[0].reason


def test_a_set_that_somebody_else_wrote_is_not_believed() -> None:
    good = State("file", 0o644, "0" * 64, 1)
    for path in ("../x", "/x", "a/../b", ".git/x", "", "a//b"):
        with pytest.raises(DamagedArtifact):
            decode(encode(ChangeSet((Change(path, State(), State("folder")),))))
    with pytest.raises(DamagedArtifact):
        decode(encode(ChangeSet((Change("x", State(), good),), (), {"0" * 64: b"other"})))
    with pytest.raises(DamagedArtifact):
        decode(encode(ChangeSet((Change("x", State(), good),))))
    for junk in (b"", b"\xc1", b"junk", encode(ChangeSet(()))[:-3]):
        with pytest.raises(DamagedArtifact):
            decode(junk)


KILLED = """
import os, sys, signal
from pathlib import Path
from symphony.stage.beneath import Beneath
from symphony.stage.changes import apply as applying
from symphony.stage.changes.model import decode
left = int(sys.argv[1])
def counted(name):
    real = getattr(os, name)
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    setattr(os, name, call)
for name in ("rename", "mkdir", "rmdir", "unlink", "symlink", "fsync", "fchmod"):
    counted(name)
with Beneath(Path(sys.argv[2])) as project:
    applying.apply(decode(Path(sys.argv[3]).read_bytes()), project, label="test")
"""


@pytest.mark.parametrize("direction", ["on", "back"])
def test_a_kill_at_any_step_leaves_what_can_be_finished_or_undone(tmp_path: Path, direction: str) -> None:
    layer = Layered.make(tmp_path, a="a", file="f", **{"d/x": "x", "e/y": "y"})
    write(layer.upper / "a", "changed")
    write(layer.upper / "n/new", "new")
    (layer.upper / "link").symlink_to("a")
    write(layer.upper / "file/in", "in")
    write(layer.upper / "d", "file now")
    layer.whiteout("e/y")
    changes = layer.collect()
    (tmp_path / "set").write_bytes(encode(changes))
    before = look(layer.project)
    layer.apply(changes)
    wanted = look(layer.project)
    layer.apply(changes.inverse())
    assert look(layer.project) == before
    step = 0
    while True:
        step += 2 if direction == "on" else 5
        arguments = [sys.executable, "-c", KILLED, str(step), str(layer.project), str(tmp_path / "set")]
        done = subprocess.run(arguments, cwd=ROOT, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9
        if direction == "on":
            layer.apply(changes, is_resumed=True)
            assert look(layer.project) == wanted
            layer.apply(changes.inverse())
        else:
            layer.apply(changes.inverse(), is_resumed=True)
        assert look(layer.project) == before
    assert step > 10


class Failing(Beneath):
    """A folder in which nothing more can be written once `budget` files were."""

    budget = 1

    def replace(self, path: str, content: bytes, temporary: str, mode: int | None = None) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        super().replace(path, content, temporary, mode)


@pytest.mark.parametrize("budget", [1, 2])
def test_what_could_not_be_taken_back_is_named_and_can_be_finished_later(tmp_path: Path, budget: int) -> None:
    layer = Layered.make(tmp_path, a="a", b="b", c="c")
    for name in ("a", "b", "c"):
        write(layer.upper / name, "new")
    changes = layer.collect()
    with Failing(layer.project) as project:
        project.budget = budget
        with pytest.raises(applying.PartlyApplied) as failed:
            applying.apply(changes, project, label="test")
    touched = ["a", "b"][:budget]
    assert [finding["key"] for finding in failed.value.findings] == touched
    assert "nothing was changed" not in str(failed.value) and "No space" in str(failed.value)
    assert [name for name in "abc" if (layer.project / name).read_text() == "new"] == touched
    layer.apply(changes.inverse(), is_resumed=True)
    assert {(layer.project / name).read_text() for name in "abc"} == {"a", "b", "c"}


def test_a_failure_that_is_taken_back_says_that_nothing_was_changed(tmp_path: Path) -> None:
    layer = Layered.make(tmp_path)
    for name in ("a", "b"):
        write(layer.upper / name, "new")
    with (
        Failing(layer.project) as project,
        pytest.raises(SymphonyError, match="no space"),
    ):
        applying.apply(layer.collect(), project, label="test")
    assert look(layer.project) == {}
