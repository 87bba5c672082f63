"""What a composition starts from and what it gives back: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conductor.learning.seen import Seen
    from conductor.needs import Means


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What the host knows of the open project.

    Args:
        path: the project's folder.
        is_git: whether it is inside a git working tree.
        languages: language name to number of files.
        files: paths relative to the project with `/`, a sample when there are very many.
        branches: names of git branches.
        columns: for tables of the project, their columns in order.
    """

    path: str = ""
    is_git: bool = False
    languages: Mapping[str, int] = field(default_factory=dict)
    files: Sequence[str] = ()
    branches: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def holds(self, fact: str) -> bool:
        """Whether one of `PROJECT_FACTS` is so here."""
        return {"project.git": self.is_git}[fact]


@dataclass(frozen=True, slots=True)
class ComposeContext:
    """All that a composition may depend on beside the prompt and the installed Players.

    `preferences` holds defaults for parameters by name, such as `{"since": "90d"}`; they apply where
    the prompt says nothing and the parameter is required. `answers` are those that a person gave to
    questions of earlier compositions of the same prompt: the question's name, the value of the choice.
    """

    project: ProjectFacts | None = None
    now: datetime | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    means: Means | None = None
    """Policies, measurements and this machine; None leaves nodes to the host's defaults."""


@dataclass(slots=True)
class Composition:
    """The answer: a Melody as a `symphony.melody/1` document, or what is missing.

    When half of a request can be served, `possible` is true, `missing` names the other half and an
    explanation without node says so. `decisions` is the log of the choices: how likely each was and
    among how many; `seen` is what each was made from, for whoever learns from it, `policy` who made them.
    `question` stands where two readings were about as likely; the Melody is that of the likelier.
    """

    possible: bool
    melody: dict[str, Any] | None = None
    explanations: list[dict[str, Any]] = field(default_factory=list)
    predicted_seconds: float = 0.0
    missing: list[str] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list, compare=False, repr=False)
    policy: str = ""
    encoder: str = ""
    question: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The `compose --json` answer of the contracts."""
        if not self.possible:
            return {"possible": False, "missing": self.missing, "extensions": self.extensions}
        return {
            "possible": True,
            "melody": self.melody,
            "explanations": self.explanations,
            "predicted_seconds": self.predicted_seconds,
            "missing": self.missing,
            "extensions": self.extensions,
            **({"question": self.question} if self.question is not None else {}),
        }
