"""Outlines source files and lists their imports from their syntax trees."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from typing import Any

import grammars

_SCOPES = {"class", "interface", "trait", "impl", "module", "struct"}
_METHOD_SCOPES = {"class", "trait", "impl"}


def outline(path: str, text: str, language: str) -> list[dict[str, object]]:
    """Rows of type code/symbol in the order of the source. A function inside a class is a method."""
    source = text.encode("utf-8", "replace")
    found = []
    for kind, captures in _matches(source, language, which=1):
        node = captures[kind][0]
        name = _name(captures)
        if name:
            given = captures.get("parent")
            found.append((node, kind, name, _text(given[0]).lstrip("*") if given else None))
    found.sort(key=lambda item: (item[0].start_byte, -item[0].end_byte))
    rows: list[dict[str, object]] = []
    open_scopes: list[tuple[int, str, str]] = []
    for node, kind, name, given in found:
        while open_scopes and open_scopes[-1][0] <= node.start_byte:
            open_scopes.pop()
        scope = open_scopes[-1] if open_scopes else None
        if kind == "function" and scope and scope[1] in _METHOD_SCOPES:
            kind = "method"
        parent = given or (scope[2] if scope else "")
        if kind in _SCOPES:
            open_scopes.append((node.end_byte, kind, name))
        elif kind in ("function", "method"):
            # What stands inside a function belongs to it and is no method.
            open_scopes.append((node.end_byte, "function", name))
        if kind != "impl":
            rows.append(
                {
                    "file": path,
                    "line": node.start_point[0] + 1,
                    "kind": kind,
                    "name": name,
                    "parent": parent,
                    "lines": node.end_point[0] - node.start_point[0] + 1,
                    "language": language,
                }
            )
    return rows


def defined(text: str, language: str) -> list[Any]:
    """The nodes of all definitions."""
    found = _matches(text.encode("utf-8", "replace"), language, which=1)
    return [captures[kind][0] for kind, captures in found]


def imports(path: str, text: str, language: str, files: Collection[str]) -> list[dict[str, object]]:
    """Rows of type code/import. `files` are the project's paths: they tell its own modules from outside ones."""
    rows: list[dict[str, object]] = []
    for _, captures in _matches(text.encode("utf-8", "replace"), language, which=2):
        node = captures["target"][0]
        written = _text(node)
        module = _module(written, language)
        rows.append(
            {
                "file": path,
                "module": module,
                "line": node.start_point[0] + 1,
                "origin": "project" if _is_own(path, written, module, language, files) else "outside",
                "language": language,
            }
        )
    return rows


def _matches(source: bytes, language: str, which: int) -> list[tuple[str, dict[str, Any]]]:
    """Each match with the capture that is neither name nor target: the kind of what was found."""
    from tree_sitter import Parser, QueryCursor

    loaded = grammars.load(language)
    root = Parser(loaded[0]).parse(source).root_node
    found = []
    for _, captures in QueryCursor(loaded[which]).matches(root):
        kinds = [
            name for name in captures if name not in ("name", "parent", "declarator", "target", "callee")
        ]
        found.append((kinds[0] if kinds else "", captures))
    return found


def _name(captures: dict[str, Any]) -> str:
    if "name" in captures:
        return _text(captures["name"][0])
    # In C the name stands inside nested declarators: `int *(*f(void))(int)`.
    node = captures["declarator"][0]
    while node is not None and node.type not in ("identifier", "field_identifier", "type_identifier"):
        node = node.child_by_field_name("declarator") or next(
            (child for child in node.named_children if child.type.endswith(("declarator", "identifier"))),
            None,
        )
    return _text(node) if node is not None else ""


def _text(node: Any) -> str:
    return bytes(node.text).decode("utf-8", "replace")


def _module(written: str, language: str) -> str:
    if language in ("go", "c"):
        return written.strip('"<>`')
    if language == "rust":
        return written.partition("{")[0].partition(" as ")[0].rstrip(":*").strip()
    return written


def _is_own(path: str, written: str, module: str, language: str, files: Collection[str]) -> bool:
    """Whether the module is the project's own."""
    folder = posixpath.dirname(path)
    if language == "python":
        first = module.partition(".")[0]
        homes = {"", "src/", folder + "/" if folder else ""}
        return module.startswith(".") or any(
            f"{home}{first}.py" in files or f"{home}{first}/__init__.py" in files for home in homes
        )
    if language == "rust":
        return module.split("::")[0] in ("crate", "self", "super")
    if language == "c":
        return written.startswith('"')
    if language == "go":
        return "go.mod" in files and any(
            posixpath.dirname(file) and module.endswith("/" + posixpath.dirname(file)) for file in files
        )
    return module.startswith(".")
