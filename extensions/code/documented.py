"""Tells which definitions nobody has described: no docstring inside, no comment before."""

from __future__ import annotations

from typing import Any

import syntax

_KINDS = {"class", "function", "method", "struct", "enum", "interface", "trait", "type"}
_BETWEEN = {"attribute_item", "decorator"}
"""What may stand between a comment and what it describes."""
_AROUND = {"export_statement", "decorated_definition", "type_declaration"}
"""What the comment stands before when it holds the definition."""


def undocumented(path: str, text: str, language: str, private: bool) -> list[dict[str, object]]:
    """Rows of type code/symbol. Without `private` only names that others are meant to use are looked at."""
    described = {
        node.start_point[0] + 1 for node in syntax.defined(text, language) if _is_described(node, language)
    }
    lines = text.split("\n")
    return [
        row
        for row in syntax.outline(path, text, language)
        if row["kind"] in _KINDS
        and row["line"] not in described
        and (private or _is_public(language, str(row["name"]), lines[int(str(row["line"])) - 1]))
    ]


def _is_public(language: str, name: str, line: str) -> bool:
    match language:
        case "python":
            return not name.startswith("_")
        case "rust":
            return line.lstrip().startswith("pub")
        case "go":
            return name[:1].isupper()
        case "c":
            return "static" not in line.split()
    return not name.startswith(("_", "#")) and "private " not in line


def _is_described(node: Any, language: str) -> bool:
    if language == "python":
        body = node.child_by_field_name("body")
        first = body.named_children[0] if body is not None and body.named_children else None
        return (
            first is not None and first.type == "expression_statement" and first.children[0].type == "string"
        )
    while node.parent is not None and node.parent.type in _AROUND:
        node = node.parent
    if node.type == "variable_declarator":
        node = node.parent.parent if node.parent.parent.type in _AROUND else node.parent
    before = node.prev_named_sibling
    while before is not None and before.type in _BETWEEN:
        before = before.prev_named_sibling
    return before is not None and "comment" in before.type
