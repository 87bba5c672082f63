"""Compiles a validated Melody into the plan that the run loop plays. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from symphony.engine.locks import write_locks
from symphony.errors import InvalidMelody
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.flow import output_types
from symphony.melody.model import Melody, Node, Retry
from symphony.types.players import FunctionSpec
from symphony.types.port_types import ANY, PROJECT, TypeLattice, element_type


@dataclass(frozen=True, slots=True)
class Cast:
    """Who can play, and how. `pool_key` maps an extension to its entry of the Pool Manager, `versions` to
    its installed version; `node_timeout` (seconds) holds for nodes that name none. With `counts_nodes`
    each node of a Player takes one of the arbiter's places (`engine.max_parallel`).
    """

    catalogue: Mapping[str, FunctionSpec]
    lattice: TypeLattice
    project: str | None
    pool_key: Callable[[str], str]
    versions: Mapping[str, str]
    node_timeout: float
    prompt: str = ""
    counts_nodes: bool = False
    melody: str = ""
    """Which melody it is, whatever its content: why its nodes run again is told by what they were before."""
    expected_seconds: Callable[[str], float | None] = lambda player: None
    """How long a Player takes by experience."""
    grants: Callable[[str], Iterable[str]] = lambda extension: ()
    """What an extension was granted; where it may write, its nodes with effects lock."""


PLACES = "nodes"
"""The arbiter's resource that `engine.max_parallel` limits."""
MODEL_SLOTS = "model_slots"
"""The arbiter's resource that `pit.arbitration.model_slots` limits."""


def compile_plan(melody: Melody, cast: Cast, *, run: str, run_dir: str, inside: str = "") -> dict[str, Any]:
    """The plan of `pit_native.Runtime.start`. `inside` is the place of a nested melody in its root."""
    incoming: dict[str, dict[str, list[dict[str, str]]]] = {node.id: {} for node in melody.nodes}
    edges = []
    for index, edge in enumerate(melody.edges):
        edges.append(
            {
                "kind": edge.kind,
                "from": edge.source_node,
                "to": edge.target_node,
                "token": index,
                "when": edge.when,
            }
        )
        if edge.kind == "data":
            ports = incoming[edge.target_node]
            ports.setdefault(edge.target_port, []).append(
                {"node": edge.source_node, "port": edge.source_port}
            )
    types = output_types(melody, cast.catalogue)
    return {
        "run": run,
        "dir": run_dir,
        "name": melody.name,
        "melody": f"{cast.melody}/{inside}" if inside else cast.melody,
        "project": cast.project,
        "nodes": [_plan_node(node, incoming[node.id], types, cast) for node in melody.nodes],
        "edges": edges,
        "meta": {
            "run": run,
            "project": cast.project or "",
            "melody": melody.name,
            "prompt": cast.prompt[:500],
        },
    }


def spec_of(player: str, catalogue: Mapping[str, FunctionSpec], node: str) -> FunctionSpec:
    """The Player that a node calls. Raises InvalidMelody when it is not installed."""
    spec = catalogue.get(player.partition("@")[0])
    if spec is None:
        raise InvalidMelody(
            f"Node {node} needs the Player {player}, which is not installed",
            remedy="install its extension from the Marketplace",
        )
    return spec


def _plan_node(
    node: Node,
    incoming: Mapping[str, list[dict[str, str]]],
    types: Mapping[tuple[str, str], str],
    cast: Cast,
) -> dict[str, Any]:
    spec = spec_of(node.player, cast.catalogue, node.id)
    inputs: dict[str, Any] = dict(incoming)
    lists = []
    for port, port_type in spec.inputs.items():
        if port_type == PROJECT and port not in inputs:
            inputs[port] = {"value": cast.project}
        sources = incoming.get(port, [])
        if element_type(port_type) is not None and sources:
            first = types.get((sources[0]["node"], sources[0]["port"]), ANY)
            # One source that is a list already passes as it is; anything else is gathered into one list.
            if len(sources) > 1 or not cast.lattice.is_below(first, port_type):
                lists.append(port)
    params = {**_defaults(spec), **node.params}
    is_control = spec.extension == CONTROL
    resources = _resources(node, spec)
    if cast.counts_nodes and not is_control:
        resources[PLACES] = 1.0
    # A control node is played by the host, which needs no grants.
    grants = () if is_control else cast.grants(spec.extension)
    if uses_model(spec, grants):
        resources[MODEL_SLOTS] = 1.0
    writes = spec.effects and not is_control
    locks = write_locks(spec, params, grants, cast.project) if writes else []
    return {
        "id": node.id,
        "kind": node.kind,
        "key": "" if is_control else cast.pool_key(spec.extension),
        "player": spec.player,
        "function": spec.function,
        "version": cast.versions.get(spec.extension, ""),
        "params": params,
        "inputs": inputs,
        "list_inputs": lists,
        "optional_inputs": sorted(spec.optional),
        "outputs": dict(spec.outputs),
        "timeout": node.timeout or (None if is_control else cast.node_timeout),
        "retry": (node.retry or Retry()).model_dump(),
        "resources": resources,
        "locks": locks,
        "priority": 5,
        "effects": spec.effects,
        "seconds": cast.expected_seconds(spec.player) or spec.seconds,
        "cache_key": _cache_base(spec, params, cast.versions.get(spec.extension, "")),
        "uncached": _why_uncached(spec),
        "fallback": _fallback(node, cast),
    }


def uses_model(spec: FunctionSpec, grants: Iterable[str]) -> bool:
    """Whether a Player answers with a model: an Instrument that was granted one."""
    return spec.kind == "instrument" and any(grant.startswith("model:") for grant in grants)


def _defaults(spec: FunctionSpec) -> dict[str, Any]:
    return {name: p.default for name, p in spec.params.items() if p.default is not None}


def _fallback(node: Node, cast: Cast) -> dict[str, Any] | None:
    if node.fallback is None:
        return None
    spec = spec_of(node.fallback, cast.catalogue, node.id)
    given = {name: value for name, value in node.params.items() if name in spec.params}
    return {
        "key": cast.pool_key(spec.extension),
        "player": spec.player,
        "function": spec.function,
        "params": {**_defaults(spec), **given},
    }


def _resources(node: Node, spec: FunctionSpec) -> dict[str, float]:
    asked = node.resources
    return {
        "cpu": float(asked.cpu) if asked and asked.cpu is not None else spec.cpu,
        "memory": asked.memory if asked and asked.memory is not None else spec.memory,
        "gpu": float(asked.gpu) if asked and asked.gpu is not None else spec.gpu,
    }


def _cache_base(spec: FunctionSpec, params: Mapping[str, Any], version: str) -> str | None:
    """What of a node's identity is known before its inputs are. A Player that reads the project is not
    answered from the cache: the project's content is no part of the key.
    """
    if _why_uncached(spec) is not None:
        return None
    body = json.dumps([spec.player, version, params], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()


def _why_uncached(spec: FunctionSpec) -> str | None:
    if not spec.deterministic:
        return "not deterministic"
    if PROJECT in spec.inputs.values():
        return "it reads the project, which may have changed"
    return None
