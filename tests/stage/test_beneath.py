"""No path leads out of the folder that was opened, nor through a link inside it, whatever is done with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.stage.beneath import Beneath

DOINGS: dict[str, Callable[[Beneath, str], object]] = {
    "read": lambda tree, path: tree.read(path, 100),
    "digest": lambda tree, path: tree.digest(path),
    "replace": lambda tree, path: tree.replace(path, b"x", ".new"),
    "link": lambda tree, path: tree.replace_by_link(path, "x", ".new"),
    "folder": lambda tree, path: tree.make_folder(path),
    "remove": lambda tree, path: tree.remove(path),
    "names": lambda tree, path: tree.names(path),
    "sync": lambda tree, path: tree.sync(path),
    "target": lambda tree, path: tree.link_target(path),
}


@pytest.mark.parametrize(
    "path", ["inner/a", "outer/a", "../outside/a", "/etc/passwd", "real/../../outside/a", "a\0b"]
)
@pytest.mark.parametrize("doing", DOINGS)
def test_nothing_is_done_behind_a_link_or_outside(tmp_path: Path, doing: str, path: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        (folder / "a").write_text("as it was")
    (root / "inner").symlink_to("real")
    (root / "outer").symlink_to(outside)
    with Beneath(root) as tree, pytest.raises((OSError, ValueError)):
        DOINGS[doing](tree, path)
    for folder in (root / "real", outside):
        assert os.listdir(folder) == ["a"]  # noqa: PTH208
        assert (folder / "a").read_text() == "as it was"
    # The control: beside the link the same is done.
    with Beneath(root) as tree:
        assert tree.read("real/a", 100) == b"as it was"


def test_the_last_part_of_a_path_is_no_door_either(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "link").symlink_to("a")
    with Beneath(tmp_path) as tree:
        with pytest.raises(OSError):
            tree.read("link", 100)
        tree.replace("link", b"new", ".new")
    assert (tmp_path / "a").read_text() == "mine" and (tmp_path / "link").read_text() == "new"
