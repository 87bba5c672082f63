"""Validation: everything that is wrong with a melody, reported at once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from symphony.errors import InvalidMelody
from symphony.melody.conditions import check as check_condition
from symphony.melody.conditions import evaluate
from symphony.melody.edge_checks import check_edges
from symphony.melody.fallback_checks import check_fallbacks
from symphony.melody.findings import Finding, Limits
from symphony.melody.flow import Catalogue
from symphony.melody.formats import from_document
from symphony.melody.model import Edge, Melody
from symphony.melody.node_checks import check_node
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

MAX_NESTING = 8
"""Deepest nesting of melodies in `loop`, `map` and `melody` nodes."""

_NO_LIMITS = Limits()


def validate(
    melody: Melody,
    catalogue: Mapping[str, FunctionSpec],
    lattice: TypeLattice,
    *,
    limits: Limits = _NO_LIMITS,
) -> list[Finding]:
    """Every finding, errors first. The melody is valid when none is an error.

    `catalogue` maps `publisher/extension#function` to its Player; control Players need not be in it.
    """
    findings = list(_findings(melody, catalogue, lattice, limits, depth=0))
    return sorted(findings, key=lambda finding: finding.severity != "error")


def is_valid(findings: list[Finding]) -> bool:
    """Whether no finding is an error."""
    return all(finding.severity != "error" for finding in findings)


def _findings(
    melody: Melody, catalogue: Catalogue, lattice: TypeLattice, limits: Limits, depth: int
) -> Iterator[Finding]:
    if not melody.nodes:
        yield Finding("empty", "The melody has no nodes", "add a Player")
        return
    too_large = list(_check_size(melody, limits))
    if too_large:  # the other checks take time that grows with the size
        yield from too_large
        return
    counts = Counter(node.id for node in melody.nodes)
    for node_id, count in counts.items():
        if count > 1:
            message = f"{count} nodes have the id {node_id}"
            yield Finding("duplicate_id", message, "give each its own id", node=node_id)
    for node in melody.nodes:
        yield from check_node(node, catalogue, limits)
    yield from check_edges(melody, catalogue, lattice)
    yield from check_fallbacks(melody, catalogue, lattice, limits)
    yield from _check_graph(melody)
    for node in melody.nodes:
        nested = node.params.get("melody")
        if isinstance(nested, dict) and node.extension == "symphony/control":
            yield from _check_nested(node.id, nested, catalogue, lattice, limits, depth + 1)


def _check_size(melody: Melody, limits: Limits) -> Iterator[Finding]:
    for count, limit, what in (
        (len(melody.nodes), limits.max_nodes, "nodes"),
        (len(melody.edges), limits.max_edges, "edges"),
    ):
        if count > limit:
            message = f"The melody has {count} {what}; the limit is {limit}"
            yield Finding("too_large", message, f"split it, or raise engine.max_{what}")


def _check_graph(melody: Melody) -> Iterator[Finding]:
    from pit_native import DagTracker

    ids = list(dict.fromkeys(node.id for node in melody.nodes))
    known = set(ids)
    edges = [e for e in melody.edges if e.source_node in known and e.target_node in known]
    pairs = [(e.source_node, e.target_node) for e in edges]
    in_cycles: set[str] = set()
    for found in DagTracker.validate(ids, pairs):
        nodes = found["nodes"]
        if found["code"] == "cycle":
            in_cycles.update(nodes)
            message = f"The nodes {' → '.join(nodes)} wait for each other"
            yield Finding("cycle", message, "remove one of these edges", node=nodes[0])
        elif found["code"] == "self_loop" and nodes[0] not in in_cycles:
            in_cycles.update(nodes)
            yield Finding("cycle", f"{nodes[0]} waits for itself", "remove this edge", node=nodes[0])
        elif found["code"] == "orphan":
            for node_id in nodes:
                message = f"{node_id} is connected to nothing"
                yield Finding("orphan", message, "connect or remove it", node=node_id, severity="warning")
    # An edge from a node to itself never lets its target become ready.
    pairs = [(e.target_node if _never_holds(e) else e.source_node, e.target_node) for e in edges]
    yield from _check_reach(ids, set(DagTracker.sortable(ids, pairs)), in_cycles)


def _check_reach(ids: list[str], reached: set[str], in_cycles: set[str]) -> Iterator[Finding]:
    """Nodes that can never play: behind a cycle, or behind a condition that never holds."""
    for node_id in ids:
        if node_id not in reached and node_id not in in_cycles:
            message = f"{node_id} can never play: what it waits for never comes"
            remedy = "mend the cycle or condition before it"
            yield Finding("unreachable", message, remedy, node=node_id, severity="warning")


def _never_holds(edge: Edge) -> bool:
    if edge.kind != "conditional" or edge.when is None:
        return False
    try:
        return not check_condition(edge.when) and not evaluate(edge.when, {})
    except InvalidMelody:
        return False


def _check_nested(
    node: str,
    document: dict[str, Any],
    catalogue: Catalogue,
    lattice: TypeLattice,
    limits: Limits,
    depth: int,
) -> Iterator[Finding]:
    if depth > MAX_NESTING:
        message = f"Melodies are nested deeper than {MAX_NESTING}"
        yield Finding("too_deep", message, "save the inner one under a name", node=node)
        return
    try:
        melody = from_document(document)
    except InvalidMelody as error:
        yield Finding("bad_parameter", f"parameter melody: {error.message}", error.remedy, node=node)
        return
    for finding in _findings(melody, catalogue, lattice, limits, depth):
        # Its first nodes are fed by the node that holds it.
        if finding.code != "missing_input":
            place = f"{node}/{finding.node}" if finding.node else node
            yield replace(finding, node=place)


__all__ = ["Finding", "Limits", "is_valid", "validate"]
