"""What changed from one melody to another, in words and as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

from symphony.melody.model import Melody


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `what` is the thing, such as `node log` or `edge a.x → b.y`, `key` what of it changed."""

    kind: Literal["added", "removed", "changed"]
    what: str
    key: str = ""
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        if self.kind != "changed":
            return f"{'+' if self.kind == 'added' else '-'} {self.what}"
        place = f"{self.what} {self.key}".strip()
        return f"~ {place}: {_short(self.old)} → {_short(self.new)}"

    def to_json(self) -> dict[str, Any]:
        """The change as plain values."""
        return asdict(self)


def diff(old: Melody, new: Melody) -> list[Change]:
    """The changes that turn `old` into `new`: head, nodes, edges. Ids and the order of nodes do not count."""
    before, after = old.to_document(), new.to_document()
    changes = [
        Change("changed", key, "", before.get(key), after.get(key))
        for key in ("name", "version", "description", "metadata")
        if before.get(key) != after.get(key)
    ]
    old_nodes = {node["id"]: node for node in before["nodes"]}
    new_nodes = {node["id"]: node for node in after["nodes"]}
    changes += [Change("removed", f"node {i}", old=n) for i, n in old_nodes.items() if i not in new_nodes]
    changes += [Change("added", f"node {i}", new=n) for i, n in new_nodes.items() if i not in old_nodes]
    for node_id in (i for i in old_nodes if i in new_nodes):
        changes += _node_changes(node_id, old_nodes[node_id], new_nodes[node_id])
    old_edges = Counter(_edge_label(edge) for edge in before["edges"])
    new_edges = Counter(_edge_label(edge) for edge in after["edges"])
    changes += [Change("removed", label) for label in (old_edges - new_edges).elements()]
    changes += [Change("added", label) for label in (new_edges - old_edges).elements()]
    return changes


def _node_changes(node_id: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    found = []
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if key == "params":
            was, now = was or {}, now or {}
            found += [
                Change("changed", f"node {node_id}", f"params.{name}", was.get(name), now.get(name))
                for name in dict.fromkeys((*was, *now))
                if was.get(name) != now.get(name)
            ]
        else:
            found.append(Change("changed", f"node {node_id}", key, was, now))
    return found


def _edge_label(edge: dict[str, Any]) -> str:
    kind = "" if edge["kind"] == "data" else f" ({edge['kind']})"
    when = f" when {edge['when']}" if edge.get("when") else ""
    return f"edge {edge['from']} → {edge['to']}{kind}{when}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
