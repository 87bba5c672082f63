"""What is known of an open project before anything is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from symphony.app.project import look_at


def test_branches_and_tags_are_known_also_when_git_has_packed_them(repository: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(repository, project, symlinks=True)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", project, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("branch", "topic/packed")
    git("tag", "3.0.0")
    git("pack-refs", "--all")
    git("branch", "topic/loose")
    expected = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
    assert {"topic/packed", "3.0.0", "topic/loose"} <= set(expected)
    assert look_at(project).branches == sorted(expected)
