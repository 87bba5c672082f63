"""How a melody hangs together: who plays its nodes, and the types that flow along its edges. Without recursion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symphony.melody.control import CONTROL_PLAYERS, EXTENSION, PASSES_VALUE
from symphony.melody.model import Edge, Melody, Node
from symphony.types.players import FunctionSpec
from symphony.types.port_types import ANY, element_type, is_port_type

Catalogue = Mapping[str, FunctionSpec]


def spec_of(node: Node, catalogue: Catalogue) -> FunctionSpec | None:
    """The Player of a node, control Players included; None when nobody knows it."""
    return catalogue.get(node.player_name) or CONTROL_PLAYERS.get(node.player_name)


def output_types(melody: Melody, catalogue: Catalogue) -> dict[tuple[str, str], str]:
    """The type of every output port, by node and port.

    That of a control Player follows from what is connected to it: `if` passes on what it gets, `join`
    makes a list of it, `map` a list of what its Player answers. Unknown Players have no ports.
    """
    from pit_native import DagTracker

    nodes = {node.id: node for node in melody.nodes}
    incoming: dict[str, list[Edge]] = {}
    for edge in melody.edges:
        if edge.kind == "data" and edge.source_node in nodes and edge.target_node in nodes:
            incoming.setdefault(edge.target_node, []).append(edge)
    pairs = [(e.source_node, e.target_node) for edges in incoming.values() for e in edges]
    types: dict[tuple[str, str], str] = {}
    ordered = DagTracker.sortable(list(nodes), pairs)
    for node_id in dict.fromkeys((*ordered, *nodes)):  # those in cycles last
        spec = spec_of(nodes[node_id], catalogue)
        if spec is None:
            continue
        for port, port_type in spec.outputs.items():
            types[node_id, port] = port_type
        if spec.extension == EXTENSION:
            sources = [types.get((e.source_node, e.source_port), ANY) for e in incoming.get(node_id, [])]
            _infer(nodes[node_id], sources, catalogue, types)
    return types


def _infer(
    node: Node, sources: Sequence[str], catalogue: Catalogue, types: dict[tuple[str, str], str]
) -> None:
    declared = node.params.get("type")
    name = node.player_name
    if isinstance(declared, str) and is_port_type(declared):
        port = "items" if (node.id, "items") in types else "value"
        types[node.id, port] = declared
    elif name in PASSES_VALUE and len(sources) == 1:
        types[node.id, "value"] = sources[0]
    elif name == f"{EXTENSION}#join":
        elements = {element_type(source) or source for source in sources}
        types[node.id, "items"] = f"list<{elements.pop()}>" if len(elements) == 1 else f"list<{ANY}>"
    elif name == f"{EXTENSION}#map" and (called := catalogue.get(str(node.params.get("player", "")))):
        port = str(node.params.get("output") or next(iter(called.outputs), ""))
        types[node.id, "items"] = f"list<{called.outputs.get(port, ANY)}>"
