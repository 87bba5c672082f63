"""Describes a project from what lies in its folder: for somebody who sees it for the first time."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from languages import language_of

from symphony.sdk.project import ProjectFile

_LISTED = 12
"""Rows of a table, and names in a list, that are shown."""
_SAID = 600
"""Characters of the README that are quoted."""
_PROSE = {
    "Markdown",
    "reStructuredText",
    "Text",
    "JSON",
    "YAML",
    "TOML",
    "XML",
    "CSV",
    "INI",
    "Lock file",
    "Other",
}
"""What is not source code, so that it comes after what is."""


@dataclass(slots=True)
class Declared:
    """What the project's own files say of it."""

    name: str = ""
    about: str = ""
    programs: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def describe(folder: str, files: Iterable[ProjectFile]) -> str:
    """Markdown: what it is, its languages, its folders, how it is built and started, what it needs, its tests."""
    languages: dict[str, list[int]] = {}
    folders: dict[str, list[int]] = {}
    declared = Declared()
    readme, licence = "", ""
    tests: list[str] = []
    count = 0
    for file in files:
        count += 1
        text = file.text()
        lines = len(text.splitlines()) if text is not None else 0
        _add(languages, language_of(file.path), lines)
        _add(folders, file.path.partition("/")[0] + "/" if "/" in file.path else "(top)", lines)
        base = file.path.rpartition("/")[2].lower()
        if _is_test(file.path):
            tests.append(file.path)
        if "/" in file.path or text is None:
            continue
        if base.startswith("readme") and not readme:
            readme = text
        elif base.startswith(("license", "licence", "copying")) and not licence:
            licence = next((line.strip() for line in text.splitlines() if line.strip()), "")
        elif base in _READERS:
            try:
                _READERS[base](text, declared)
            except (ValueError, AttributeError, TypeError):
                continue  # a file that its own tool could not read either; the rest still tells something
    lines = [f"# {_plain(declared.name or folder)}", ""]
    said = declared.about or _first_words(readme)
    lines += [_plain(said), ""] if said else []
    lines += [f"{count} files, {sum(n for _, n in languages.values())} lines.", ""]
    lines += _table("Languages", "Language", _ranked(languages))
    lines += _table("Folders", "Folder", sorted(folders.items(), key=lambda item: (-item[1][1], item[0])))
    for heading, names in (
        ("Programs", declared.programs),
        ("Commands", declared.commands),
        ("Needs", declared.needs),
    ):
        lines += _listed(heading, names)
    if tests:
        homes = sorted({path.rpartition("/")[0] or "." for path in tests})
        lines += ["## Tests", "", f"{len(tests)} files, in {_names(homes)}.", ""]
    if licence:
        lines += ["## Licence", "", _plain(licence[:120]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _add(sums: dict[str, list[int]], key: str, lines: int) -> None:
    entry = sums.setdefault(key, [0, 0])
    entry[0] += 1
    entry[1] += lines


def _ranked(languages: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    """Source code first, most lines first."""
    return sorted(languages.items(), key=lambda item: (item[0] in _PROSE, -item[1][1], item[0]))


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return bool(re.match(r"(test_.*|.*_test|.*\.test|.*\.spec|tests?)\.\w+$", name))


def _first_words(readme: str) -> str:
    """The README's first paragraph of prose, without headings, badges and pictures."""
    for block in re.split(r"\n\s*\n", readme):
        text = " ".join(line.strip() for line in block.strip().splitlines())
        is_prose = re.match(r"[\w\"“‘'*_`(]", text) and len(text.split()) > 4
        if is_prose and not re.search(r"^[=\-~^]{3,}$", block, re.MULTILINE):
            return text if len(text) <= _SAID else text[:_SAID].rsplit(" ", 1)[0] + " …"
    return ""


def _plain(text: str) -> str:
    """Foreign text as one line that starts no heading, link or markup of its own."""
    return re.sub(r"([\[\]<>|\\])", r"\\\1", " ".join(text.split())).lstrip("#>-+ ")


def _table(heading: str, column: str, rows: list[tuple[str, list[int]]]) -> list[str]:
    lines = [f"## {heading}", "", f"| {column} | Files | Lines |", "| --- | ---: | ---: |"]
    lines += [f"| {_plain(name)} | {files} | {count} |" for name, (files, count) in rows[:_LISTED]]
    if len(rows) > _LISTED:
        rest = [sum(numbers) for numbers in zip(*(row for _, row in rows[_LISTED:]), strict=True)]
        lines.append(f"| {len(rows) - _LISTED} others | {rest[0]} | {rest[1]} |")
    return [*lines, ""]


def _listed(heading: str, names: list[str]) -> list[str]:
    return [f"## {heading}", "", _names(dict.fromkeys(names)), ""] if names else []


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(f"`{name.replace('`', '')}`" for name in listed[:_LISTED])
    return shown + (f" and {len(listed) - _LISTED} others" if len(listed) > _LISTED else "")


# --- what build files declare --------------------------------------------------------------------
def _pyproject(text: str, declared: Declared) -> None:
    document = tomllib.loads(text)
    project = document.get("project", {})
    poetry = document.get("tool", {}).get("poetry", {})
    _title(
        declared,
        project.get("name") or poetry.get("name"),
        project.get("description") or poetry.get("description"),
    )
    declared.programs += [*project.get("scripts", {}), *poetry.get("scripts", {})]
    declared.needs += [_requirement(line) for line in project.get("dependencies", [])]
    declared.needs += [name for name in poetry.get("dependencies", {}) if name != "python"]


def _requirements(text: str, declared: Declared) -> None:
    declared.needs += [
        _requirement(line) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line.strip())
    ]


def _package_json(text: str, declared: Declared) -> None:
    document: Any = json.loads(text)
    _title(declared, document.get("name"), document.get("description"))
    programs = document.get("bin", {})
    declared.programs += [document.get("name", "")] if isinstance(programs, str) else list(programs)
    declared.commands += [f"npm run {name}" for name in document.get("scripts", {})]
    declared.needs += list(document.get("dependencies", {}))


def _cargo(text: str, declared: Declared) -> None:
    document = tomllib.loads(text)
    package = document.get("package", {})
    _title(declared, package.get("name"), package.get("description"))
    declared.programs += [binary["name"] for binary in document.get("bin", []) if "name" in binary]
    declared.needs += list(document.get("dependencies", {}))
    declared.commands += ["cargo build", "cargo test"]


def _go_mod(text: str, declared: Declared) -> None:
    module = re.search(r"^module\s+(\S+)", text, re.MULTILINE)
    _title(declared, module[1] if module else "", "")
    declared.needs += re.findall(r"^\s*(?:require\s+)?(\S+\.\S+/\S+)\s+v[\d.]", text, re.MULTILINE)
    declared.commands += ["go build ./...", "go test ./..."]


def _makefile(text: str, declared: Declared) -> None:
    declared.commands += [
        f"make {name}" for name in re.findall(r"^([A-Za-z][\w-]*)\s*:(?!=)", text, re.MULTILINE)
    ]


def _title(declared: Declared, name: object, about: object) -> None:
    declared.name = declared.name or str(name or "")
    declared.about = declared.about or str(about or "")


def _requirement(line: str) -> str:
    return re.split(r"[\s;\[<>=!~@]", line.strip(), maxsplit=1)[0]


_READERS: dict[str, Callable[[str, Declared], None]] = {
    "pyproject.toml": _pyproject,
    "requirements.txt": _requirements,
    "package.json": _package_json,
    "cargo.toml": _cargo,
    "go.mod": _go_mod,
    "makefile": _makefile,
}
