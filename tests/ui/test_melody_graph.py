"""The graph of a Melody is made once for a document and what is said of it, however often the page is drawn."""

from __future__ import annotations

from typing import Any

from symphony.ui.views import melody_graph

MELODY: dict[str, Any] = {
    "nodes": [
        {"id": "read", "player": "symphony/files#read"},
        {"id": "count", "player": "symphony/text#count@^1"},
    ],
    "edges": [{"from": "read.out", "to": "count.text"}],
}
PLAYERS: dict[str, Any] = {"symphony/text#count": {"inputs": {"text": "text"}, "outputs": {"out": "number"}}}


def test_the_same_document_gives_the_same_graph_and_another_gives_another() -> None:
    notes: dict[str, str] = {}
    first = melody_graph.graph(MELODY, PLAYERS, notes, {})
    assert melody_graph.graph(MELODY, PLAYERS, {}, {}) is first
    assert first["nodes"][1]["inputs"] == [{"name": "text", "type": "text"}]
    notes["read"] = "12 lines"
    noted = melody_graph.graph(MELODY, PLAYERS, notes, {})
    assert noted["nodes"][0]["note"] == "12 lines" and "note" not in first["nodes"][0]
    notes["read"] = "13 lines"
    assert melody_graph.graph(MELODY, PLAYERS, notes, {})["nodes"][0]["note"] == "13 lines"
    assert melody_graph.graph(MELODY, PLAYERS, {}, {"read": "no such file"})["nodes"][0]["problem"]
    assert not melody_graph.graph(MELODY, {}, {}, {})["nodes"][1]["inputs"]
    changed = melody_graph.with_param(MELODY, "read", "path", "a.txt")
    assert melody_graph.graph(changed, PLAYERS, {}, {}) is not first


def test_only_the_last_few_are_kept() -> None:
    first = melody_graph.graph(MELODY, PLAYERS, {}, {})
    for number in range(4):
        melody_graph.graph({**MELODY, "name": str(number)}, PLAYERS, {}, {})
    assert melody_graph.graph(MELODY, PLAYERS, {}, {}) is not first
