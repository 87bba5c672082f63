"""What the host asks of the Conductor: a melody for a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class OrchestrationRequest:
    """A prompt, and the folder it is about."""

    prompt: str
    project: str | None = None


@dataclass(frozen=True, slots=True)
class OrchestrationResult:
    """A valid melody with its reasons, or what is missing for one and which extensions would bring it."""

    possible: bool
    melody: dict[str, Any] | None = None
    explanations: list[dict[str, Any]] = field(default_factory=list)
    predicted_seconds: float = 0.0
    missing: list[str] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ConductorStatus:
    """Whether it can compose, and with what."""

    ready: bool
    players: int
    detail: str = ""


class ConductorPort(Protocol):
    """Composing changes nothing: the same request gets the same answer while the Players stay the same."""

    async def orchestrate(self, request: OrchestrationRequest) -> OrchestrationResult:
        """Composes. Raises BadInput for an empty prompt or one that is too long."""
        ...

    async def get_status(self) -> ConductorStatus:
        """How it is; never raises."""
        ...
