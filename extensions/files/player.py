"""The Player symphony/files: the project's files, listed, searched, read, written and measured."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from languages import language_of
from overview import describe
from replacing import compiled, replaced

from symphony.sdk import Artifact, Context, PlayerFailure, player
from symphony.sdk.project import ProjectFile, inside, read_text, require_project, walk

Rows = list[dict[str, object]]

_TYPES = {
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".htm": "text/html",
    ".diff": "text/x-diff",
}
_LINE = 400
"""Characters of a matching line that are shown: generated files have lines of megabytes."""


@player.function(name="list")
def list_files(
    ctx: Context,
    project: str,
    pattern: str = "**",
    path: str | None = None,
    ignored: bool = False,
    sort: str = "name",
    limit: int | None = None,
) -> Rows:
    """Files with size, language and time of change."""
    files = list(walk(require_project(project), below=path, pattern=pattern, ignored=ignored))
    if sort == "size":
        files.sort(key=lambda f: (-f.size, f.path))
    elif sort == "modified":
        files.sort(key=lambda f: (-f.modified, f.path))
    return [
        {
            "file": file.path,
            "bytes": file.size,
            "language": language_of(file.path),
            "modified": datetime.fromtimestamp(file.modified, UTC).isoformat(timespec="seconds"),
        }
        for file in files[:limit]
    ]


@player.function
def search(
    ctx: Context,
    project: str,
    query: str,
    regex: bool = False,
    case_sensitive: bool = False,
    pattern: str = "**",
    path: str | None = None,
    limit: int = 1000,
) -> Rows:
    """Lines that contain a text or match a regular expression."""
    if not query:
        raise PlayerFailure("There is nothing to search for", remedy="give a query", code="bad_input")
    try:
        wanted = re.compile(query if regex else re.escape(query), 0 if case_sensitive else re.IGNORECASE)
    except re.error as error:
        raise PlayerFailure(
            f"{query!r} is no regular expression: {error}",
            remedy="mend it, or set regex to false",
            code="bad_input",
        ) from error
    rows: Rows = []
    for file in walk(require_project(project), below=path, pattern=pattern):
        if ctx.cancelled:
            break
        text = file.text()
        if text is None or (wanted.search(text) is None and "^" not in query and "$" not in query):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = wanted.search(line)
            if match is None:
                continue
            rows.append(
                {"file": file.path, "line": number, "column": match.start() + 1, "text": line.strip()[:_LINE]}
            )
            if len(rows) >= limit:
                return rows
    return rows


@player.function
def read(ctx: Context, project: str, path: str, encoding: str = "utf-8") -> Artifact:
    """The text of one file."""
    root = require_project(project)
    place = inside(root, path)
    name = place.rpartition("/")[2]
    suffix = "." + name.rpartition(".")[2].lower()
    return Artifact(read_text(root, place, encoding), name=name, type=_TYPES.get(suffix, "text/plain"))


@player.function
def write(
    ctx: Context, project: str, content: str, path: str, append: bool = False, overwrite: bool = True
) -> str:
    """Writes text to a file and gives its path."""
    root = require_project(project)
    place = inside(root, path)
    target = root / place
    if target.is_dir():
        raise PlayerFailure(f"{place} is a folder", remedy="name a file in it", code="bad_input")
    if target.exists() and not overwrite and not append:
        raise PlayerFailure(
            f"{place} exists already",
            remedy="allow it to be overwritten, or name another file",
            code="bad_input",
        )
    before = target.read_bytes() if append and target.exists() else b""
    ctx.write(place, before + content.encode("utf-8"))
    return place


@player.function
def replace(
    ctx: Context,
    project: str,
    text: str,
    replacement: str,
    regex: bool = False,
    whole_words: bool = True,
    case_sensitive: bool = True,
    pattern: str = "**",
    path: str | None = None,
) -> dict[str, object]:
    """Another text in its place, in every file that has it; nothing is written before all of it is known."""
    wanted = compiled(text, regex=regex, whole_words=whole_words, case_sensitive=case_sensitive)
    found = []
    for file in walk(require_project(project), below=path, pattern=pattern):
        if ctx.cancelled:
            break
        change = replaced(file, wanted, replacement, regex=regex)
        if change is not None:
            found.append(change)
    if not ctx.cancelled:
        for change in found:
            ctx.write(change.path, change.content)
    patch = "".join(change.patch for change in found)
    return {
        "changed": [{"file": change.path, "replaced": change.times} for change in found],
        "patch": Artifact(patch, name="replaced.diff", type="text/x-diff"),
    }


@player.function(name="overview")
def project_overview(ctx: Context, project: str) -> Artifact:
    """What the project is, for somebody who sees it for the first time."""
    root = require_project(project)
    return Artifact(describe(root.name, walk(root)), name="overview.md", type="text/markdown")


@player.function
def stats(ctx: Context, project: str, path: str | None = None, pattern: str = "**") -> Rows:
    """Files, lines and bytes of each language."""
    rows: dict[str, dict[str, int]] = {}
    for file in walk(require_project(project), below=path, pattern=pattern):
        row = rows.setdefault(language_of(file.path), dict.fromkeys(("files", "lines", "blank", "bytes"), 0))
        lines, blank = _count(file)
        row["files"] += 1
        row["lines"] += lines
        row["blank"] += blank
        row["bytes"] += file.size
    total = sum(row["lines"] for row in rows.values())
    ranked = sorted(rows.items(), key=lambda item: (-item[1]["lines"], item[0]))
    return [
        {"language": language, **row, "percent": round(100 * row["lines"] / total, 1) if total else 0.0}
        for language, row in ranked
    ]


def _count(file: ProjectFile) -> tuple[int, int]:
    """Lines and blank lines; a binary file has none."""
    text = file.text()
    if text is None:
        return 0, 0
    lines = text.splitlines()
    return len(lines), sum(not line.strip() for line in lines)


if __name__ == "__main__":
    player.serve()
