"""From grants to a spec: what becomes a mount, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony.errors import BadInput
from symphony.stage.repository_folders import repository_folders
from symphony.stage.sandbox import EXTENSION, LIBRARY, SOCKET, base_python, player_spec, spec_for


def _modes(spec: dict[str, object]) -> dict[str, str]:
    mounts = spec["mounts"]
    assert isinstance(mounts, list)
    return {mount["target"]: mount["mode"] for mount in mounts}


@pytest.mark.parametrize(
    ("grants", "mode"),
    [
        ([], None),
        (["read:project/**"], "read_only"),
        (["write:project/**"], "overlay"),
        (["read:project/**", "write:project/**"], "overlay"),
        (["write:project/**", "read:project/**"], "overlay"),
        (["read:project/src/**", "read:project/*.md", "read:output/**"], None),
        (["exec:git", "network:example.org:443", "model:*", "ipc:a/b"], None),
    ],
)
def test_only_grants_on_the_whole_project_mount_it(
    tmp_path: Path, grants: list[str], mode: str | None
) -> None:
    spec = spec_for(grants, argv=["true"], project=tmp_path)
    assert _modes(spec).get(str(tmp_path)) == mode
    assert spec["cwd"] == (str(tmp_path) if mode else "/tmp")


def test_no_grant_shows_nothing_but_the_interpreter() -> None:
    spec = spec_for([], argv=["true"])
    prefix = base_python().parent.parent
    assert set(_modes(spec)) <= {str(prefix)}


def test_a_player_has_its_files_and_no_network() -> None:
    extension = Path(__file__).parent
    spec = player_spec([], extension_dir=extension, socket=Path("/tmp/x.sock"), entry="main.py")
    modes = _modes(spec)
    assert {f"{LIBRARY}/symphony/sdk", f"{LIBRARY}/msgpack", EXTENSION, SOCKET} <= set(modes)
    assert set(modes.values()) == {"read_only"}
    assert spec["argv"][:4] == [str(base_python()), "-I", "-S", "-B"]
    assert dict(spec["env"])["SYMPHONY_ENTRY"] == f"{EXTENSION}/main.py"
    assert spec["loopback"] is False
    assert str(base_python()) in spec["executables"]


def test_nothing_of_the_host_s_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    spec = spec_for([], argv=["true"], env={"CHOSEN": "yes"})
    environment = dict(spec["env"])
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert environment["CHOSEN"] == "yes"


def test_a_program_elsewhere_is_shown_with_its_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "opt" / "tool-1"
    real.parent.mkdir()
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").symlink_to(real)
    monkeypatch.setenv("PATH", f"relative:{tmp_path / 'bin'}")
    spec = spec_for([], argv=["tool"])
    assert _modes(spec)[str(real)] == "read_only"
    assert {"path": str(tmp_path / "bin" / "tool"), "target": str(real)} in spec["links"]
    assert str(tmp_path / "bin") in dict(spec["env"])["PATH"].split(":")


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        spec_for(["read:project/**"], argv=["true"], project=tmp_path / "missing")
    with pytest.raises(BadInput, match="missing"):
        spec_for([f"read:{tmp_path}/missing/**"], argv=["true"])


def _git_directory(path: Path) -> Path:
    for name in ("objects", "refs"):
        (path / name).mkdir(parents=True)
    (path / "HEAD").write_text("ref: refs/heads/main\n")
    return path


def test_a_repository_s_folders(tmp_path: Path) -> None:
    _git_directory(tmp_path / "main" / ".git")
    below = tmp_path / "main" / "a" / "b"
    below.mkdir(parents=True)
    assert repository_folders(below) == [tmp_path / "main"]
    assert repository_folders(tmp_path) == []


def test_a_git_file_cannot_point_where_it_likes(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (project / ".git").write_text(f"gitdir: {secrets}\n")
    assert repository_folders(project) == [project]
    other = _git_directory(tmp_path / "other" / ".git")
    (project / ".git").write_text(f"gitdir: {other}\n")
    assert repository_folders(project) == [project], "another repository that does not point back"
    tree = other / "worktrees" / "tree"
    tree.mkdir(parents=True)
    (tree / "commondir").write_text("../..\n")
    (tree / "gitdir").write_text(f"{tmp_path}/elsewhere/.git\n")
    (project / ".git").write_text(f"gitdir: {tree}\n")
    assert repository_folders(project) == [project], "a worktree of somebody else"
    (tree / "gitdir").write_text(f"{project}/.git\n")
    assert repository_folders(project) == [project, other]


def test_alternates_count_only_when_they_are_object_stores(tmp_path: Path) -> None:
    directory = _git_directory(tmp_path / "clone" / ".git")
    origin = _git_directory(tmp_path / "origin" / ".git")
    (directory / "objects" / "info").mkdir()
    alternates = directory / "objects" / "info" / "alternates"
    alternates.write_text(f"{origin}/objects\n{tmp_path}\n")
    assert repository_folders(tmp_path / "clone") == [tmp_path / "clone", origin / "objects"]
