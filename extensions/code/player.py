"""The Player symphony/code: what the project's source code contains and where it is hard to maintain."""

from __future__ import annotations

from collections.abc import Iterator

import complexity as measuring
import documented
import duplicates as repeating
import grammars
import hotspots as ranking
import linting
import notes
import syntax
import unused

from symphony.sdk import Context, PlayerFailure, player
from symphony.sdk.project import ProjectFile, existing, require_project, walk

Rows = list[dict[str, object]]


@player.function
def outline(
    ctx: Context, project: str, path: str | None = None, language: str | None = None, kind: str | None = None
) -> Rows:
    """Classes, functions, methods and types."""
    rows: Rows = []
    for file, text, name in _parsed(ctx, project, path, language):
        rows += syntax.outline(file.path, text, name)
    return [row for row in rows if not kind or row["kind"] == kind.lower()]


@player.function
def undocumented(
    ctx: Context, project: str, path: str | None = None, language: str | None = None, private: bool = False
) -> Rows:
    """Definitions that nobody has described."""
    rows: Rows = []
    for file, text, name in _parsed(ctx, project, path, language):
        rows += documented.undocumented(file.path, text, name, private)
    return rows


@player.function
def duplicates(
    ctx: Context, project: str, path: str | None = None, minimum: int = 8, limit: int | None = None
) -> Rows:
    """Passages that stand in more than one place."""
    sources = [f for f in walk(require_project(project), below=path) if measuring.can_measure(f.path)]
    return repeating.find(((file.path, text) for file, text in _texts(ctx, sources)), minimum)[:limit]


@player.function
def imports(ctx: Context, project: str, path: str | None = None, language: str | None = None) -> Rows:
    """Which module each file imports."""
    known = {file.path for file in walk(require_project(project))}
    rows: Rows = []
    for file, text, name in _parsed(ctx, project, path, language):
        rows += syntax.imports(file.path, text, name, known)
    return rows


@player.function
def complexity(
    ctx: Context, project: str, path: str | None = None, minimum: int = 1, limit: int | None = None
) -> dict[str, Rows]:
    """Cyclomatic complexity of functions and files."""
    files: Rows = []
    functions: Rows = []
    sources = [
        file for file in walk(require_project(project), below=path) if measuring.can_measure(file.path)
    ]
    for file, text in _texts(ctx, sources):
        try:
            row, found = measuring.measure(file.path, text)
        except (RecursionError, IndexError, AttributeError, ValueError) as error:
            # lizard's readers are tolerant but not complete; one odd file must not hide the others.
            ctx.log(f"lizard cannot read {file.path}: {error!r}", level="warning")
            continue
        files.append(row)
        functions += [item for item in found if _number(item, "complexity") >= minimum]
    files.sort(key=lambda r: (-_number(r, "complexity"), str(r["file"])))
    functions.sort(key=lambda r: (-_number(r, "complexity"), str(r["file"]), _number(r, "line")))
    return {"files": files[:limit], "functions": functions[:limit]}


@player.function
def hotspots(ctx: Context, churn: Rows, complexity: Rows, limit: int | None = None) -> Rows:
    """Files that both change often and are complex."""
    return ranking.rank(churn, complexity)[:limit]


@player.function
def lint(
    ctx: Context,
    project: str,
    path: str | None = None,
    select: list[str] | None = None,
    limit: int | None = None,
) -> Rows:
    """What ruff finds."""
    root = require_project(project)
    place = existing(root, path) if path else "."
    return linting.lint(ctx, root, place, select or [])[:limit]


@player.function
def dead_code(ctx: Context, project: str, path: str | None = None, confidence: int = 60) -> Rows:
    """Python code that nothing uses."""
    # Uses anywhere in the project count, so all of it is read and the path only limits what is shown.
    root = require_project(project)
    sources = [file for file in walk(root) if file.path.endswith(".py")]
    rows = unused.find(((file.path, text) for file, text in _texts(ctx, sources)), confidence)
    if not path:
        return rows
    wanted = {file.path for file in walk(root, below=path)}
    return [row for row in rows if row["file"] in wanted]


@player.function
def todos(ctx: Context, project: str, path: str | None = None, markers: list[str] | None = None) -> Rows:
    """Open notes in comments."""
    pattern = notes.compile_markers(markers or ["TODO", "FIXME", "HACK", "XXX", "BUG"])
    rows: Rows = []
    sources = list(walk(require_project(project), below=path))
    for file, text in _texts(ctx, sources):
        rows += notes.find(file.path, text, pattern)
    return rows


def _parsed(
    ctx: Context, project: str, path: str | None, language: str | None
) -> Iterator[tuple[ProjectFile, str, str]]:
    """Files that a grammar reads, with their text and the grammar's name."""
    if language and language not in grammars.GRAMMARS:
        raise PlayerFailure(
            f"There is no grammar for {language}",
            remedy=f"choose one of {', '.join(grammars.GRAMMARS)}",
            code="bad_input",
        )
    sources = []
    for file in walk(require_project(project), below=path):
        name = grammars.language_of(file.path)
        if name and name == (language or name):
            sources.append(file)
    for file, text in _texts(ctx, sources):
        yield file, text, str(grammars.language_of(file.path))


def _texts(ctx: Context, files: list[ProjectFile]) -> Iterator[tuple[ProjectFile, str]]:
    """Each text file with its content, telling how far it is."""
    step = max(len(files) // 50, 10)
    for number, file in enumerate(files):
        if ctx.cancelled:
            return
        if number % step == 0:
            ctx.progress(number / len(files), file.path)
        text = file.text()
        if text is not None:
            yield file, text


def _number(row: dict[str, object], column: str) -> float:
    value = row[column]
    return float(value) if isinstance(value, int | float) else 0.0


if __name__ == "__main__":
    player.serve()
