"""What a server's tools are: their digests, what changed of them, and the functions that they become. Pure."""

from __future__ import annotations

import hashlib
import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Tool = Mapping[str, Any]

PINS = "tools.json"
"""The file beside the manifest that holds the definitions."""

# All that a model or a person reads of a tool, and all that decides what a call means.
DEFINING = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")

TEXT, RESULT, BLOCKS = "text", "result", "blocks"
"""The outputs: the text of the answer, its structured content, and its other blocks as records."""


def defining(tool: Tool) -> dict[str, Any]:
    """The part of a definition that is pinned."""
    return {key: tool[key] for key in DEFINING if tool.get(key) is not None}


def digest(tool: Tool) -> str:
    """`sha256:…` over the definition in one form: keys sorted, no spaces, UTF-8."""
    text = json.dumps(defining(tool), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pinned(tools: Iterable[Tool]) -> dict[str, Any]:
    """The document of `tools.json`."""
    return {"tools": [{**defining(tool), "digest": digest(tool)} for tool in tools]}


def drift(pin: Tool, tool: Tool | None) -> str:
    """What is different about a tool, in words; empty when nothing is."""
    if tool is None:
        return "is not offered any more; the server has other tools"
    if digest(tool) == pin["digest"]:
        return ""
    changed = [key for key in DEFINING if tool.get(key) != pin.get(key)]
    return f"has another {' and another '.join(changed)}"


def function_name(tool: str) -> str:
    """The tool's name as a function may be called: lower case, digits, underscores."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", tool).lower()
    name = re.sub(r"[^a-z0-9_]+", "_", snake).strip("_")[:64]
    return name if name and not name[0].isdigit() else f"tool_{name}"[:64]


def argument_names(tool: Tool) -> dict[str, str]:
    """What the properties of a tool are called as inputs and parameters → what the tool calls them.

    Raises ValueError when two of them would be called the same.
    """
    properties = (tool.get("inputSchema") or {}).get("properties") or {}
    names = {function_name(name): name for name in properties}
    if len(names) != len(properties):
        raise ValueError(
            f"two properties of the tool {tool['name']} have names that differ in case or signs only"
        )
    return names


def function_table(tool: Tool) -> dict[str, Any]:
    """The `[[functions]]` table of a tool.

    Objects and lists of objects are inputs (`record`, `list<record>`), and so are strings with a
    `contentMediaType`; everything else is a parameter. Outputs are `text`, `blocks`, and `result` where the
    tool declares an output schema.
    """
    schema = tool.get("inputSchema") or {}
    required = set(schema.get("required") or ())
    inputs: dict[str, str] = {}
    params: dict[str, dict[str, Any]] = {}
    names = argument_names(tool)
    for name, property in names.items():
        said = schema["properties"][property]
        said = said if isinstance(said, dict) else {}
        port = _port(said)
        if port:
            inputs[name] = port
        else:
            params[name] = _param(said, is_required=property in required)
    outputs = {TEXT: "text/plain", BLOCKS: "list<record>"}
    if tool.get("outputSchema"):
        outputs[RESULT] = "record"
    table: dict[str, Any] = {
        "name": function_name(tool["name"]),
        "description": str(tool.get("description") or tool.get("title") or tool["name"]).strip(),
    }
    hints = tool.get("annotations") or {}
    if not hints.get("readOnlyHint"):
        table["effects"] = True
    if inputs:
        table["inputs"] = inputs
        optional = [name for name in inputs if names[name] not in required]
        if optional:
            table["optional"] = optional
    table["outputs"] = outputs
    if params:
        table["params"] = params
    return table


def _kind(said: Mapping[str, Any]) -> str:
    """The one JSON type of a property besides null; empty when there is no such."""
    told = said.get("type")
    kinds = [told] if isinstance(told, str) else list(told or ())
    for choice in said.get("anyOf") or ():
        if isinstance(choice, dict) and isinstance(choice.get("type"), str):
            kinds.append(choice["type"])
    kinds = [kind for kind in dict.fromkeys(kinds) if kind != "null"]
    return kinds[0] if len(kinds) == 1 else ""


def _port(said: Mapping[str, Any]) -> str:
    kind = _kind(said)
    if kind == "object":
        return "record"
    items = said.get("items")
    if kind == "array" and isinstance(items, dict) and _kind(items) == "object":
        return "list<record>"
    media = said.get("contentMediaType")
    return str(media) if kind == "string" and media and re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", media) else ""


def _param(said: Mapping[str, Any], *, is_required: bool) -> dict[str, Any]:
    types = {
        "string": "string",
        "integer": "integer",
        "number": "number",
        "boolean": "boolean",
        "array": "list",
    }
    param: dict[str, Any] = {"type": types.get(_kind(said), "any")}
    if said.get("description"):
        param["description"] = str(said["description"])
    if said.get("default") is not None:
        param["default"] = said["default"]
    elif is_required:
        param["required"] = True
    if said.get("enum") and all(choice is not None for choice in said["enum"]):
        param["choices"] = list(said["enum"])
    if param["type"] in ("integer", "number"):
        for ours, theirs in (("min", "minimum"), ("max", "maximum")):
            if isinstance(said.get(theirs), (int, float)):
                param[ours] = said[theirs]
    return param
