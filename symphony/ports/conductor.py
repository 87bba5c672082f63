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


class PlayDecisions(Protocol):
    """What the engine asks while a Melody plays. Answers are quick and raise nothing; where there is nothing to
    decide, the plain default is the answer.
    """

    def shape(self, plan: dict[str, Any], project: str | None) -> list[str]:
        """Changes a compiled plan before it starts, such as by letting its nodes play one after the other.

        Answers with the pool's keys of Players that shall be made ready meanwhile.
        """
        ...

    def after_failure(self, plan: dict[str, Any], failure: dict[str, Any]) -> dict[str, Any]:
        """The answer to a `failure` event of the run loop about a node of the plan."""
        ...

    def after_node(self, run: str, node: str, state: str) -> None:
        """Hears that a node has ended, or begins again."""
        ...


class ConductorPort(Protocol):
    """Composing changes nothing: the same request gets the same answer while the Players stay the same."""

    async def orchestrate(self, request: OrchestrationRequest) -> OrchestrationResult:
        """Composes. Raises BadInput for an empty prompt or one that is too long."""
        ...

    async def get_status(self) -> ConductorStatus:
        """How it is; never raises."""
        ...
