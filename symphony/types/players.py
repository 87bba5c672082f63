"""What the host knows of a Player: an extension's function with its ports, parameters and needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROJECT_FACTS: Mapping[str, tuple[str, str]] = {
    "project.git": (
        "a git repository",
        "this folder is in none; run `git init` in it, or open a folder that is in one",
    ),
}
"""What a function may require of the project, beside settings: what it is, and what to do where it is not so."""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A parameter of a function. `type` is string, integer, number, boolean, duration, date, path, list or any."""

    type: str
    description: str = ""
    default: Any = None
    required: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    files: tuple[str, ...] = ()
    """Of a path: the files that it is for, as patterns; empty for all."""


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One Player. `player` is `publisher/extension#function`; ports map name to type.

    Inputs named in `optional` may stay unconnected; an input of type `list<T>` accepts several edges,
    whose values the engine concatenates. `seconds` is the declared typical duration.
    """

    player: str
    kind: str
    description: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    deterministic: bool = False
    effects: bool = False
    seconds: float = 0.1
    cpu: float = 1.0
    memory: int = 256 << 20
    gpu: float = 0.0
    available: bool = True
    """False when the extension is known only from the registry, or is disabled, or lacks what it requires."""
    requires: tuple[str, ...] = ()
    """Settings of the host, and `PROJECT_FACTS`, without which it can do nothing."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of its rows, by output, where its manifest tells them."""
    keeps: frozenset[str] = frozenset()
    """Outputs whose rows have the columns of its input."""

    @property
    def extension(self) -> str:
        """`publisher/extension`."""
        return self.player.partition("#")[0]

    @property
    def function(self) -> str:
        """The name after the `#`."""
        return self.player.partition("#")[2]
