"""What Players share to read a project: paths stay inside it, texts are texts, the tree is what git sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.sdk import PlayerFailure
from symphony.sdk.project import (
    TEXT_LIMIT,
    existing,
    inside,
    read_text,
    require_project,
    text_or_file,
    walk,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "größe.py").write_text("größe = 1\n", "utf-8")
    (root / "windows.csv").write_bytes("\ufeffa;b\n".encode())
    (root / "latin.txt").write_bytes(b"gr\xf6\xdfe")
    (root / "picture.bin").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path)
    return root


def failure_of(message: str, function: object, *arguments: object) -> None:
    with pytest.raises(PlayerFailure, match=message) as failure:
        function(*arguments)  # type: ignore[operator]
    assert failure.value.code == "bad_input" and failure.value.remedy


def test_the_project_must_be_a_folder(project: Path) -> None:
    assert require_project(str(project)) == project
    failure_of("No project is open", require_project, None)
    failure_of("There is no folder", require_project, project / "src" / "größe.py")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "out/secret", "src/../../secret", "a\0b", ".."])
def test_no_path_leads_out(project: Path, path: str) -> None:
    for function in (inside, existing, read_text):
        failure_of("not inside the project", function, project, path)
    failure_of("not inside the project", text_or_file, project, None, path)


def test_paths_are_normal(project: Path) -> None:
    assert inside(project, "./src//größe.py") == "src/größe.py"
    assert inside(project, project / "src") == "src"
    assert inside(project, "nothing/here") == "nothing/here"
    assert existing(project, "src/..") == "."
    failure_of("no file or folder nothing", existing, project, "nothing")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "src", "out", "", "x", "~", "/"]), max_size=6).map("/".join))
def test_what_is_inside_stays_inside(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    root = tmp_path_factory.getbasetemp() / "inside"
    (root / "src").mkdir(parents=True, exist_ok=True)
    try:
        place = inside(root, path)
    except PlayerFailure:
        return
    assert (root / place).resolve().is_relative_to(root.resolve()) and not place.startswith("/")


def test_one_text(project: Path) -> None:
    assert read_text(project, "src/größe.py") == "größe = 1\n"
    assert read_text(project, "latin.txt", "latin-1") == "größe"
    failure_of("cannot be read as utf-8", read_text, project, "latin.txt")
    failure_of("cannot be read as klingon", read_text, project, "latin.txt", "klingon")
    failure_of("no text file", read_text, project, "picture.bin")
    failure_of("no file src", read_text, project, "src")
    with (project / "large.txt").open("wb") as file:
        file.truncate(TEXT_LIMIT + 1)
    failure_of("larger than 8 MiB", read_text, project, "large.txt")


def test_a_text_comes_from_an_edge_or_a_file(project: Path) -> None:
    assert text_or_file(None, "", "windows.csv") == ""
    assert text_or_file(project, None, "windows.csv") == "a;b\n"
    assert text_or_file(project, None, "latin.txt") == "gr\ufffd\ufffde"
    failure_of("no text file", text_or_file, project, None, "picture.bin")
    failure_of("no text to work on", text_or_file, project, None, None)
    failure_of("no text to work on", text_or_file, None, None, "windows.csv")


def test_the_tree_is_what_git_sees(project: Path) -> None:
    for name in ("a.log", "keep.log", "build/x.py", "docs/private/key", "docs/[odd].txt", "src/deep/y.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    (project / ".gitignore").write_text("*.log\n!keep.log\n/build/\n")
    (project / "docs" / ".gitignore").write_text("private/\n")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / ".git" / "info" / "exclude").write_text("y.py\n")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        check=True,
    ).stdout.decode()
    expected = sorted(name for name in listed.split("\0") if name and not (project / name).is_symlink())
    assert sorted(file.path for file in walk(project)) == expected
    assert {f.path for f in walk(project / "src")} == {"größe.py"}
    assert {f.path for f in walk(project, below="docs", ignored=True)} == {
        *("docs/.gitignore", "docs/[odd].txt", "docs/private/key")
    }
    assert {f.path for f in walk(project, pattern="*.py", ignored=True)} == {
        *("build/x.py", "src/größe.py", "src/deep/y.py")
    }
    [file] = walk(project, below="picture.bin")
    assert file.text() is None and file.size == 6
    failure_of("no file or folder nothing", lambda: list(walk(project, below="nothing")))


def test_reading_needs_nothing_but_the_standard_library() -> None:
    """A Player that only reads texts carries no package, and pays for no heavy module."""
    code = (
        "import sys; before = set(sys.modules); import symphony.sdk.project;"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    # Without site-packages even msgpack is missing, which only the connection needs.
    loaded = {*done.stdout.strip("[]\n").replace("'", "").split(", ")}
    assert done.returncode == 0, done.stderr
    assert not loaded & {"pathspec", "dataclasses", "inspect", "typing", "json", "asyncio"}
