"""Plans of nested melodies: where the value of the outer node goes in, and which outputs are its answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symphony.errors import InvalidMelody
from symphony.melody.model import Melody
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, element_type

Json = dict[str, Any]
Catalogue = Mapping[str, FunctionSpec]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a node; `type` is its declared type."""

    node: str
    name: str
    type: str = "any"


def open_inputs(melody: Melody, catalogue: Catalogue, wanted: str = "") -> list[Port]:
    """The inputs that take the outer node's value.

    Those are all that must be fed and are not; when there is none, the first input of each first node.
    `wanted` names one of them instead, as `port` or `node.port`. Raises InvalidMelody when there is no
    such input.
    """
    fed = {(e.target_node, e.target_port) for e in melody.edges if e.kind == "data"}
    entered = {e.target_node for e in melody.edges}
    required, optional = [], []
    for node in melody.nodes:
        spec = catalogue[node.player_name]
        free = [
            Port(node.id, port, port_type)
            for port, port_type in spec.inputs.items()
            if port_type != PROJECT and (node.id, port) not in fed
        ]
        required += [port for port in free if port.name not in spec.optional]
        if wanted:
            optional += free
        elif node.id not in entered:
            optional += free[:1]
    if not wanted:
        return required or optional
    chosen = [p for p in optional if wanted in (p.name, f"{p.node}.{p.name}")]
    if not chosen:
        free_names = ", ".join(f"{p.node}.{p.name}" for p in optional) or "none"
        raise InvalidMelody(
            f"{melody.name} has no free input {wanted}", remedy=f"its inputs are: {free_names}"
        )
    return chosen


def answer_ports(melody: Melody, catalogue: Catalogue, wanted: str = "") -> list[Port]:
    """The outputs that are the answer: the first of each last node, or those that `wanted` names.

    Raises InvalidMelody when no node has the wanted output.
    """
    if wanted:
        ports = [
            Port(node.id, name)
            for node in melody.nodes
            for name in catalogue[node.player_name].outputs
            if wanted in (name, f"{node.id}.{name}")
        ]
        last = _last(melody)
        ports = [p for p in ports if p.node in last] or ports
        if not ports:
            raise InvalidMelody(
                f"{melody.name} has no output {wanted}", remedy="name one as port or node.port"
            )
        return ports
    chosen = []
    last = _last(melody)
    for node in melody.nodes:
        outputs = catalogue[node.player_name].outputs
        if node.id in last and outputs:
            chosen.append(Port(node.id, next(iter(outputs))))
    return chosen


def answer(ports: Sequence[Port], outputs: Mapping[str, Json]) -> Any:
    """The value of one port; a map by node when several last nodes have played; None when none has."""
    values = {port.node: outputs[port.node].get(port.name) for port in ports if port.node in outputs}
    return next(iter(values.values()), None) if len(values) < 2 else values


def with_value(plan: Json, ports: Sequence[Port], value: Any) -> Json:
    """The plan with `value` at these inputs."""
    at: dict[str, Json] = {}
    for port in ports:
        gathered = element_type(port.type) is not None and not isinstance(value, list)
        at.setdefault(port.node, {})[port.name] = {"value": [value] if gathered else value}
    nodes = [{**n, "inputs": {**n["inputs"], **at.get(n["id"], {})}} for n in plan["nodes"]]
    return {**plan, "nodes": nodes}


def bound(melody: Melody, bind: Mapping[str, Any], item: Any) -> tuple[Melody, Json]:
    """The melody with these parameters taken from an item, and the columns that were taken.

    `bind` names a column for each `parameter` or `node.parameter`; an item without columns is the value itself.
    Raises InvalidMelody for an item that lacks the column, and for a node that is not there.
    """
    taken: Json = {}
    wanted: dict[str, Json] = {}
    for target, column in bind.items():
        node, _, name = str(target).rpartition(".")
        if isinstance(item, Mapping) and column not in item:
            known = ", ".join(map(str, item)) or "none"
            raise InvalidMelody(f"An item has no column {column}", remedy=f"its columns are: {known}")
        taken[str(column)] = item[column] if isinstance(item, Mapping) else item
        nodes = [n.id for n in melody.nodes if node in ("", n.id)]
        if not nodes:
            raise InvalidMelody(f"{melody.name} has no node {node}", remedy="bind names `node.parameter`")
        for one in nodes:
            wanted.setdefault(one, {})[name] = taken[str(column)]
    nodes_with = [
        n.model_copy(update={"params": {**n.params, **wanted[n.id]}}) if n.id in wanted else n
        for n in melody.nodes
    ]
    return melody.model_copy(update={"nodes": nodes_with}), taken


def told_apart(answers: Sequence[Any], labels: Sequence[Json]) -> list[Any]:
    """Answers that say for which item they are: rows by columns of their own in one list, texts by a headline."""
    if all(isinstance(a, list) and all(isinstance(row, Mapping) for row in a) for a in answers):
        return [{**label, **row} for a, label in zip(answers, labels, strict=True) for row in a]
    return [
        f"## {', '.join(map(str, label.values()))}\n\n{a}" if isinstance(a, str) else a
        for a, label in zip(answers, labels, strict=True)
    ]


def for_each(plans: Sequence[Json], ports: Sequence[Port], items: Sequence[Any]) -> Json:
    """One plan that plays a plan for every item side by side; its nodes are called `INDEX.NODE`."""
    nodes: list[Json] = []
    edges: list[Json] = []
    for index, (plan, item) in enumerate(zip(plans, items, strict=True)):
        one = with_value(plan, ports, item)
        nodes += [
            {**node, "id": f"{index}.{node['id']}", "inputs": _renamed(node["inputs"], index)}
            for node in one["nodes"]
        ]
        edges += [
            {**edge, "from": f"{index}.{edge['from']}", "to": f"{index}.{edge['to']}", "token": None}
            for edge in one["edges"]
        ]
    return {**plans[0], "nodes": nodes, "edges": edges}


def _renamed(inputs: Json, index: int) -> Json:
    return {
        port: [{**s, "node": f"{index}.{s['node']}"} for s in sources]
        if isinstance(sources, list)
        else sources
        for port, sources in inputs.items()
    }


def _last(melody: Melody) -> set[str]:
    left = {edge.source_node for edge in melody.edges}
    return {node.id for node in melody.nodes if node.id not in left}
