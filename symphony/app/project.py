"""The open project: what can be said of a folder without running anything in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symphony.errors import BadInput

LANGUAGES = {
    ".py": "Python", ".pyi": "Python", ".rs": "Rust", ".go": "Go", ".c": "C", ".h": "C", ".cpp": "C++",
    ".cc": "C++", ".hpp": "C++", ".js": "JavaScript", ".jsx": "JavaScript", ".mjs": "JavaScript",
    ".ts": "TypeScript", ".tsx": "TypeScript", ".java": "Java", ".kt": "Kotlin", ".rb": "Ruby",
    ".php": "PHP", ".cs": "C#", ".swift": "Swift", ".sh": "Shell", ".md": "Markdown", ".csv": "CSV",
    ".json": "JSON", ".yaml": "YAML", ".yml": "YAML", ".toml": "TOML", ".sql": "SQL", ".html": "HTML",
    ".css": "CSS",
}  # fmt: skip
DATA = {"CSV", "JSON"}
_SKIPPED = {".git", "node_modules", ".venv", "venv", "target", "dist", "build", "__pycache__", ".mypy_cache"}
FILES_SEEN = 20_000
"""A look at a project stops after so many files: it must take milliseconds, not minutes."""


@dataclass(slots=True)
class ProjectView:
    """A project as the Conductor and the page see it. `languages` counts files."""

    path: Path
    is_git: bool
    languages: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The answer of `HostPort.project`."""
        return {
            "path": str(self.path),
            "name": self.path.name,
            "is_git": self.is_git,
            "languages": self.languages,
            "examples": self.examples(),
        }

    def examples(self) -> list[str]:
        """Prompts that make sense in this folder."""
        code = sum(n for name, n in self.languages.items() if name not in DATA | {"Markdown", "YAML", "TOML"})
        found = []
        if self.is_git and code:
            found.append(
                "Which files change most and are hardest to maintain? Write me a report with a chart"
            )
        if self.is_git:
            found.append("Who committed in the last 90 days? Show it as a chart")
        if code:
            found.append("List all TODO comments and write them to a report")
            found.append("Find functions that are too complex")
        if self.languages.get("Python"):
            found.append("Find dead code in the Python files")
        if self.languages.get("CSV"):
            name = next((f for f in self.files if f.endswith(".csv")), "data.csv")
            found.append(f"Read {name} and show the first 10 rows as a table")
        if self.languages.get("Markdown"):
            found.append("Summarise the README")
        return found[:5] or ["List the largest files"]


def resolve_project(path: str | os.PathLike[str]) -> Path:
    """The project's folder, absolute and without links. Raises BadInput when it is none."""
    given = Path(path).expanduser()
    if not given.exists():
        raise BadInput(f"There is no folder {given}", remedy="give an existing folder with --project")
    if not given.is_dir():
        raise BadInput(f"{given} is no folder", remedy="give the project's folder with --project")
    return given.resolve()


def look_at(path: Path) -> ProjectView:
    """Looks at a project's files, names only."""
    view = ProjectView(path, is_git=in_git(path))
    languages: dict[str, int] = {}
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(d for d in folders if d not in _SKIPPED and not d.startswith("."))
        for file in sorted(files):
            view.files.append(str((Path(folder) / file).relative_to(path)))
            language = LANGUAGES.get(Path(file).suffix.lower())
            if language:
                languages[language] = languages.get(language, 0) + 1
        if len(view.files) >= FILES_SEEN:
            break
    view.languages = dict(sorted(languages.items(), key=lambda item: -item[1]))
    view.branches = _branches(path)
    return view


def in_git(path: Path) -> bool:
    """Whether a folder is in a git repository by now."""
    return _git_folder(path) is not None


def _git_folder(path: Path) -> Path | None:
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder / ".git"
    return None


def _branches(path: Path) -> list[str]:
    """The branches and tags by name, at most 500, whether git keeps them in files of their own or packed."""
    git = _git_folder(path)
    if git is None:
        return []
    names = {
        str(file.relative_to(folder))
        for folder in (git / "refs" / "heads", git / "refs" / "tags")
        if folder.is_dir()
        for file in folder.rglob("*")
        if file.is_file()
    }
    try:
        packed = (git / "packed-refs").read_text("utf-8", "replace")
    except OSError:
        packed = ""
    names.update(re.findall(r"^[0-9a-f]+ refs/(?:heads|tags)/(\S+)$", packed, re.MULTILINE))
    return sorted(names)[:500]
