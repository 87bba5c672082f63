"""The Player symphony/licenses: licences of dependencies and of source files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import packages
from families import family as family_of

from symphony.sdk import Context, player
from symphony.sdk.project import existing, require_project

Rows = list[dict[str, object]]

_SOURCES = frozenset(
    [
        *(
            "py",
            "pyi",
            "js",
            "jsx",
            "mjs",
            "cjs",
            "ts",
            "tsx",
            "rs",
            "go",
            "c",
            "h",
            "cc",
            "cpp",
            "hpp",
            "java",
        ),
        *("kt", "swift", "scala", "rb", "php", "cs", "sh", "lua", "sql", "vue", "svelte", "css"),
    ]
)
_SKIPPED = {".git", "node_modules", "vendor", "target", "dist", "build", "__pycache__", ".venv", "venv"}
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")
_COPYRIGHT = re.compile(r"(?:Copyright|SPDX-FileCopyrightText:|©)\s*[^\n]*", re.IGNORECASE)
_PROSE = re.compile(
    r"(Apache License|MIT License|GNU [A-Za-z ]*General Public License|Mozilla Public License|BSD)"
)
_HEAD = 3000
"""Characters in which a header stands."""


@player.function
def dependencies(ctx: Context, project: str, family: str | None = None) -> Rows:
    """Packages with their licences."""
    rows = packages.find(require_project(project))
    return [row for row in rows if not family or row["family"] == family]


@player.function
def headers(ctx: Context, project: str, path: str | None = None, missing_only: bool = False) -> Rows:
    """What each source file's header states."""
    root = require_project(project).resolve()
    start = root / existing(root, path or ".")
    rows: Rows = []
    for file in _sources(start):
        head = file.read_bytes()[:_HEAD].decode("utf-8", "replace")
        stated, prose, owner = _SPDX.search(head), _PROSE.search(head), _COPYRIGHT.search(head)
        license = stated[1].strip().removesuffix("-->").strip() if stated else prose[1] if prose else ""
        if missing_only and license:
            continue
        rows.append(
            {
                "file": file.relative_to(root).as_posix(),
                "license": license,
                "family": family_of(license),
                "copyright": owner[0].strip(" */#") if owner else "",
            }
        )
    return rows


def _sources(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if entry.name not in _SKIPPED:
                yield from _sources(entry)
        elif entry.suffix.lstrip(".").lower() in _SOURCES:
            yield entry


if __name__ == "__main__":
    player.serve()
