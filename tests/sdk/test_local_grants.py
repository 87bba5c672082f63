"""The harness without a host grants the files that the host grants."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.sdk import PermissionDenied
from symphony.sdk.local_host import LocalHost, _reaches
from symphony.stage.permissions import Grants

PARTS = st.sampled_from(["**", "*", "*.txt", "a", "a?", "a.txt", "b*c.txt", "[a]"])
NAMES = st.sampled_from(["a", "ab", "a.txt", "b.c.txt", "[a]", "x"])
FOLDER = Path("/home/ann/work")


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_a_pattern_reaches_what_it_reaches_in_the_host(parts: list[str], names: list[str]) -> None:
    pattern = "/".join(["project", *parts])
    path = FOLDER.joinpath(*names)
    expected = Grants([f"read:{pattern}"]).allows_file("read", path, {"project": FOLDER})
    assert _reaches(pattern, path, FOLDER) == expected, (pattern, names)


@pytest.mark.parametrize(
    "grant", ["write:project/**", "write:project", "write:project/*.txt", "read:project/**"]
)
def test_what_the_host_writes_the_harness_writes(tmp_path: Path, grant: str) -> None:
    host = LocalHost(project=tmp_path, manifest={"capabilities": {"files": [grant]}})
    allowed = Grants([grant]).allows_file("write", tmp_path / "a.txt", {"project": tmp_path})
    try:
        host._write({"path": "a.txt", "content": b"x"})
    except PermissionDenied:
        assert not allowed
    else:
        assert allowed
