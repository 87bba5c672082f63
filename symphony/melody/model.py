"""A Melody: a typed graph of Players. Pydantic models of `symphony.melody/1`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from symphony.types.quantities import format_duration, format_size, parse_duration, parse_size
from symphony.types.versions import VersionRange, is_version

FORMAT = "symphony.melody/1"
"""The format that this host reads and writes."""

NodeKind = Literal["instrument", "operator", "motif", "control"]
EdgeKind = Literal["data", "control", "conditional"]

_PART = r"[a-z0-9][a-z0-9_-]*"
_PLAYER = re.compile(rf"({_PART}/{_PART})#([a-z_][a-z0-9_]*)(?:@(.+))?")
_NODE_ID = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$"
_ENDPOINT = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}(\.[a-z_][a-z0-9_]*)?$"
_MEANINGS = {
    _NODE_ID: "is no node id; use letters, digits, _ and -, at most 128",
    _ENDPOINT: "is no end of an edge; write node.port or node",
}
"""Patterns that are held where values are read, without a call of Python for each."""


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, (str, int, float)) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, (str, int, float)) else value


@lru_cache(maxsize=4096)
def _player(value: str) -> str:
    """A Player's name as it is, once it is known to be one: the nodes of a melody name few."""
    match = _PLAYER.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no Player; write publisher/extension#function")
    if match[3] is not None:
        VersionRange.parse(match[3])
    return value


def _melody_version(value: Any) -> Any:
    if isinstance(value, str) and not is_version(value):
        raise ValueError(f"{value!r} is no version; write three numbers such as 1.2.0")
    return value


def words_of(detail: Mapping[str, Any]) -> str:
    """What one of the details of a `ValidationError` of these models says, for people."""
    meaning = _MEANINGS.get(detail.get("ctx", {}).get("pattern", ""))
    return f"{detail['input']!r} {meaning}" if meaning else detail["msg"].removeprefix("Value error, ")


Seconds = Annotated[float, BeforeValidator(_duration)]
Bytes = Annotated[int, BeforeValidator(_size)]


RETRY_DELAY = 0.5
"""Seconds before a second try, unless a node says otherwise."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True, defer_build=True)


class Retry(_Part):
    """How often a node is tried and how long is waited between; `delay` is seconds before the second try."""

    attempts: int = Field(default=1, ge=1, le=100)
    backoff: Literal["none", "fixed", "exponential"] = "exponential"
    delay: Seconds = RETRY_DELAY


class Resources(_Part):
    """What a node asks of the Arbitration Engine; what is None comes from the Player's manifest."""

    cpu: float | None = Field(default=None, ge=0)
    memory: Bytes | None = None
    gpu: float | None = Field(default=None, ge=0)


class Node(_Part):
    """One call of a Player. `timeout` is seconds; None takes the host's setting."""

    id: Annotated[str, Field(pattern=_NODE_ID)]
    kind: NodeKind
    player: Annotated[str, AfterValidator(_player)]
    params: dict[str, Any] = {}
    timeout: Seconds | None = None
    retry: Retry | None = None
    resources: Resources | None = None
    fallback: Annotated[str, AfterValidator(_player)] | None = None
    """Another Player that gets the same inputs once the last attempt has failed."""

    @property
    def player_name(self) -> str:
        """`publisher/extension#function`, without a version range."""
        return self.player.partition("@")[0]

    @property
    def extension(self) -> str:
        """`publisher/extension`."""
        return self.player.partition("#")[0]

    @property
    def version_range(self) -> str | None:
        """The range of versions after the `@`, if one is given."""
        return self.player.partition("@")[2] or None

    def to_document(self) -> dict[str, Any]:
        """The node as the file formats write it, without what is default."""
        document: dict[str, Any] = {"id": self.id, "kind": self.kind, "player": self.player}
        if self.params:
            document["params"] = dict(self.params)
        if self.timeout is not None:
            document["timeout"] = format_duration(self.timeout)
        if self.retry is not None:
            document["retry"] = {"attempts": self.retry.attempts, "backoff": self.retry.backoff}
            if self.retry.delay != RETRY_DELAY:
                document["retry"]["delay"] = format_duration(self.retry.delay)
        if self.resources is not None:
            resources = self.resources.model_dump(exclude_none=True)
            if self.resources.memory is not None:
                resources["memory"] = format_size(self.resources.memory)
            document["resources"] = resources
        if self.fallback is not None:
            document["fallback"] = self.fallback
        return document


class Edge(_Part):
    """A connection. Data edges run from `node.port` to `node.port`, the others from node to node.

    A conditional edge's target plays only when `when` holds of the source's outputs.
    """

    kind: EdgeKind = "data"
    source: str = Field(alias="from", pattern=_ENDPOINT)
    target: str = Field(alias="to", pattern=_ENDPOINT)
    when: str | None = Field(default=None, max_length=1000)

    @property
    def source_node(self) -> str:
        """The id of the node that the edge leaves."""
        return self.source.partition(".")[0]

    @property
    def source_port(self) -> str:
        """The output port, empty when none is named."""
        return self.source.partition(".")[2]

    @property
    def target_node(self) -> str:
        """The id of the node that the edge enters."""
        return self.target.partition(".")[0]

    @property
    def target_port(self) -> str:
        """The input port, empty when none is named."""
        return self.target.partition(".")[2]

    @property
    def label(self) -> str:
        """`from → to`, the name of an edge in findings and differences."""
        return f"{self.source} → {self.target}"

    def to_document(self) -> dict[str, Any]:
        """The edge as the file formats write it."""
        document: dict[str, Any] = {"kind": self.kind, "from": self.source, "to": self.target}
        if self.when is not None:
            document["when"] = self.when
        return document


class Melody(_Part):
    """A workflow. `id` is assigned when it is saved; `metadata` is free for author, tags and layout."""

    format: Literal["symphony.melody/1"] = "symphony.melody/1"
    id: str | None = Field(default=None, max_length=128)
    name: str = Field(min_length=1, max_length=200)
    version: Annotated[str, BeforeValidator(_melody_version)] = "1.0.0"
    description: str = ""
    metadata: dict[str, Any] = {}
    nodes: list[Node] = []
    edges: list[Edge] = []

    def node(self, node_id: str) -> Node | None:
        """The node of that id."""
        return next((node for node in self.nodes if node.id == node_id), None)

    def extensions(self) -> list[str]:
        """The extensions whose Players it uses, each once, in order of appearance."""
        players = (player for node in self.nodes for player in (node.player, node.fallback) if player)
        return list(dict.fromkeys(player.partition("#")[0] for player in players))

    def to_document(self) -> dict[str, Any]:
        """The melody as plain values in the order of the contracts; `Melody.model_validate` reads it back."""
        document: dict[str, Any] = {"format": self.format}
        if self.id is not None:
            document["id"] = self.id
        document["name"] = self.name
        document["version"] = self.version
        if self.description:
            document["description"] = self.description
        if self.metadata:
            document["metadata"] = dict(self.metadata)
        document["nodes"] = [node.to_document() for node in self.nodes]
        document["edges"] = [edge.to_document() for edge in self.edges]
        return document
