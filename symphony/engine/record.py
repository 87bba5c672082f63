"""A run as the host remembers it, and the text of its summary, of which only what changed is written anew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from symphony.errors import NotFound
from symphony.types.runs import NodeRun, RunInfo

Json = dict[str, Any]


@dataclass(slots=True, weakref_slot=True)
class RunRecord:
    """A run with all that is needed to show it and to resume it."""

    info: RunInfo
    melody: Json
    results: list[Json] = field(default_factory=list)
    """ArtifactInfo of what the run's last nodes made."""
    agreed: list[str] = field(default_factory=list)
    """What the user agreed to when it was started: the questions that its Players' grants raise."""
    order: int = 0
    """Rises with each run of a home: a clock that is set back does not turn their order round."""
    begun: float = field(default_factory=time.monotonic, compare=False)
    """When it began to play, for the last time, by the clock that nobody sets."""
    _nodes: dict[str, NodeRun] = field(default_factory=dict, repr=False, compare=False)
    _givers: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    _melody_text: str = field(default="", repr=False, compare=False)
    _node_texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _result_texts: list[str] = field(default_factory=list, repr=False, compare=False)

    size: int = field(default=0, init=False, compare=False)
    """How many nodes it had when it was made: what it costs to keep."""

    def __post_init__(self) -> None:
        self.size = len(self.info.nodes)
        self._index()

    def begin_again(self, nodes: Iterable[NodeRun], melody: Json) -> None:
        """Starts over with these nodes and this Melody; what the run has made is found anew."""
        self.begun = time.monotonic()
        self.info.nodes = list(nodes)
        self.melody = melody
        self.results.clear()
        self.forget_texts()
        self._index()

    def node(self, node: str) -> NodeRun:
        """The node with this id."""
        found = self._nodes.get(node)
        if found is None:
            raise NotFound(f"The run {self.info.id} has no node {node}")
        return found

    def is_last(self, node: str) -> bool:
        """Whether no other node takes this one's outputs: what it made is a result of the run."""
        return node not in self._givers

    def touch(self, node: str) -> None:
        """Says that a node has changed since the summary was last written."""
        self._node_texts.pop(node, None)

    def to_json(self) -> Json:
        """The `run --json` answer."""
        return {"melody": self.melody, "run": self.info.to_json(), "artifacts": self.results}

    def to_text(self) -> str:
        """The summary as JSON: `to_json`, what was agreed to, and the order.

        Costs little more than the nodes that `touch` named since the last time.
        """
        if not self._melody_text:
            self._melody_text = _dump(self.melody)
        texts = self._node_texts
        for node in self.info.nodes:
            if node.id not in texts:
                texts[node.id] = _dump(node.to_json())
        self._result_texts += map(_dump, self.results[len(self._result_texts) :])
        head = _dump(self.info.head())
        nodes = ", ".join([texts[node.id] for node in self.info.nodes])
        results = ", ".join(self._result_texts)
        run = f'{head[:-1]}, "nodes": [{nodes}]}}'
        agreed = _dump(self.agreed)
        return (
            f'{{"melody": {self._melody_text}, "run": {run}, "artifacts": [{results}], "agreed": {agreed}, '
            f'"order": {self.order}}}'
        )

    def forget_texts(self) -> None:
        """Lets go of the text of a run that changes no more."""
        self._melody_text = ""
        self._node_texts.clear()
        self._result_texts.clear()

    def _index(self) -> None:
        self._nodes = {node.id: node for node in self.info.nodes}
        edges = self.melody.get("edges", ())
        data = (edge for edge in edges if edge.get("kind", "data") == "data")
        self._givers = frozenset(str(edge["from"]).partition(".")[0] for edge in data)


_dump = json.JSONEncoder(ensure_ascii=False).encode
