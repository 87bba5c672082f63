"""A project and a private layer over it, made by hand as overlayfs keeps one: what no program could make, too."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from symphony.stage.beneath import Beneath
from symphony.stage.changes import apply as applying
from symphony.stage.changes.collect import Limits, collect
from symphony.stage.changes.model import ChangeSet


@dataclass(frozen=True)
class Layered:
    """`project` is the user's, `upper` what a program wrote over it since `started`."""

    project: Path
    upper: Path
    started: int

    @classmethod
    def make(cls, place: Path, **files: str) -> Layered:
        project, upper = place / "project", place / "upper"
        project.mkdir()
        upper.mkdir()
        for name, text in files.items():
            write(project / name, text)
        return cls(
            project, upper, now() + 1_000_000_000
        )  # what a test does later is "meanwhile" when it says so

    def whiteout(self, path: str) -> None:
        (self.upper / path).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(self.upper / path, stat.S_IFCHR, 0)

    def collect(self, limits: Limits | None = None) -> ChangeSet:
        descriptor = os.open(self.upper, os.O_RDONLY)
        try:
            with Beneath(self.project) as project:
                return collect(descriptor, project, started=self.started, limits=limits)
        finally:
            os.close(descriptor)

    def apply(self, changes: ChangeSet, *, is_resumed: bool = False) -> None:
        with Beneath(self.project) as project:
            applying.apply(changes, project, label="test", is_resumed=is_resumed)


def now() -> int:
    return time.time_ns()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def look(root: Path) -> dict[str, tuple[str, int, bytes]]:
    """Every path below `root`: what it is, its permission bits, its content or target."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder) / name
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                found[str(path.relative_to(root))] = ("link", 0, os.fsencode(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                found[str(path.relative_to(root))] = ("file", mode, path.read_bytes())
            else:
                found[str(path.relative_to(root))] = ("folder" if path.is_dir() else "other", 0, b"")
    return found
