"""The Player symphony/diagram: Mermaid diagrams from imports and outlines."""

from __future__ import annotations

import posixpath
import re
from collections import Counter

from symphony.sdk import Artifact, Context, player

Rows = list[dict[str, object]]

_CLASSES = {"class", "struct", "interface", "trait", "enum"}
_METHODS = 12


@player.function
def modules(ctx: Context, imports: Rows, depth: int = 2, outside: bool = False, limit: int = 60) -> Artifact:
    """Which box depends on which; the number on an arrow is how many imports it stands for."""
    files = {str(row["file"]) for row in imports}
    folders = {posixpath.dirname(file) for file in files}
    arrows: Counter[tuple[str, str]] = Counter()
    foreign: set[str] = set()
    for row in imports:
        source = _box(posixpath.dirname(str(row["file"])), depth)
        own = _target(str(row["file"]), str(row["module"]), str(row["language"]), files, folders)
        if own is not None:
            target = _box(own, depth)
            if target != source:
                arrows[source, target] += 1
        elif outside and row["origin"] == "outside":
            target = _package(str(row["module"]))
            foreign.add(target)
            arrows[source, target] += 1
    strongest = sorted(arrows.items(), key=lambda item: (-item[1], item[0]))[:limit]
    boxes = sorted({box for pair, _ in strongest for box in pair})
    names = {box: f"n{i}" for i, box in enumerate(boxes)}
    lines = ["flowchart LR"]
    lines += [f"  {names[b]}([{_label(b)}])" if b in foreign else f"  {names[b]}[{_label(b)}]" for b in boxes]
    lines += [f"  {names[a]} -->|{count}| {names[b]}" for (a, b), count in sorted(strongest)]
    if not strongest:
        lines.append(f"  n0[{_label('no dependencies between folders')}]")
    return _artifact("Modules", lines, "modules.md")


@player.function
def classes(ctx: Context, symbols: Rows, limit: int = 30) -> Artifact:
    """Classes with their methods."""
    kinds = {str(row["name"]): str(row["kind"]) for row in symbols if row["kind"] in _CLASSES}
    methods: dict[str, list[str]] = {name: [] for name in kinds}
    for row in symbols:
        if row["kind"] == "method" and str(row["parent"]) in methods:
            methods[str(row["parent"])].append(str(row["name"]))
    ranked = sorted(kinds, key=lambda name: (-len(methods[name]), name))[:limit]
    lines = ["classDiagram"]
    for name in sorted(ranked):
        lines.append(f"  class {_identifier(name)} {{")
        if kinds[name] != "class":
            lines.append(f"    <<{kinds[name]}>>")
        lines += [f"    {_identifier(method)}()" for method in methods[name][:_METHODS]]
        if len(methods[name]) > _METHODS:
            lines.append(f"    and_{len(methods[name]) - _METHODS}_more()")
        lines.append("  }")
    if not ranked:
        lines.append("  class nothing_found")
    return _artifact("Classes", lines, "classes.md")


def _target(file: str, module: str, language: str, files: set[str], folders: set[str]) -> str | None:
    """The folder of the project's own file that an import means, or None when it is not among those seen."""
    here = posixpath.dirname(file)
    if language == "python":
        dots = len(module) - len(module.lstrip("."))
        base = here
        for _ in range(dots - 1):
            base = posixpath.dirname(base)
        rest = module.lstrip(".").replace(".", "/")
        for start in [base] if dots else ["", "src", here]:
            place = posixpath.join(start, rest) if rest else start
            if f"{place}.py" in files:
                return posixpath.dirname(place)
            if place in folders:
                return place
            if "/" in rest and posixpath.dirname(place) in folders:
                # A file of the project that imports nothing itself, so that it is not among those seen.
                return posixpath.dirname(place)
        return None
    if module.startswith("."):
        place = posixpath.normpath(posixpath.join(here, module))
        return place if place in folders else posixpath.dirname(place)
    if language == "c":
        place = posixpath.normpath(posixpath.join(here, module))
        return posixpath.dirname(place) if place in files else None
    if language == "go":
        return max((f for f in folders if f and module.endswith("/" + f)), key=len, default=None)
    return None


def _box(folder: str, depth: int) -> str:
    return "/".join(folder.split("/")[:depth]) or "(top)"


def _package(module: str) -> str:
    if module.startswith("@"):
        return "/".join(module.split("/")[:2])
    return re.split(r"[./:]", module)[0] or module


def _identifier(name: str) -> str:
    return re.sub(r"[^\w$]", "_", name)


def _label(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'


def _artifact(title: str, lines: list[str], name: str) -> Artifact:
    diagram = "\n".join(lines)
    return Artifact(f"## {title}\n\n```mermaid\n{diagram}\n```\n", name=name, type="text/markdown")


if __name__ == "__main__":
    player.serve()
