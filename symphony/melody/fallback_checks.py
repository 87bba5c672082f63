"""Checks of fallbacks: whether another Player can stand in for a node's own."""

from __future__ import annotations

from collections.abc import Iterator

from symphony.melody.control import EXTENSION
from symphony.melody.findings import Finding, Limits
from symphony.melody.flow import Catalogue
from symphony.melody.model import Melody, Node
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice


def check_fallbacks(
    melody: Melody, catalogue: Catalogue, lattice: TypeLattice, limits: Limits
) -> Iterator[Finding]:
    """All that keeps the fallback of a node from taking its place."""
    nodes = [node for node in melody.nodes if node.fallback is not None]
    if not nodes:
        return
    fed: dict[str, set[str]] = {}
    for edge in melody.edges:
        if edge.kind == "data":
            fed.setdefault(edge.target_node, set()).add(edge.target_port)
    for node in nodes:
        for message, remedy in _problems(node, fed.get(node.id, set()), catalogue, lattice, limits):
            yield Finding("bad_fallback", f"fallback {node.fallback}: {message}", remedy, node=node.id)


def _problems(
    node: Node, fed: set[str], catalogue: Catalogue, lattice: TypeLattice, limits: Limits
) -> Iterator[tuple[str, str]]:
    name = str(node.fallback).partition("@")[0]
    extension = name.partition("#")[0]
    own, other = catalogue.get(node.player_name), catalogue.get(name)
    if EXTENSION in (node.extension, extension):
        yield "a control Player neither has a fallback nor is one", "remove it"
        return
    if other is None or not other.available:
        yield "there is no such Player", "install its extension, or name another Player"
        return
    if name == node.player_name:
        yield "it is the node's own Player", "give the node more attempts instead"
        return
    missing = limits.missing_permissions.get(extension, ())
    if missing:
        remedy = f"agree to it with `symphony ext permissions {extension}`"
        yield f"{extension} is not granted {', '.join(missing)}", remedy
    if own is not None:
        yield from _unlike(own, other, fed, lattice)
    for param, spec in other.params.items():
        if spec.required and param not in node.params:
            yield f"it needs the parameter {param}", "give it among the node's parameters"


def _unlike(
    own: FunctionSpec, other: FunctionSpec, fed: set[str], lattice: TypeLattice
) -> Iterator[tuple[str, str]]:
    remedy = "name a Player that takes the same inputs and gives the same outputs"
    for port in sorted(fed & set(own.inputs)):
        if port not in other.inputs:
            yield f"it has no input {port}", remedy
        elif not lattice.is_below(own.inputs[port], other.inputs[port]):
            yield f"its input {port} takes {other.inputs[port]}, not {own.inputs[port]}", remedy
    for port, kind in other.inputs.items():
        if port not in fed and port not in other.optional and kind != PROJECT:
            yield f"nothing feeds its input {port}", remedy
    for port, kind in own.outputs.items():
        if port not in other.outputs:
            yield f"it has no output {port}", remedy
        elif not lattice.is_below(other.outputs[port], kind):
            yield f"its output {port} is {other.outputs[port]}, not {kind}", remedy
