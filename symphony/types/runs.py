"""What is known of a run and of each of its nodes; the shapes that `--json` and the page show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

RunState = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]
NodeState = Literal["pending", "ready", "running", "succeeded", "failed", "skipped", "cancelled", "waiting"]


@dataclass(slots=True)
class ArtifactInfo:
    """One version of a stored result. `id` is `sha256:` and the digest of the plain content."""

    id: str
    name: str
    type: str
    bytes: int
    quality: float = 0.0
    created: float = 0.0
    run: str = ""
    node: str = ""
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        """As in the contracts, with what the page needs beside it."""
        return asdict(self)


@dataclass(slots=True)
class NodeRun:
    """A node of a run. `started` and `ended` are seconds since the run's start."""

    id: str
    player: str
    status: NodeState = "pending"
    attempts: int = 0
    cached: bool = False
    started: float | None = None
    ended: float | None = None
    artifacts: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    progress: float | None = None
    note: str = ""
    waits_for: str = ""
    """What a node that is ready waits for now, such as "waits for 1 core held by commits"."""
    queue_seconds: float | None = None
    """How long it waited for resources."""
    cpu_seconds: float | None = None
    """CPU time of its Player during the call, shared among calls that ran at once, and of its programs."""
    peak_memory: int | None = None
    """The most memory in bytes that its Player had held when it ended, or one of its programs."""
    gpu_share: float | None = None
    ran_because: str = ""
    """Why it ran and was not answered from the cache."""
    fallback: str = ""
    """The Player that answered in place of its own."""

    def to_json(self) -> dict[str, Any]:
        """As in the contracts."""
        # Each change of each node passes here: `asdict` would cost ten times as much.
        shown = {name: getattr(self, name) for name in _NODE_FIELDS}
        shown["artifacts"] = list(self.artifacts)
        return shown


_NODE_FIELDS = tuple(NodeRun.__dataclass_fields__)


@dataclass(slots=True)
class RunInfo:
    """A run as a whole. `seconds` is wall time so far; `created` seconds since the epoch."""

    id: str
    name: str
    status: RunState
    seconds: float
    nodes: list[NodeRun]
    project: str = ""
    prompt: str = ""
    created: float = 0.0
    error: dict[str, Any] | None = None

    def head(self) -> dict[str, Any]:
        """All but the nodes."""
        return {name: getattr(self, name) for name in _RUN_FIELDS}

    def to_json(self) -> dict[str, Any]:
        """As in the contracts."""
        return {**self.head(), "nodes": [node.to_json() for node in self.nodes]}


_RUN_FIELDS = tuple(name for name in RunInfo.__dataclass_fields__ if name != "nodes")
