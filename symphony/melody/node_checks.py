"""Checks of single nodes: their Player, version, parameters, resources and permissions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from symphony.melody.control import EXTENSION
from symphony.melody.findings import Finding, Limits
from symphony.melody.flow import Catalogue, spec_of
from symphony.melody.model import Node
from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.quantities import parse_duration, readable_size
from symphony.types.versions import VersionRange

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "duration": (str, int, float),
    "date": (str,),
    "path": (str,),
    "list": (list,),
}


def check_node(node: Node, catalogue: Catalogue, limits: Limits) -> Iterator[Finding]:
    """All that is wrong with one node by itself."""
    spec = spec_of(node, catalogue)
    if spec is None or not spec.available:
        yield _unknown_player(node, spec, catalogue)
        return
    if node.kind != spec.kind:
        message = f"{node.player_name} is of kind {spec.kind}, not {node.kind}"
        yield Finding("wrong_kind", message, f"write kind: {spec.kind}", node=node.id, severity="warning")
    yield from _check_version(node, limits)
    yield from _check_params(node, spec)
    yield from _check_resources(node, spec, limits)
    missing = limits.missing_permissions.get(spec.extension, ())
    if missing:
        yield Finding(
            "missing_permission",
            f"{spec.extension} is not granted {', '.join(missing)}",
            f"agree to it with `symphony ext permissions {spec.extension}`",
            node=node.id,
        )


def _unknown_player(node: Node, spec: FunctionSpec | None, catalogue: Catalogue) -> Finding:
    if spec is not None:
        message = f"{node.player_name} is not installed or not enabled"
        return Finding("unknown_player", message, f"install {spec.extension}", node=node.id)
    same = [name for name in catalogue if name.partition("#")[0] == node.extension]
    near = difflib.get_close_matches(node.player_name, same or list(catalogue), n=1)
    remedy = f"did you mean {near[0]}?" if near else "install its extension from the Marketplace"
    return Finding("unknown_player", f"There is no Player {node.player_name}", remedy, node=node.id)


def _check_version(node: Node, limits: Limits) -> Iterator[Finding]:
    installed = limits.versions.get(node.extension)
    if node.version_range is None or installed is None:
        return
    if not VersionRange.parse(node.version_range).contains(installed):
        message = f"{node.extension} is installed as {installed}, which is not in {node.version_range}"
        yield Finding("version", message, "update it or change the range", node=node.id)


def _check_params(node: Node, spec: FunctionSpec) -> Iterator[Finding]:
    for name, value in node.params.items():
        param = spec.params.get(name)
        if param is None:
            near = difflib.get_close_matches(name, list(spec.params), n=1)
            known = ", ".join(spec.params) or "none"
            remedy = f"did you mean {near[0]}?" if near else f"its parameters are: {known}"
            message = f"{node.player_name} has no parameter {name}"
            yield Finding("bad_parameter", message, remedy, node=node.id)
        elif problem := parameter_problem(param, value):
            remedy = param.description or f"give a {param.type}"
            yield Finding("bad_parameter", f"parameter {name}: {problem}", remedy, node=node.id)
    for name, param in spec.params.items():
        if param.required and name not in node.params:
            message = f"{node.player_name} needs the parameter {name}"
            yield Finding(
                "missing_parameter", message, param.description or f"give a {param.type}", node=node.id
            )
    if spec.player == f"{EXTENSION}#map" and not (node.params.get("player") or node.params.get("melody")):
        message = "map needs a Player or a melody that it calls for each item"
        yield Finding("missing_parameter", message, "give the parameter player", node=node.id)


def parameter_problem(param: ParamSpec, value: Any) -> str:
    """Why `value` does not fit the parameter; empty when it does."""
    expected = _TYPES.get(param.type)
    if value is None:
        return "" if not param.required else "is empty"
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)
    ):
        return f"{value!r} is no {param.type}"
    if param.type == "duration":
        try:
            parse_duration(value)
        except ValueError as error:
            return str(error)
    if param.choices and value not in param.choices:
        return f"{value!r} is none of {', '.join(map(str, param.choices))}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if param.minimum is not None and value < param.minimum:
            return f"{value} is below {param.minimum:g}"
        if param.maximum is not None and value > param.maximum:
            return f"{value} is above {param.maximum:g}"
    return ""


def _check_resources(node: Node, spec: FunctionSpec, limits: Limits) -> Iterator[Finding]:
    asked = node.resources
    cpu = asked.cpu if asked and asked.cpu is not None else spec.cpu
    memory = asked.memory if asked and asked.memory is not None else spec.memory
    gpu = asked.gpu if asked and asked.gpu is not None else spec.gpu
    problems = []
    if limits.cpu is not None and cpu > limits.cpu:
        problems.append(f"{cpu:g} cores of {limits.cpu:g}")
    if limits.memory is not None and memory > limits.memory:
        problems.append(f"{readable_size(memory)} of memory of {readable_size(limits.memory)}")
    if limits.gpu is not None and gpu > limits.gpu:
        problems.append(f"{gpu:g} GPUs of {limits.gpu:g}")
    if problems:
        message = f"It needs {' and '.join(problems)} that this machine has"
        yield Finding("infeasible_resources", message, "lower its resources", node=node.id)
