"""The files Player against git's own idea of what is ignored, and plain counting."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from symphony.sdk import PermissionDenied, PlayerFailure


@pytest.fixture
def tree(repository) -> Path:
    """The history with ignored files, nested rules and a link."""
    for path in (
        "a.log",
        "keep.log",
        "build/out.py",
        "src/build/deep.py",
        "docs/private/key.txt",
        "docs/note.txt",
    ):
        repository.write(path, f"in {path}\n")
    repository.write("docs/.gitignore", "private/\n*.txt\n!note.txt\n")
    (repository.root / "link").symlink_to("/etc")
    return repository.root


def tracked_and_untracked(root: Path) -> set[str]:
    """What git sees: tracked files and those that are not ignored."""
    out = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return {
        name
        for name in out.split("\0")
        if name and (root / name).is_file() and not (root / name).is_symlink()
    }


def test_list_is_what_git_sees(player, tree):
    files = player("files", tree).call("list")["files"]
    assert {row["file"] for row in files} == tracked_and_untracked(tree)
    assert [row["file"] for row in files if row["file"] == "src/engine.py"] == ["src/engine.py"]
    row = next(row for row in files if row["file"] == "src/engine.py")
    assert row["bytes"] == (tree / "src/engine.py").stat().st_size and row["language"] == "Python"


def test_list_in_a_subfolder_obeys_the_rules_above(player, tree):
    (tree / "src" / "x.log").write_text("x")
    files = {row["file"] for row in player("files", tree / "src").call("list")["files"]}
    assert files == {"engine.py", "grammar.py", "__init__.py"}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"pattern": "*.md"}, {"README.md"}),
        ({"pattern": "src/*.py", "path": "src"}, {"src/engine.py", "src/grammar.py", "src/__init__.py"}),
        ({"path": "README.md"}, {"README.md"}),
        ({"path": "daten"}, {"daten/überblick größe.csv"}),
        ({"pattern": "a.log", "ignored": True}, {"a.log"}),
    ],
)
def test_list_narrows(player, tree, params, expected):
    assert {row["file"] for row in player("files", tree).call("list", params)["files"]} == expected


def test_list_sorts_and_limits(player, tree):
    files = player("files", tree).call("list", {"sort": "size", "limit": 3})["files"]
    sizes = [row["bytes"] for row in player("files", tree).call("list")["files"]]
    assert [row["bytes"] for row in files] == sorted(sizes, reverse=True)[:3]


def test_search_finds_every_line(player, tree):
    files = player("files", tree)
    found = {(m["file"], m["line"]) for m in files.call("search", {"query": "engine"})["matches"]}
    expected = set()
    for name in tracked_and_untracked(tree):
        content = (tree / name).read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode().splitlines(), 1):
            if "engine" in line.lower():
                expected.add((name, number))
    assert found == expected and len(found) > 5


def test_search_by_expression(player, tree):
    matches = player("files", tree).call(
        "search", {"query": r"^def (\w+)", "regex": True, "pattern": "*.py", "case_sensitive": True}
    )["matches"]
    pattern = re.compile(r"^def (\w+)", re.MULTILINE)
    count = sum(
        len(pattern.findall((tree / n).read_text())) for n in tracked_and_untracked(tree) if n.endswith(".py")
    )
    assert len(matches) == count == 4
    assert matches[0]["column"] == 1
    assert len(player("files", tree).call("search", {"query": "e", "limit": 2})["matches"]) == 2


def test_read_names_the_artifact(player, tree):
    files = player("files", tree)
    assert files.call("read", {"path": "README.md"})["text"] == (tree / "README.md").read_text()
    assert files.artifacts["text"] == {"name": "README.md", "type": "text/markdown"}
    assert files.call("read", {"path": "daten/überblick größe.csv"})["text"].startswith("name;größe")


def test_write_and_append(player, tree):
    files = player("files", tree)
    assert files.call("write", {"path": "out/neu.md"}, {"content": "ä\n"})["path"] == "out/neu.md"
    files.call("write", {"path": "out/neu.md", "append": True}, {"content": "b\n"})
    assert (tree / "out/neu.md").read_text() == "ä\nb\n"
    with pytest.raises(PlayerFailure, match="exists already"):
        files.call("write", {"path": "out/neu.md", "overwrite": False}, {"content": "c"})


def test_stats_are_plain_counts(player, tree):
    rows = {row["language"]: row for row in player("files", tree).call("stats")["languages"]}
    python = [n for n in tracked_and_untracked(tree) if n.endswith(".py")]
    assert rows["Python"]["files"] == len(python)
    assert rows["Python"]["lines"] == sum(len((tree / n).read_text().splitlines()) for n in python)
    assert abs(sum(row["percent"] for row in rows.values()) - 100) < 1


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        ("read", {"path": "../secret"}, "not inside the project"),
        ("read", {"path": "/etc/passwd"}, "not inside the project"),
        ("read", {"path": "link/passwd"}, "not inside the project"),
        ("read", {"path": "nothing.txt"}, "no file nothing.txt"),
        ("read", {"path": "logo.bin"}, "no text file"),
        ("list", {"path": "nowhere"}, "no file or folder"),
        ("search", {"query": "(", "regex": True}, "no regular expression"),
        ("search", {"query": ""}, "nothing to search for"),
    ],
)
def test_bad_input_is_named(player, tree, function, params, message):
    with pytest.raises(PlayerFailure, match=message) as failure:
        player("files", tree).call(function, params)
    assert failure.value.code == "bad_input" and failure.value.remedy


def test_no_project(player):
    with pytest.raises(PlayerFailure, match="No project"):
        player("files").call("list", inputs={"project": ""})


def test_writing_needs_its_grant(player, tree):
    files = player("files", tree)
    files.host._manifest["capabilities"]["files"] = ["read:project/**"]
    with pytest.raises(PermissionDenied):
        files.call("write", {"path": "x.txt"}, {"content": "x"})


def test_replace_changes_whole_words_and_shows_what_it_did(player, tree):
    (tree / "windows.txt").write_bytes(b"choose\r\nchooser choose_\r\n")
    (tree / "latin.txt").write_bytes("choose \xe9".encode("latin-1"))
    files = player("files", tree)
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    result = files.call("replace", {"text": "choose", "replacement": r"pick\1"})
    rows = {row["file"]: row["replaced"] for row in result["changed"]}
    assert rows["src/engine.py"] == 2 and rows["windows.txt"] == 1 and "latin.txt" not in rows
    assert (tree / "windows.txt").read_bytes() == b"pick\\1\r\nchooser choose_\r\n"
    subprocess.run(
        ["git", "apply", "-R", "--unidiff-zero"], cwd=tree, input=result["patch"].encode(), check=True
    )
    assert {path: path.read_bytes() for path in before} == before


def test_replace_by_expression_names_groups(player, tree):
    files = player("files", tree)
    params = {"text": r"in (\w+)", "replacement": r"\1 in", "regex": True, "pattern": "*.txt"}
    result = files.call("replace", params)
    assert (tree / "docs/note.txt").read_text() == "docs in/note.txt\n"
    assert [row["file"] for row in result["changed"]] == ["docs/note.txt"]


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({"text": "", "replacement": "x"}, "nothing to replace"),
        ({"text": "(", "replacement": "x", "regex": True}, "no regular expression"),
        ({"text": "x*", "replacement": "y", "regex": True}, "between any two characters"),
        ({"text": "in", "replacement": r"\2", "regex": True}, "no replacement"),
    ],
)
def test_replace_refuses_what_it_cannot_do_and_writes_nothing(player, tree, params, part):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    with pytest.raises(PlayerFailure, match=part):
        player("files", tree).call("replace", params)
    assert {path: path.read_bytes() for path in before} == before


def test_overview_tells_what_the_folder_declares(player, tree):
    (tree / "README.md").write_text("# Lathe\n\n[![x](y)](z)\n\nTurns <wood> into bowls and [more](x).\n")
    (tree / "pyproject.toml").write_text(
        '[project]\nname = "lathe"\ndependencies = ["numpy>=2", "rich[all] ; x"]\nscripts = {turn = "a:b"}\n'
    )
    (tree / "package.json").write_text('{"scripts": {"build": "x"}, "dependencies": {"react": "1"}}')
    (tree / "Makefile").write_text("VAR := 1\nbuild: x\n\ttouch y\n")
    (tree / "Cargo.toml").write_text("[package\n")
    (tree / "test_bowl.py").write_text("def test(): pass\n")
    (tree / "LICENSE").write_text("\nMIT License\n")
    text = player("files", tree).call("overview")["overview"]
    assert text.startswith("# lathe\n\nTurns \\<wood\\> into bowls and \\[more\\](x).\n")
    for part in ("| Python |", "| src/ |", "`turn`", "`make build`", "`npm run build`", "MIT License"):
        assert part in text, part
    assert "`react`, `numpy`, `rich`" in text
    assert "2 files, in `.`, `tests`" in text


def test_overview_of_an_empty_folder_is_short(player, tmp_path):
    text = player("files", tmp_path).call("overview")["overview"]
    assert text.startswith(f"# {tmp_path.name}\n\n0 files, 0 lines.")
