"""What a melody plays besides its own nodes: saved and inline melodies, and the Players that `map` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from symphony.errors import InvalidMelody, NotFound
from symphony.melody.control import EXTENSION as CONTROL
from symphony.melody.formats import from_document
from symphony.melody.model import Melody, Node

Find = Callable[[str, str | None], Melody]


def all_nodes(melody: Melody, find: Find) -> list[tuple[str, Node]]:
    """Every node that a run may play, with its place (`OUTER/NODE`). A saved melody is looked into once.

    Raises InvalidMelody when a node names a saved melody that is not there.
    """
    return list(_walk(melody, "", find, set()))


def _walk(melody: Melody, prefix: str, find: Find, seen: set[tuple[str, str]]) -> Iterator[tuple[str, Node]]:
    for node in melody.nodes:
        place = f"{prefix}{node.id}"
        yield place, node
        if node.fallback is not None:
            yield f"{place} (fallback)", node.model_copy(update={"player": node.fallback, "fallback": None})
        if node.extension != CONTROL:
            continue
        inner = _inner(node, place, find, seen)
        if inner is not None:
            yield from _walk(inner, f"{place}/", find, seen)


def _inner(node: Node, place: str, find: Find, seen: set[tuple[str, str]]) -> Melody | None:
    named: Any = node.params.get("melody")
    player = node.params.get("player")
    if isinstance(player, str) and player:
        params = node.params.get("params")
        called = {"id": "item", "kind": "operator", "player": player}
        given = {"params": dict(params)} if isinstance(params, Mapping) else {}
        return from_document({"format": "symphony.melody/1", "name": player, "nodes": [{**called, **given}]})
    if isinstance(named, Mapping):
        return from_document(dict(named))
    if not isinstance(named, str) or not named:
        return None
    version = str(node.params.get("version") or "")
    if (named, version) in seen:
        return None
    seen.add((named, version))
    try:
        return find(named, version or None)
    except NotFound as error:
        raise InvalidMelody(f"Node {place}: {error.message}", remedy=error.remedy) from error
