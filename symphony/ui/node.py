"""How a view builds its part of the tree: plain dictionaries in the shape that the Virtual DOM takes."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]
Child = Node | str | None


def h(kind: str, /, *children: Child, key: str | None = None, **props: Any) -> Node:
    """One element: `kind` names a component of the catalogue; children that are None are left out.

    Props that are None are left out too, so that an optional prop can be passed as it comes. Keys are
    unique in the tree; an element that sends events needs one, in the form `element` or `element:argument`.
    """
    return {
        "type": kind,
        "key": key,
        "props": {name: value for name, value in props.items() if value is not None},
        "children": [child for child in children if child is not None],
    }
