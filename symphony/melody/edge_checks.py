"""Checks of edges: their ends, the types they join, their conditions, and inputs that nothing feeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symphony.errors import InvalidMelody
from symphony.melody.conditions import check as check_condition
from symphony.melody.findings import Finding
from symphony.melody.flow import Catalogue, output_types, spec_of
from symphony.melody.model import Edge, Melody, Node
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice, element_type


def check_edges(melody: Melody, catalogue: Catalogue, lattice: TypeLattice) -> Iterator[Finding]:
    """All that is wrong with the edges and with inputs that lack one."""
    nodes = {node.id: node for node in melody.nodes}
    specs = {node.id: spec_of(node, catalogue) for node in melody.nodes}
    types = output_types(melody, catalogue)
    sources: dict[tuple[str, str], int] = {}
    seen: set[tuple[str, str, str]] = set()
    for edge in melody.edges:
        key = (edge.kind, edge.source, edge.target)
        if key in seen:
            yield _finding("duplicate_edge", edge, "stands there twice", "remove one")
        seen.add(key)
        trouble = list(_check_ends(edge, nodes, specs))
        yield from trouble
        if trouble:
            continue
        if edge.kind == "data":
            into = (edge.target_node, edge.target_port)
            sources[into] = sources.get(into, 0) + 1
            yield from _check_types(edge, specs, types, lattice)
    yield from (f for edge in melody.edges for f in _check_condition(edge, specs))
    for node in melody.nodes:
        yield from _check_inputs(node, specs[node.id], sources)


def _check_ends(
    edge: Edge, nodes: Mapping[str, Node], specs: Mapping[str, FunctionSpec | None]
) -> Iterator[Finding]:
    ends = (
        (edge.source, edge.source_node, edge.source_port, "output"),
        (edge.target, edge.target_node, edge.target_port, "input"),
    )
    for written, node, port, side in ends:
        if node not in nodes:
            yield _finding("unknown_node", edge, f"there is no node {node}", "correct the end of the edge")
            continue
        spec = specs[node]
        ports = None if spec is None else (spec.outputs if side == "output" else spec.inputs)
        known = ", ".join(ports or ()) or "none"
        if edge.kind != "data":
            if port:
                message = f"a {edge.kind} edge joins nodes, and {written} is a port"
                yield _finding("bad_endpoint", edge, message, f"write {node}")
        elif not port:
            message = f"{written} names no {side}"
            yield _finding("bad_endpoint", edge, message, f"its {side}s are: {known}")
        elif ports is not None and port not in ports:
            yield _finding("unknown_port", edge, f"{node} has no {side} {port}", f"its {side}s are: {known}")


def _check_types(
    edge: Edge,
    specs: Mapping[str, FunctionSpec | None],
    types: Mapping[tuple[str, str], str],
    lattice: TypeLattice,
) -> Iterator[Finding]:
    target = specs[edge.target_node]
    source_type = types.get((edge.source_node, edge.source_port))
    if target is None or source_type is None:
        return
    target_type = target.inputs[edge.target_port]
    if accepts(target_type, source_type, lattice):
        return
    message = f"{edge.source} gives {source_type}, and {edge.target} takes {target_type}"
    yield _finding("type_mismatch", edge, message, f"put a Player between that makes {target_type}")


def accepts(target_type: str, source_type: str, lattice: TypeLattice) -> bool:
    """Whether an input takes what an output gives; an input `list<T>` gathers single values of T, too."""
    element = element_type(target_type)
    return lattice.is_below(source_type, target_type) or (
        element is not None and lattice.is_below(source_type, element)
    )


def _check_condition(edge: Edge, specs: Mapping[str, FunctionSpec | None]) -> Iterator[Finding]:
    if edge.kind != "conditional":
        if edge.when is not None:
            remedy = "write kind: conditional"
            yield _finding("bad_condition", edge, f"a {edge.kind} edge has no condition", remedy)
        return
    if edge.when is None:
        yield _finding("bad_condition", edge, "a conditional edge needs `when`", 'write when: "value > 0"')
        return
    try:
        names = check_condition(edge.when)
    except InvalidMelody as error:
        yield _finding("bad_condition", edge, error.message, error.remedy)
        return
    spec = specs.get(edge.source_node)
    unknown = sorted(names - set(spec.outputs)) if spec is not None else []
    if spec is not None and unknown:
        message = f"`when` uses {', '.join(unknown)}, which {edge.source_node} does not give"
        yield _finding("bad_condition", edge, message, f"it gives: {', '.join(spec.outputs) or 'nothing'}")


def _check_inputs(
    node: Node, spec: FunctionSpec | None, sources: Mapping[tuple[str, str], int]
) -> Iterator[Finding]:
    if spec is None:
        return
    for port, port_type in spec.inputs.items():
        count = sources.get((node.id, port), 0)
        if count > 1 and element_type(port_type) is None:
            message = f"{count} edges enter {node.id}.{port}, which takes one {port_type}"
            yield Finding("too_many_sources", message, "keep one, or gather them with join", node=node.id)
        if count == 0 and port not in spec.optional and port_type != PROJECT:
            message = f"Nothing feeds the input {port} ({port_type}) of {node.id}"
            yield Finding(
                "missing_input", message, f"connect a {port_type} to {node.id}.{port}", node=node.id
            )


def _finding(code: str, edge: Edge, message: str, remedy: str) -> Finding:
    return Finding(code, f"Edge {edge.label}: {message}", remedy, edge=edge.label)
