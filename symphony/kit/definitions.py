"""What an update changes of the tools of an MCP server, in words that a user can agree to. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from symphony.sdk.mcp.definitions import digest

PREFIX = "definitions:"
"""Begins what stands for an agreement to a set of definitions, among the grants that are agreed to."""

_SHOWN = 160
"""Characters of a description that are shown."""

Tools = Mapping[str, Mapping[str, Any]]


def agreement(pins: bytes) -> str:
    """What a user who agrees to these definitions (the content of `tools.json`) agrees to."""
    return PREFIX + hashlib.sha256(pins).hexdigest()[:32]


def changed_definitions(before: bytes, after: bytes) -> list[str]:
    """A sentence for each difference; none when every tool is as it was. Raises ValueError for what is no
    `tools.json`."""
    old, new = _tools(before), _tools(after)
    return [sentence for name in sorted({*old, *new}) for sentence in _differences(name, old, new)]


def _tools(content: bytes) -> Tools:
    try:
        return {str(tool["name"]): tool for tool in json.loads(content)["tools"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"its definitions lack {error}") from None


def _differences(name: str, old: Tools, new: Tools) -> Iterator[str]:
    before, after = old.get(name), new.get(name)
    if before is None and after is not None:
        yield f"{name} is a new tool: {_quoted(after)}"
    elif after is None:
        yield f"{name} is not there any more"
    elif before is not None and digest(before) != digest(after):
        yield from _changes(name, before, after)


def _changes(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if before.get("description") != after.get("description"):
        yield f"{name} said {_quoted(before)} and now says {_quoted(after)}"
    if before.get("title") != after.get("title"):
        yield f"{name} is now titled “{_short(after.get('title'))}”"
    yield from _schema(f"{name} takes", before.get("inputSchema"), after.get("inputSchema"))
    yield from _schema(f"{name} answers", before.get("outputSchema"), after.get("outputSchema"))
    hints, new_hints = before.get("annotations") or {}, after.get("annotations") or {}
    if hints.get("readOnlyHint") and not new_hints.get("readOnlyHint"):
        yield f"{name} is not said to only read any more"
    elif hints != new_hints:
        changed = [key for key in sorted({*hints, *new_hints}) if hints.get(key) != new_hints.get(key)]
        yield f"{name} has other hints: {', '.join(f'{key} is {new_hints.get(key)}' for key in changed)}"


def _schema(subject: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    old, new = _properties(before), _properties(after)
    said = [
        *(f"{name} ({_kind(new[name])})" for name in new if name not in old),
        *(f"no {name} any more" for name in old if name not in new),
        *(f"another {name}" for name in new if name in old and new[name] != old[name]),
    ]
    yield f"{subject} now {', '.join(said)}" if said else f"{subject} something else: its schema has changed"


def _properties(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def _kind(said: Any) -> str:
    kind = said.get("type") if isinstance(said, dict) else None
    return kind if isinstance(kind, str) else "any"


def _quoted(tool: Mapping[str, Any]) -> str:
    return f"“{_short(tool.get('description') or tool.get('title') or '')}”"


def _short(text: object) -> str:
    said = " ".join(str(text or "").split())
    return said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
