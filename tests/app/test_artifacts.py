"""Artifacts at the command line: versions, differences, contents larger than one piece."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pit_native import ArtifactStore
from symphony.app.differences import LIMIT, difference, text_of
from symphony.config.home import Home
from symphony.errors import BadInput


def test_a_difference_is_a_unified_diff() -> None:
    old = "".join(f"line {number}\n" for number in range(20))
    new = old.replace("line 7\n", "line seven\nline 7b\n")
    diff, added, removed = difference(old, new, "a@1", "a@2")
    assert diff.splitlines()[:2] == ["--- a@1", "+++ a@2"]
    assert "-line 7\n+line seven\n+line 7b\n" in diff and "line 3\n" not in diff
    assert (added, removed) == (2, 1)
    assert difference(old, old, "a", "b") == ("", 0, 0)
    assert difference("--- a\n", "+++ b", "a", "b")[0].endswith(
        "---- a\n++++ b\n\\ No newline at end of file\n"
    )
    assert difference("--- a\n", "+++ b", "a", "b")[1:] == (1, 1)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b", b"x" * (LIMIT + 1)])
def test_only_texts_are_compared(content: bytes) -> None:
    with pytest.raises(BadInput, match="thing"):
        text_of(content, "thing")


def test_versions_are_listed_compared_and_shown(home: Path, symphony: Callable[..., Any]) -> None:
    where = Home(home)
    where.create()
    large = "".join(f"line {number} of a large text\n" for number in range(300_000))
    with ArtifactStore(where.store) as store:
        for word in ("one", "two", "three"):
            store.put(f"# Report\n\n{word}\n".encode(), name="report.md", type="text/markdown")
        store.put(b"# Report\n\nother\n", name="other.md", type="text/markdown")
        store.put(large.encode(), name="large.txt", type="text/plain")
    versions = json.loads(symphony("artifacts", "versions", "report.md", "--json").out)["versions"]
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert symphony("artifacts", "show", "report.md@1").out == "# Report\n\none\n"
    assert symphony("artifacts", "show", "large.txt").out == large
    assert "-two\n+three\n" in symphony("artifacts", "diff", "report.md").out
    answer = json.loads(symphony("artifacts", "diff", "report.md@1", "other.md", "--json").out)
    assert (answer["added"], answer["removed"]) == (1, 1) and "-one\n+other\n" in answer["diff"]
    assert answer["old"]["id"] == versions[2]["id"] and answer["new"]["name"] == "other.md"
    wrong = symphony("artifacts", "diff", "report.md@1")
    assert wrong.code == 2 and "no version before 1" in wrong.err
