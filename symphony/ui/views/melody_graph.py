"""A Melody document as the nodes and edges of a graph, and the changes that the editor makes to it."""

from __future__ import annotations

import copy
import json
import shlex
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from symphony.errors import BadInput
from symphony.ui import words
from symphony.ui.node import Node, h
from symphony.ui.state import Json


def base(player: str) -> str:
    """A Player's name without the version range."""
    return player.partition("@")[0]


def title(player: str) -> str:
    """`git · log` for `symphony/git#log`."""
    extension, _, function = base(player).partition("#")
    return f"{extension.rpartition('/')[2]} · {function}" if function else extension


def graph(
    melody: Json, nodes: Mapping[str, Json], notes: Mapping[str, str], problems: Mapping[str, str]
) -> Json:
    """The props `nodes` and `edges` of a Graph. `notes` and `problems` are by node id.

    The last few are kept: a page is drawn anew at every change, and nothing of ten thousand nodes is another then.
    Neither Melody nor answer may be changed in place; what the editor changes is a new document.
    """
    for known in _made:
        if known.melody is melody and known.nodes is nodes and known.said == (notes, problems):
            return known.props
    props = _props(melody, nodes, notes, problems)
    _made.appendleft(_Made(melody, nodes, (dict(notes), dict(problems)), props))
    return props


class _Made(NamedTuple):
    """What `graph` answered, and what for."""

    melody: Json
    nodes: Mapping[str, Json]
    said: tuple[Mapping[str, str], Mapping[str, str]]
    props: Json


_made: deque[_Made] = deque(maxlen=4)


def _props(
    melody: Json, nodes: Mapping[str, Json], notes: Mapping[str, str], problems: Mapping[str, str]
) -> Json:
    return {
        "nodes": [
            {
                "id": node["id"],
                "title": title(node["player"]),
                "player": node["player"],
                "kind": node.get("kind", "operator"),
                **_text(node, nodes.get(base(node["player"]), {})),
                "inputs": _ports(nodes.get(base(node["player"]), {}), "inputs"),
                "outputs": _ports(nodes.get(base(node["player"]), {}), "outputs"),
                **({"note": notes[node["id"]]} if node["id"] in notes else {}),
                **({"problem": problems[node["id"]]} if node["id"] in problems else {}),
            }
            for node in melody.get("nodes", [])
        ],
        "edges": [_edge(edge) for edge in melody.get("edges", [])],
    }


def _text(node: Json, spec: Json) -> Json:
    """What the step does, where its name says no more than its Player's."""
    function = base(node["player"]).partition("#")[2]
    said = str(spec.get("description") or "")
    return {"text": said} if said and node["id"].rstrip("0123456789") == function else {}


def _ports(spec: Json, side: str) -> list[Json]:
    optional = spec.get("optional") or ()
    return [
        {"name": name, "type": kind, **({"optional": True} if name in optional else {})}
        for name, kind in (spec.get(side) or {}).items()
        if kind != "project"
    ]


def edge_id(edge: Json) -> str:
    """What names an edge within its Melody."""
    return f"{edge['from']}→{edge['to']}"


def _edge(edge: Json) -> Json:
    source, _, source_port = str(edge["from"]).partition(".")
    target, _, target_port = str(edge["to"]).partition(".")
    out = {
        "id": edge_id(edge),
        "source": source,
        "target": target,
        "kind": edge.get("kind", "data"),
    }
    if source_port:
        out["sourcePort"] = source_port
    if target_port:
        out["targetPort"] = target_port
    if edge.get("when"):
        out["label"] = str(edge["when"])
    return out


# --- changes: each answers with a new document -------------------------------------------------
def with_node(melody: Json, player: str, kind: str) -> tuple[Json, str]:
    """The Melody with one more node, and that node's id."""
    changed = copy.deepcopy(melody)
    taken = {node["id"] for node in changed["nodes"]}
    stem = base(player).partition("#")[2] or "node"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}{number}"
    changed["nodes"].append({"id": name, "kind": kind, "player": player})
    return changed, name


def without_node(melody: Json, node: str) -> Json:
    """The Melody without a node and its edges."""
    changed = copy.deepcopy(melody)
    changed["nodes"] = [known for known in changed["nodes"] if known["id"] != node]
    changed["edges"] = [
        edge
        for edge in changed.get("edges", [])
        if node not in (str(edge["from"]).partition(".")[0], str(edge["to"]).partition(".")[0])
    ]
    return changed


def with_edge(melody: Json, source: str, target: str) -> Json:
    """The Melody with a data edge between two ports in the form `node.port`."""
    if "." not in source or "." not in target:
        raise BadInput("A connection joins an output to an input", remedy="choose a port on both sides")
    changed = copy.deepcopy(melody)
    edges = changed.setdefault("edges", [])
    edge = {"kind": "data", "from": source, "to": target}
    if edge_id(edge) not in {edge_id(known) for known in edges}:
        edges.append(edge)
    return changed


def without_edge(melody: Json, edge: str) -> Json:
    """The Melody without one edge."""
    changed = copy.deepcopy(melody)
    changed["edges"] = [known for known in changed.get("edges", []) if edge_id(known) != edge]
    return changed


def with_param(melody: Json, node: str, name: str, value: Any) -> Json:
    """The Melody with a parameter set, or back at its default when `value` is None."""
    changed = copy.deepcopy(melody)
    for known in changed["nodes"]:
        if known["id"] == node:
            params = known.setdefault("params", {})
            if value is None:
                params.pop(name, None)
            else:
                params[name] = value
    return changed


# --- parameters ------------------------------------------------------------------------------
def read_param(spec: Json, value: Any) -> Any:
    """The value of a parameter from what a field holds; None means the default.

    Raises BadInput when the text does not fit the parameter's type.
    """
    kind = spec.get("type", "string")
    if not isinstance(value, str):
        return value
    if value.strip() == "":
        return None
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
        if kind == "list":
            return json.loads(value) if value.lstrip().startswith("[") else shlex.split(value)
        if kind == "any":
            return json.loads(value)
    except ValueError as error:
        raise BadInput(f"{value!r} is no {kind}", remedy="give a value of that type") from error
    return value


def show_param(value: Any) -> str:
    """What a field holds for the value of a parameter."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)
    return json.dumps(value, ensure_ascii=False)


def param_fields(prefix: str, node: Json, specs: Mapping[str, Json]) -> list[Node]:
    """A field for each parameter of a node; their keys are `prefix:node/parameter`."""
    params = node.get("params") or {}
    names = [*specs, *(name for name in params if name not in specs)]
    return [
        _field(f"{prefix}:{node['id']}/{name}", name, specs.get(name, {}), params.get(name)) for name in names
    ]


def _field(key: str, name: str, spec: Json, value: Any) -> Node:
    kind, default = spec.get("type", "string"), spec.get("default")
    text = spec.get("description") or None
    if kind == "boolean":
        on = bool(default) if value is None else bool(value)
        return h("Switch", key=key, label=words.label(name), value=on, text=text)
    if spec.get("choices"):
        chosen = default if value is None else value
        options = [{"value": str(choice), "label": str(choice)} for choice in spec["choices"]]
        return h("Select", key=key, label=words.label(name), value=str(chosen), options=options, text=text)
    return h(
        "TextBox",
        key=key,
        label=words.label(name),
        value=show_param(value),
        placeholder=show_param(default) or ("required" if spec.get("required") else None),
        kind="number" if kind in ("integer", "number") else "text",
        text=text,
    )
