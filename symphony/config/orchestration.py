"""The schemas of `policies.yaml`, how Melodies are played, and `models.yaml`, which models there are and how long."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from symphony.config.schema import Duration, Size

Strategy = Literal["sequential", "parallel", "adaptive"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class RetryRule(_Part):
    """How often a node is tried and what is waited between."""

    attempts: int = Field(default=1, ge=1, le=100)
    backoff: Literal["none", "fixed", "exponential"] = "exponential"
    delay: Duration = Field(default=0.5, ge=0)


class ResourceRule(_Part):
    """What a node asks of the arbiter; what is left out comes from measurements or the manifest."""

    cpu: float | None = Field(default=None, ge=0)
    memory: Size | None = Field(default=None, ge=0)
    gpu: float | None = Field(default=None, ge=0)


class NodeRule(_Part):
    """What holds for nodes of some Players; what is left out is decided as if there were no rule."""

    timeout: Duration | None = Field(default=None, gt=0)
    retry: RetryRule | None = None
    resources: ResourceRule = ResourceRule.model_construct()
    fallback: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+#[a-z_][a-z0-9_]*$")


class ErrorRule(_Part):
    """What is done after an error of one class: `retry` up to `attempts` tries in all, then what `then` says."""

    action: Literal["retry", "fallback", "fail", "skip"] = "retry"
    attempts: int = Field(default=2, ge=1, le=100)
    delay: Duration = Field(default=0.5, ge=0)
    then: Literal["fallback", "fail", "skip"] = "fallback"


class Budget(_Part):
    """What a composed Melody may take at most; None for any amount."""

    seconds: Duration | None = Field(default=None, gt=0)
    nodes: int | None = Field(default=None, ge=1)
    memory: Size | None = Field(default=None, gt=0)


class Policies(_Part):
    """`policies.yaml`. `players` maps patterns such as `acme/*` to rules, of which the first that fits holds;
    `errors` maps classes of errors, such as `timeout`, to what is done after one.
    """

    refused_of_projects: ClassVar[frozenset[str]] = frozenset(("budget", "quality_weight", "cost_weight"))

    strategy: Strategy = "adaptive"
    defaults: NodeRule = NodeRule.model_construct()
    players: dict[str, NodeRule] = {}
    errors: dict[str, ErrorRule] = {}
    budget: Budget = Budget.model_construct()
    quality_weight: float = Field(default=1.0, ge=0, le=100)
    """What a point of quality is worth where a model is chosen."""
    cost_weight: float = Field(default=1.0, ge=0, le=100)
    """What a unit of money for a thousand calls is worth there."""
    preferences: dict[str, str | int | float | bool] = {}
    """Values of required parameters that a prompt does not give, by name."""

    def rule(self, player: str) -> NodeRule:
        """The rule of the first pattern that fits a Player, over the defaults."""
        found = next((r for pattern, r in self.players.items() if fnmatchcase(player, pattern)), None)
        if found is None:
            return self.defaults
        asked, usual = found.resources, self.defaults.resources
        return NodeRule(
            timeout=found.timeout or self.defaults.timeout,
            retry=found.retry or self.defaults.retry,
            resources=ResourceRule(
                cpu=asked.cpu if asked.cpu is not None else usual.cpu,
                memory=asked.memory if asked.memory is not None else usual.memory,
                gpu=asked.gpu if asked.gpu is not None else usual.gpu,
            ),
            fallback=found.fallback or self.defaults.fallback,
        )


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class RemoteModel(_Part):
    """A model of the endpoint. Prices are for a million tokens, `quality` is from 0 to 1."""

    quality: float = Field(default=0.5, ge=0, le=1)
    price_input: float = Field(default=0.0, ge=0)
    price_output: float = Field(default=0.0, ge=0)
    players: Annotated[list[str], BeforeValidator(_list)] = ["*"]
    """Patterns of the Players that may use it."""

    def serves(self, player: str) -> bool:
        """Whether a Player may use it."""
        return any(fnmatchcase(player, pattern) for pattern in self.players)


class LocalModel(_Part):
    """The life of a model in the host: how long it stays unused, and whether it is loaded before it is asked for."""

    idle: Duration | None = Field(default=None, gt=0)
    prewarm: bool = True


class Models(_Part):
    """`models.yaml`. It is for the user alone: a project decides neither who is asked nor who is paid."""

    refused_of_projects: ClassVar[frozenset[str]] = frozenset(("remote", "local"))

    remote: dict[str, RemoteModel] = {}
    local: dict[str, LocalModel] = {}

    def of(self, player: str) -> dict[str, RemoteModel]:
        """The models that a Player may use."""
        return {name: model for name, model in self.remote.items() if model.serves(player)}
