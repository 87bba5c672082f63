"""Which paths a node locks while it plays: two nodes must not write one place at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import normpath
from typing import Any

from symphony.stage.permissions import parse_grant
from symphony.types.players import FunctionSpec

_GLOB = frozenset("*?[")
_PRIVATE = "project/**"
"""A grant on the whole project is mounted, and what is written there is the sandbox's own."""


def write_locks(
    spec: FunctionSpec, params: Mapping[str, Any], grants: Iterable[str], project: str | None
) -> list[dict[str, str]]:
    """The locks of a node with effects, in the form of the plan: one on each place that it may write through
    the host. Where the node names a path below such a place, that path alone; else down to where the grant's
    pattern begins to vary.

    Only writers lock: a reader beside a writer sees files before or after the change, as outside of
    Symphony, while a lock for reading would make every reader of the project wait for every writer.
    """
    writes = [grant.target for grant in map(parse_grant, grants) if grant.kind == "write"]
    named = [params[name] for name, param in spec.params.items() if param.type == "path" and params.get(name)]
    places = set()
    for target in writes:
        place = None if target == _PRIVATE else _place(target, spec.extension, project)
        if place is not None:
            below = [normpath(f"{project}/{path}") for path in named if target.startswith("project/")]
            places.update([path for path in below if _is_below(path, place)] or [place])
    return [{"path": place, "mode": "write"} for place in sorted(places)]


def _place(target: str, extension: str, project: str | None) -> str | None:
    root, *parts = target.split("/")
    if root == "project":
        if project is None:
            return None
        top = project
    else:
        top = f"{root}/{extension}"
    fixed = []
    for part in parts:
        if _GLOB & set(part):
            break
        fixed.append(part)
    return "/".join([top, *fixed])


def _is_below(path: str, place: str) -> bool:
    return path.startswith(place.rstrip("/") + "/")
