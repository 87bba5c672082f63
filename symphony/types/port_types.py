"""Types of ports: media-type-like names with declared supertypes, and `list<T>`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

ANY = "any"
PROJECT = "project"
"""Inputs of this type come from the host and need no edge."""

_NAME = re.compile(r"[a-z][a-z0-9.+_-]*(/[a-z0-9*][a-z0-9.+_-]*)?")

BASE_SUPERTYPES: Mapping[str, tuple[str, ...]] = {
    "text/plain": ("text",),
    "text/markdown": ("text",),
    "text/html": ("text",),
    "text/csv": ("text",),
    "text/x-diff": ("text",),
    "text": ("any",),
    "image/svg+xml": ("image",),
    "image/png": ("image",),
    "image": ("any",),
    "json": ("any",),
    "record": ("json",),
    "number": ("json",),
    "integer": ("number",),
    "boolean": ("json",),
    "path": ("text",),
    "project": ("any",),
}
"""Every `list<record-like>` is a table to the data and report Players: declare row types below `record`."""


def is_port_type(name: str) -> bool:
    """Whether `name` is a well-formed port type, such as `text/markdown` or `list<git/commit>`."""
    inner = element_type(name)
    return is_port_type(inner) if inner is not None else bool(_NAME.fullmatch(name))


def element_type(name: str) -> str | None:
    """`T` of `list<T>`, or None when `name` is no list."""
    return name[5:-1] if name.startswith("list<") and name.endswith(">") else None


class TypeLattice:
    """Which type stands below which. Extensions add their own types with the supertypes they declare."""

    def __init__(self, supertypes: Mapping[str, Iterable[str]] = BASE_SUPERTYPES) -> None:
        self._above: dict[str, frozenset[str]] = {}
        self._direct: dict[str, tuple[str, ...]] = {k: tuple(v) for k, v in supertypes.items()}
        self.is_below = lru_cache(maxsize=65536)(self._is_below)

    def declare(self, supertypes: Mapping[str, Iterable[str]]) -> None:
        """Adds types. A type that is declared twice has the supertypes of both."""
        for name, above in supertypes.items():
            self._direct[name] = tuple(dict.fromkeys((*self._direct.get(name, ()), *above)))
        self._above.clear()
        self.is_below.cache_clear()

    def direct(self) -> dict[str, tuple[str, ...]]:
        """The declarations, type to its direct supertypes."""
        return dict(self._direct)

    def above(self, name: str) -> frozenset[str]:
        """`name` and all types above it that are no lists."""
        known = self._above.get(name)
        if known is None:
            seen, todo = {name, ANY}, [name]
            while todo:
                for up in self._direct.get(todo.pop(), ()):
                    if up not in seen:
                        seen.add(up)
                        todo.append(up)
            known = self._above[name] = frozenset(seen)
        return known

    def _is_below(self, source: str, target: str) -> bool:
        """Whether a port of type `source` may feed a port of type `target`."""
        if source == target or target == ANY:
            return True
        source_element, target_element = element_type(source), element_type(target)
        if source_element is not None:
            if target_element is not None:
                return self._is_below(source_element, target_element)
            return target == "json" and self._is_below(source_element, "json")
        if target_element is not None:
            return False
        return target in self.above(source)
