"""The Player symphony/markdown: links, contents and HTML of Markdown documents."""

from __future__ import annotations

import html as markup
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structure

from symphony.sdk import Artifact, Context, player
from symphony.sdk.project import existing, require_project, text_or_file

Rows = list[dict[str, object]]

_SKIPPED = {".git", "node_modules", "vendor", "target", "dist", "build", "__pycache__", ".venv", "venv"}
_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1f2937}"
    "pre,code{font:.9em ui-monospace,monospace;background:#f3f4f6;border-radius:4px}code{padding:.1em .3em}"
    "pre{padding:1rem;overflow:auto}pre code{padding:0}table{border-collapse:collapse}"
    "th,td{border:1px solid #d1d5db;padding:.3rem .6rem}img{max-width:100%}blockquote{border-left:4px solid #d1d5db;"
    "margin-left:0;padding-left:1rem;color:#4b5563}"
    "@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}pre,code{background:#1f2937}"
    "a{color:#93c5fd}th,td{border-color:#374151}}"
)


@player.function
def links(ctx: Context, project: str, path: str | None = None, all: bool = False) -> Rows:
    """Links whose file or heading does not exist; outside addresses are not asked."""
    root = require_project(project).resolve()
    rows: Rows = []
    anchors: dict[Path, set[str]] = {}
    for file in _documents(root / existing(root, path or ".")):
        place = file.relative_to(root).as_posix()
        for link in structure.links(_text(file)):
            problem = _problem(root, file, link.target, anchors)
            if problem or all:
                rows.append(
                    {
                        "file": place,
                        "line": link.line,
                        "target": link.target,
                        "problem": problem or "none",
                        "text": link.text,
                    }
                )
    return rows


@player.function
def contents(
    ctx: Context, project: str | None = None, text: str | None = None, path: str | None = None, depth: int = 3
) -> dict[str, object]:
    """Headings, and a table of contents made of them."""
    found = [h for h in structure.headings(text_or_file(project, text, path)) if h.level <= depth]
    top = min((h.level for h in found), default=1)
    lines = [f"{'  ' * (h.level - top)}- [{h.text}](#{h.anchor})" for h in found]
    return {
        "headings": [
            {"heading": h.text, "level": h.level, "line": h.line, "anchor": h.anchor} for h in found
        ],
        "contents": Artifact("\n".join(lines) + "\n", name="contents.md", type="text/markdown"),
    }


@player.function
def html(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    title: str | None = None,
) -> Artifact:
    """A page that stands alone."""
    document = text_or_file(project, text, path)
    first = structure.headings(document)
    name = title or (first[0].text if first else "Document")
    parser = structure.parser()
    default_check = parser.validateLink
    # Pictures inside the document, as reports have them, are data addresses of SVG.
    parser.validateLink = lambda url: default_check(url) or url.startswith("data:image/svg+xml;base64,")
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{markup.escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{parser.render(document)}</body>\n</html>\n"
    )
    return Artifact(page, name="document.html", type="text/html")


def _problem(root: Path, file: Path, target: str, anchors: dict[Path, set[str]]) -> str:
    """What is wrong with a link; empty when it leads somewhere or out of the project's reach."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "no address"
    if parts.scheme or parts.netloc:
        return ""
    path = unquote(parts.path)
    base = root if path.startswith("/") else file.parent
    goal = Path(posixpath.normpath(base / path.lstrip("/"))) if path else file
    if not goal.is_relative_to(root):
        return "leads out of the project"
    if not goal.exists():
        return "no such file"
    fragment = unquote(parts.fragment)
    if not fragment or goal.suffix.lower() not in (".md", ".markdown"):
        return ""
    if goal not in anchors:
        text = _text(goal)
        named = re.findall(r"""<[^>]+(?:id|name)=["']([^"']+)""", text)
        anchors[goal] = {h.anchor for h in structure.headings(text)} | set(named)
    return "" if fragment.lower() in {a.lower() for a in anchors[goal]} else "no such heading"


def _documents(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for entry in sorted(place.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if entry.name not in _SKIPPED:
                yield from _documents(entry)
        elif entry.suffix.lower() in (".md", ".markdown"):
            yield entry


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


if __name__ == "__main__":
    player.serve()
