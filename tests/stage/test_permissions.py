"""Grants: whatever is not granted is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.stage.permissions import Grants, parse_grant

ROOTS = {"project": Path("/srv/it"), "output": Path("/srv/out")}


@pytest.mark.parametrize(
    ("grant", "path", "allowed"),
    [
        ("read:project/**", "/srv/it/a/b.py", True),
        ("read:project/**", "/srv/it", True),
        ("read:project", "/srv/it/a", True),
        ("read:project/**", "/srv/it2/a", False),
        ("read:project/**", "/srv/it/../secret", False),
        ("read:project/**", "work/it/a", False),
        ("read:project/**", "/srv/out/a", False),
        ("read:project/*.py", "/srv/it/a.py", True),
        ("read:project/*.py", "/srv/it/a/b.py", False),
        ("read:project/**/*.py", "/srv/it/a/b/c.py", True),
        ("read:project/**/*.py", "/srv/it/c.py", True),
        ("read:project/**/*.py", "/srv/it/c.pyx", False),
        ("read:project/src/**", "/srv/it/src", True),
        ("read:project/src/**", "/srv/it/srcs/a", False),
        ("read:project/a.b", "/srv/it/aXb", False),
        ("write:output/**", "/srv/out/x", False),
    ],
)
def test_reading_files(grant: str, path: str, allowed: bool) -> None:
    assert Grants([grant]).allows_file("read", path, ROOTS) is allowed


def test_names_of_roots_may_be_given_instead() -> None:
    grants = Grants(["read:project/**/*.py", "write:output/**"])
    assert grants.allows_file("read", "project/a/b.py")
    assert not grants.allows_file("read", "project/../b.py")
    assert grants.allows_file("write", "output/x/y") and not grants.allows_file("write", "project/a.py")


def test_programs_hosts_models_and_extensions() -> None:
    grants = Grants(
        ["exec:git", "network:API.example.com", "model:gpt-4*", "ipc:ann/one", "ipc:bob/two#work"]
    )
    assert grants.allows_exec("git") and not grants.allows_exec("git2")
    assert not grants.allows_exec("/tmp/git") and not grants.allows_exec("*")
    assert grants.allows_host("api.example.com", 443) and grants.allows_host("API.example.com.", 443)
    assert not grants.allows_host("api.example.com", 80) and not grants.allows_host("x.api.example.com", 443)
    assert grants.allows_model("gpt-4o") and not grants.allows_model("gpt-3")
    assert grants.allows_ipc("ann/one#any") and grants.allows_ipc("bob/two#work")
    assert not grants.allows_ipc("bob/two#other")
    assert Grants(["exec:*"]).allows_exec("make") and not Grants(["exec:*"]).allows_exec("../make")
    assert not Grants().allows_exec("git")


@pytest.mark.parametrize(
    "text",
    [
        "read", "read:", "read:/etc", "read:project/../x", "read:home/**", "read:project/a**", "read:project//a",
        "write:project/./a", "exec:", "exec:a/b", "exec:a b", "network:", "network:*", "network:a:0",
        "network:a:70000", "network:a_b", "network:http://a", "model:", "ipc:name", "fly:moon", "read:project/\n",
    ],
)  # fmt: skip
def test_bad_patterns_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_grant(text)


def test_what_an_update_widens() -> None:
    had = Grants(["read:project/**", "exec:git", "network:a.com"])
    assert had.widened_by(["read:project/src/**", "exec:git", "network:a.com:443"]) == []
    wanted = ["write:project/**", "exec:*", "network:a.com:80", "read:output/**"]
    assert had.widened_by(wanted) == wanted
    assert Grants(["exec:*"]).widened_by(["exec:ls"]) == []
    assert Grants(["read:project/src/**"]).widened_by(["read:project/**"]) == ["read:project/**"]
    assert Grants(["read:project/*/**"]).widened_by(["read:project/a"]) == ["read:project/a"]


def test_a_private_layer_over_the_project_writes_no_file_of_it() -> None:
    layer = Grants(["write:project/**"])
    assert not layer.allows_file("write", "/srv/it/a.py", ROOTS)
    assert Grants(["write:project/**/*"]).allows_file("write", "/srv/it/a.py", ROOTS)
    # What does write them is more, and is asked for.
    assert layer.widened_by(["write:project/**/*", "write:project/a"]) == [
        "write:project/**/*",
        "write:project/a",
    ]
    assert layer.widened_by(["write:project/**"]) == [] and "private copy" in layer.explain()[0]


def test_plain_words() -> None:
    grants = Grants(
        ["read:project/**", "write:project/docs/**", "network:a.com:80", "exec:*", "model:*", "ipc:a/b"]
    )
    assert grants.explain() == [
        "Read every file of the open project",
        "Change the files docs/** of the open project",
        "Connect to a.com on port 80",
        "Run any program on this computer, inside the sandbox",
        "Use any model",
        "Call the extension a/b and hear what it publishes",
    ]
    assert list(grants)[2] == "network:a.com:80" and "exec:*" in grants and len(grants) == 6


_segment = st.sampled_from(["a", "b", "*", "**", "?", "a*"])
_patterns = st.lists(_segment, max_size=4).map(lambda parts: "read:" + "/".join(["project", *parts]))
_paths = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4).map(
    lambda parts: "/".join(["project", *parts])
)


@given(_patterns, _patterns, _paths)
def test_what_is_covered_allows_nothing_new(old: str, new: str, path: str) -> None:
    if not Grants([old]).widened_by([new]) and Grants([new]).allows_file("read", path):
        assert Grants([old]).allows_file("read", path)


def naive(pattern: list[str], path: list[str]) -> bool:
    """The rules of file patterns as they are written down, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return naive(pattern[1:], path) or (bool(path) and naive(pattern, path[1:]))
    return bool(path) and naive_part(pattern[0], path[0]) and naive(pattern[1:], path[1:])


def naive_part(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive_part(pattern[1:], text) or (bool(text) and naive_part(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive_part(pattern[1:], text[1:])


PARTS = st.one_of(
    st.just("**"), st.text("ab*?.", min_size=1, max_size=5).filter(lambda part: "**" not in part)
)


@given(
    st.lists(PARTS.filter(lambda part: part not in (".", "..")), min_size=1, max_size=7),
    st.lists(st.text("ab.", min_size=1, max_size=4).filter(lambda part: part not in (".", "..")), max_size=8),
)
def test_file_patterns_mean_what_a_naive_reading_says(pattern: list[str], path: list[str]) -> None:
    granted = Grants(["read:" + "/".join(["project", *pattern])])
    assert granted.allows_file("read", "/".join(["project", *path])) is naive(pattern, path)


@pytest.mark.parametrize(
    "pattern", ["**/a/" * 14 + "x", "**/" * 20 + "x", "*a" * 30 + "x", "**/*a*a*a*a/" * 8]
)
def test_no_pattern_makes_the_host_think_for_ever(pattern: str) -> None:
    """By backtracking these take longer than anybody waits; the test ends, or its time limit ends it."""
    grants = Grants([f"read:project/{pattern}"])
    assert not grants.allows_file("read", "project/" + "a/" * 60 + "b")
    assert not grants.allows_file("read", "project/" + "a" * 60)


@given(
    st.text("ab*", min_size=1, max_size=6).filter(lambda name: not name.startswith("-")),
    st.text("ab", max_size=6),
)
def test_model_patterns_mean_what_a_naive_reading_says(pattern: str, name: str) -> None:
    assert Grants([f"model:{pattern}"]).allows_model(name) is naive_part(pattern, name)
