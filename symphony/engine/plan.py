"""Compiles a validated Melody into the plan that the run loop plays. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from symphony.errors import InvalidMelody
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.model import Melody, Node, Retry
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice, element_type


def compile_plan(
    melody: Melody,
    catalogue: Mapping[str, FunctionSpec],
    lattice: TypeLattice,
    *,
    run: str,
    run_dir: str,
    project: str | None,
    pool_key: Callable[[str], str],
    node_timeout: float,
    versions: Mapping[str, str],
    prompt: str = "",
) -> dict[str, Any]:
    """The plan of `pit_native.Runtime.start`.

    `pool_key` maps an extension to its entry of the Pool Manager, `versions` to its installed version;
    `node_timeout` (seconds) holds for nodes that name none.
    """
    by_id = {node.id: node for node in melody.nodes}
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
    nodes = [
        _plan_node(
            node,
            _spec_of(node, catalogue),
            incoming[node.id],
            by_id,
            catalogue,
            lattice,
            project,
            pool_key,
            node_timeout,
            versions,
        )
        for node in melody.nodes
    ]
    return {
        "run": run,
        "dir": run_dir,
        "name": melody.name,
        "project": project,
        "nodes": nodes,
        "edges": edges,
        "meta": {"run": run, "project": project or "", "melody": melody.name, "prompt": prompt[:500]},
    }


def _spec_of(node: Node, catalogue: Mapping[str, FunctionSpec]) -> FunctionSpec:
    spec = catalogue.get(node.player_name)
    if spec is None:
        raise InvalidMelody(
            f"Node {node.id} needs the Player {node.player}, which is not installed",
            remedy="install its extension from the Marketplace",
        )
    return spec


def _plan_node(
    node: Node,
    spec: FunctionSpec,
    incoming: dict[str, list[dict[str, str]]],
    by_id: Mapping[str, Node],
    catalogue: Mapping[str, FunctionSpec],
    lattice: TypeLattice,
    project: str | None,
    pool_key: Callable[[str], str],
    node_timeout: float,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    inputs: dict[str, Any] = dict(incoming)
    lists = []
    for port, port_type in spec.inputs.items():
        if port_type == PROJECT and port not in inputs:
            inputs[port] = {"value": project}
        sources = incoming.get(port, [])
        if element_type(port_type) is not None and sources:
            types = [_output_type(by_id[s["node"]], s["port"], catalogue) for s in sources]
            # One source that is a list already passes as it is; anything else is gathered into one list.
            if len(sources) > 1 or not lattice.is_below(types[0], port_type):
                lists.append(port)
    params = {name: p.default for name, p in spec.params.items() if p.default is not None}
    params.update(node.params)
    is_control = spec.extension == CONTROL
    return {
        "id": node.id,
        "kind": node.kind,
        "key": "" if is_control else pool_key(spec.extension),
        "player": spec.player,
        "function": spec.function,
        "params": params,
        "inputs": inputs,
        "list_inputs": lists,
        "optional_inputs": sorted(spec.optional),
        "outputs": dict(spec.outputs),
        "timeout": node.timeout or (None if is_control else node_timeout),
        "retry": (node.retry or Retry()).model_dump(),
        "resources": _resources(node, spec),
        "priority": 5,
        "effects": spec.effects,
        "seconds": spec.seconds,
        "cache_key": _cache_base(spec, params, versions.get(spec.extension, "")),
    }


def _output_type(node: Node, port: str, catalogue: Mapping[str, FunctionSpec]) -> str:
    return _spec_of(node, catalogue).outputs.get(port, "any")


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
    if not spec.deterministic or PROJECT in spec.inputs.values():
        return None
    body = json.dumps([spec.player, version, params], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()
