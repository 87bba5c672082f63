"""Trees that Players show: checked as what a stranger sent, and given keys under which their events find back."""

from __future__ import annotations

from typing import Any

from symphony.errors import BadInput
from symphony.ui.catalogue import check
from symphony.ui.node import Node, h

ALLOWED = frozenset(
    {
        "Stack", "Line", "Grid", "Section", "Card", "Heading", "Text", "Badge", "Bullets", "Button", "Form",
        "TextBox", "Select", "Switch", "Segments", "EmptyState", "Progress", "Disclosure", "Table",
    }
)  # fmt: skip
"""The components that an extension may show. None of them covers the page, speaks for the host, fetches from it,
or leads elsewhere."""

ELEMENT = "foreign"
"""The element under which the events of such trees come: `foreign:ID#KEY`."""

DEEPEST, MOST_ELEMENTS, LONGEST_TEXT = 24, 4000, 20_000


def adopt(tree: Any, component: str) -> Node:
    """The tree with its keys below the component's id. Raises BadInput with the first fault."""
    count = 0

    def take(node: Any, depth: int) -> Node:
        nonlocal count
        count += 1
        _hold(depth <= DEEPEST, f"it is nested deeper than {DEEPEST}")
        _hold(count <= MOST_ELEMENTS, f"it has more than {MOST_ELEMENTS} elements")
        _hold(isinstance(node, dict), "an element is a map of type, key, props and children")
        kind, key = node.get("type"), node.get("key")
        props, children = node.get("props", {}), node.get("children", [])
        _hold(isinstance(kind, str) and kind in ALLOWED, f"it may not show {str(kind)[:40]!r}")
        _hold(
            isinstance(props, dict) and isinstance(children, list), f"{kind}: props is a map, children a list"
        )
        _hold(
            key is None or (isinstance(key, str) and 0 < len(key) <= 200), f"{kind}: its key is no short text"
        )
        _hold(all(isinstance(name, str) for name in props), f"{kind}: its props have no names")
        _hold(_longest(props) <= LONGEST_TEXT, f"{kind}: a text is longer than {LONGEST_TEXT} characters")
        inside = [_text(child) if isinstance(child, str) else take(child, depth + 1) for child in children]
        place = f"{ELEMENT}:{component}#{key}" if key is not None else None
        return {"type": kind, "key": place, "props": props, "children": inside}

    adopted = take(tree, 1)
    findings = check(adopted)
    _hold(not findings, findings[0] if findings else "")
    return adopted


def frame(title: str, shown: dict[str, Any], component: str, *, closable: bool = True) -> Node:
    """What `HostPort.component` answered, in a frame that says whose it is; its faults in the place of the tree."""
    return h(
        "Foreign",
        *_inside(shown, component),
        key=f"foreign.frame:{component}",
        title=title,
        source=str(shown["extension"]),
        closable=closable or None,
    )


def _inside(shown: dict[str, Any], component: str) -> list[Node]:
    tree, problem, is_open = shown["tree"], shown.get("problem"), shown["is_open"]
    if problem is not None:
        return [_problem(problem, component)]
    inside: list[Node] = []
    if tree is not None:
        try:
            inside.append(adopt(tree, component))
        except BadInput as error:
            return [_problem({"message": error.message, "remedy": error.remedy}, component)]
    if not is_open:
        inside.append(h("Text", "It has ended.", tone="muted", small=True))
    return inside or [h("Progress", label="Starting")]


def _problem(problem: dict[str, Any], component: str) -> Node:
    return h(
        "Alert",
        key=f"foreign.problem:{component}",
        tone="bad",
        title=str(problem["message"]),
        text=str(problem["remedy"]) or None,
    )


def _hold(condition: bool, fault: str) -> None:
    if not condition:
        raise BadInput(f"What it shows cannot be drawn: {fault}", remedy="report it to its author")


def _text(text: str) -> str:
    _hold(len(text) <= LONGEST_TEXT, f"a text is longer than {LONGEST_TEXT} characters")
    return text


def _longest(value: Any, depth: int = 0) -> int:
    """The longest text inside; a value that nests too deep counts as too long."""
    if isinstance(value, str):
        return len(value)
    if depth > 8:
        return LONGEST_TEXT + 1
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        return max((_longest(item, depth + 1) for item in value), default=0)
    return 0
