"""Elements of the page's component catalogue, for `Context.ui`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Element = dict[str, Any]


def h(kind: str, /, *children: Element | str | None, key: str | None = None, **props: Any) -> Element:
    """One element: `kind` names a component that a Motif may show; what is None is left out.

    An element whose events are wanted needs a key, which no other element of the tree has.
    """
    return {
        "type": kind,
        "key": key,
        "props": {name: value for name, value in props.items() if value is not None},
        "children": [child for child in children if child is not None],
    }
