"""The nodes of a Melody document that the Conductor knows, as a draft to which it can add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conductor.draft import DraftNode, Output
from conductor.episode import Table

Document = dict[str, Any]


@dataclass(slots=True)
class Standing:
    """The part of a document that the Conductor knows: its Players as a draft, and their ids by place."""

    nodes: list[DraftNode] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def place(self, node: str) -> int:
        """Where a node stands; -1 for one that the Conductor does not know (a control, a missing Player)."""
        return self.ids.index(node) if node in self.ids else -1


def standing_of(table: Table, document: Document) -> Standing:
    """The document's known Players as draft nodes, sources before those that take from them."""
    by_player = {spec.player: index for index, spec in enumerate(table.functions)}
    known = {}
    for node in document["nodes"]:
        function = by_player.get(str(node.get("player", "")).partition("@")[0])
        if function is not None:
            known[node["id"]] = function
    feeds: dict[str, list[tuple[str, str, str]]] = {}
    for edge in document["edges"]:
        source, target = node_of(edge["from"]), node_of(edge["to"])
        if edge["kind"] == "data" and source in known and target in known:
            feeds.setdefault(target, []).append((port_of(edge["to"]), source, port_of(edge["from"])))
    standing = Standing()
    waiting = list(known)
    while waiting:
        ready = [n for n in waiting if all(s in standing.ids for _, s, _ in feeds.get(n, ()))]
        for name in ready or waiting[:1]:
            spec = table.functions[known[name]]
            inputs: dict[str, list[Output]] = {}
            for port, source, output in feeds.get(name, ()):
                if port in spec.inputs and source in standing.ids:
                    inputs.setdefault(port, []).append((standing.ids.index(source), output))
            standing.nodes.append(DraftNode(known[name], spec, inputs))
            standing.ids.append(name)
            waiting.remove(name)
    return standing


def above(nodes: Sequence[DraftNode], place: int) -> set[int]:
    """The places of the nodes that one depends on."""
    found: set[int] = set()
    waiting = [place]
    while waiting:
        for sources in nodes[waiting.pop()].inputs.values():
            waiting += [s for s, _ in sources if s not in found]
            found |= {s for s, _ in sources}
    return found


def node_of(end: str) -> str:
    """The node of an edge's end, `node.port`."""
    return end.partition(".")[0]


def port_of(end: str) -> str:
    """The port of an edge's end; empty for a whole node."""
    return end.partition(".")[2]
