"""Which paths a node locks while it plays: two nodes must not write one place at a time."""

from __future__ import annotations

from collections.abc import Iterable

from symphony.stage.permissions import parse_grant

_GLOB = frozenset("*?[")


def write_locks(grants: Iterable[str], extension: str, project: str | None) -> list[dict[str, str]]:
    """The locks of a node with effects, in the form of the plan: one on each place that `grants` lets its
    extension write, down to where the pattern begins to vary.

    Only writers lock: a reader beside a writer sees files before or after the change, as outside of
    Symphony, while a lock for reading would make every reader of the project wait for every writer.
    """
    writes = [grant.target for grant in map(parse_grant, grants) if grant.kind == "write"]
    places = {_place(target, extension, project) for target in writes}
    return [{"path": place, "mode": "write"} for place in sorted(place for place in places if place)]


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
