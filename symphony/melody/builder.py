"""Builds melodies in Python: `WorkflowBuilder("review").add_operator("log", "symphony/git#log").build()`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError

from symphony.errors import InvalidMelody
from symphony.melody.model import EdgeKind, Melody, NodeKind, words_of


class WorkflowBuilder:
    """A fluent builder. Every method but `build` returns the builder; errors come from `build`."""

    def __init__(self, name: str) -> None:
        self._document: dict[str, Any] = {"name": name}
        self._metadata: dict[str, Any] = {}
        self._nodes: list[dict[str, Any]] = []
        self._edges: list[dict[str, Any]] = []

    def version(self, version: str) -> Self:
        """Sets the semantic version; without, it is 1.0.0."""
        self._document["version"] = version
        return self

    def description(self, description: str) -> Self:
        """Sets the description."""
        self._document["description"] = description
        return self

    def metadata(self, **values: Any) -> Self:
        """Adds metadata such as author and tags."""
        self._metadata.update(values)
        return self

    def add_instrument(self, node: str, player: str, **options: Any) -> Self:
        """Adds a model-backed Player as `node`; options as for `add`."""
        return self.add(node, player, kind="instrument", **options)

    def add_operator(self, node: str, player: str, **options: Any) -> Self:
        """Adds a utility Player as `node`; options as for `add`."""
        return self.add(node, player, kind="operator", **options)

    def add_motif(self, node: str, player: str, **options: Any) -> Self:
        """Adds a user-interface Player as `node`; options as for `add`."""
        return self.add(node, player, kind="motif", **options)

    def add_control(self, node: str, player: str, **options: Any) -> Self:
        """Adds a control Player as `node`; a bare name such as `if` means `symphony/control#if`."""
        full = player if "#" in player else f"symphony/control#{player}"
        return self.add(node, full, kind="control", **options)

    def add(
        self,
        node: str,
        player: str,
        *,
        kind: NodeKind,
        params: dict[str, Any] | None = None,
        timeout: str | float | None = None,
        retry: dict[str, Any] | None = None,
        resources: dict[str, Any] | None = None,
        fallback: str | None = None,
    ) -> Self:
        """Adds a node of any kind. Durations and sizes as in the file formats."""
        options = {
            "params": params,
            "timeout": timeout,
            "retry": retry,
            "resources": resources,
            "fallback": fallback,
        }
        given = {key: value for key, value in options.items() if value is not None}
        self._nodes.append({"id": node, "kind": kind, "player": player, **given})
        return self

    def connect(
        self, source: str, target: str, *, when: str | None = None, kind: EdgeKind | None = None
    ) -> Self:
        """Connects `node.port` to `node.port`, or node to node when only the order matters.

        With `when` the edge is conditional.
        """
        if kind is None:
            kind = "conditional" if when is not None else "data" if "." in source + target else "control"
        edge: dict[str, Any] = {"kind": kind, "from": source, "to": target}
        if when is not None:
            edge["when"] = when
        self._edges.append(edge)
        return self

    def build(self) -> Melody:
        """The melody. Raises InvalidMelody when a part of it is malformed; `validate` checks the rest."""
        document = {**self._document, "nodes": self._nodes, "edges": self._edges}
        if self._metadata:
            document["metadata"] = self._metadata
        try:
            return Melody.model_validate(document)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in detail["loc"])
            raise InvalidMelody(f"Melody {self._document['name']!r}: {place}: {words_of(detail)}") from None
