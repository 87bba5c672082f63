"""Definitions of an MCP server's tools that changed at a call: what the user is asked, and what was agreed to since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symphony.errors import BadInput, NotFound
from symphony.kit.definitions import PREFIX, changed_definitions
from symphony.kit.state import VersionRecord
from symphony.sdk.mcp.definitions import PINS, defining, digest

LARGEST = 256 << 10
"""Characters of one definition."""
ASKED = 64
"""Questions of one version that are kept; the oldest goes first."""

Tool = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What a user is asked: the word that agrees to it, and the differences in plain words."""

    grant: str
    differences: list[str]


def ask(record: VersionRecord, folder: Path, tool: Any) -> Question | None:
    """None when `tool` is what was pinned or agreed to; else the question, which `record` keeps.

    Raises BadInput for what is no definition of a tool of this version.
    """
    if not isinstance(tool, dict) or len(json.dumps(tool)) > LARGEST:
        raise BadInput("A tool's definition must be a map of at most 256 KiB")
    tool = defining(tool)
    before = record.agreed_tools.get(str(tool.get("name"))) or _pinned(folder).get(str(tool.get("name")))
    if before is None:
        raise BadInput(f"The tool {tool.get('name')} is none of those that were agreed to")
    if digest(before) == digest(tool):
        return None
    grant = f"{PREFIX}{tool['name']}:{digest(tool).removeprefix('sha256:')[:16]}"
    record.asked_tools.pop(grant, None)
    record.asked_tools[grant] = tool
    while len(record.asked_tools) > ASKED:
        del record.asked_tools[next(iter(record.asked_tools))]
    said = changed_definitions(*(json.dumps({"tools": [one]}).encode() for one in (before, tool)))
    return Question(grant, said)


def agree(record: VersionRecord, grant: str) -> None:
    """Pins anew what was asked. Raises NotFound for what was not."""
    tool = record.asked_tools.pop(grant, None)
    if tool is None:
        raise NotFound(f"Nothing is asked as {grant}", remedy="call the tool again to be asked")
    record.agreed_tools[str(tool["name"])] = tool


def take_back(record: VersionRecord, grant: str) -> None:
    """Goes back to what the package pinned. Raises NotFound for what was not agreed to."""
    for name, tool in record.agreed_tools.items():
        if grant == f"{PREFIX}{name}:{digest(tool).removeprefix('sha256:')[:16]}":
            del record.agreed_tools[name]
            return
    raise NotFound(f"{grant} was not agreed to", remedy="`symphony ext permissions` shows what is")


def _pinned(folder: Path) -> dict[str, Tool]:
    try:
        return {str(tool["name"]): tool for tool in json.loads((folder / PINS).read_bytes())["tools"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{PINS} of the extension cannot be read: {error}", remedy="install it again"
        ) from None
