"""What the host asks of the Pit: models and Players to use, melodies to play, artifacts to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType, Protocol

from symphony.types.runs import RunInfo

ExecutionId = NewType("ExecutionId", str)
ArtifactId = NewType("ArtifactId", str)


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """The right to use a pool entry until it is released. `token` tells two holders of one entry apart."""

    model: str
    token: int


class PitPort(Protocol):
    """Documents and values are plain JSON; all methods may run side by side."""

    async def allocate_model(
        self, model: str, priority: int = 5, timeout: float | None = None
    ) -> ModelHandle:
        """A handle once the entry is ready; it may be held several times. Raises NotFound or SymphonyError."""
        ...

    async def release_model(self, handle: ModelHandle) -> None:
        """Gives the handle back. Raises BadInput for one that was given back before."""
        ...

    async def execute_workflow(self, workflow: Mapping[str, Any]) -> ExecutionId:
        """Starts a melody (a document of `symphony.melody/1`). Raises InvalidMelody; then nothing started."""
        ...

    async def execution(self, execution: ExecutionId) -> RunInfo:
        """How far it is. Raises NotFound."""
        ...

    async def wait(self, execution: ExecutionId) -> RunInfo:
        """How it ended, once it has. Raises NotFound."""
        ...

    async def cancel(self, execution: ExecutionId) -> None:
        """Ends it in order; what has ended already stays as it is. Raises NotFound."""
        ...

    async def store_artifact(self, content: bytes, name: str = "", type: str = "") -> ArtifactId:
        """Keeps the content, durable when it answers; the same content has the same id."""
        ...

    async def get_artifact(self, artifact: ArtifactId) -> bytes:
        """The content. Raises NotFound, or DamagedArtifact when it does not match its id."""
        ...
