"""The one definition of every setting: its type, default, limits and meaning."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer

from symphony.types.quantities import format_duration, format_size, parse_duration, parse_size

SECRET: dict[str, JsonValue] = {"secret": True}
PROJECT: dict[str, JsonValue] = {"project": True}
"""Marks settings that a project's own file may set. A project is often somebody else's work: what
decides about security, addresses and keys is for the user alone."""


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, (str, int, float)) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, (str, int, float)) else value


Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(format_duration)]
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(format_size)]


def _processors() -> float:
    affinity = getattr(os, "sched_getaffinity", None)
    return float(len(affinity(0)) if affinity else os.cpu_count() or 1)


def _memory() -> int:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 0.8)
    except (ValueError, OSError, AttributeError):
        return 4 << 30


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, defer_build=True)


class RetryPolicy(_Section):
    """What a component does when it fails for a passing reason."""

    attempts: int = Field(default=3, ge=1, le=100, description="tries in all")
    backoff: Literal["none", "fixed", "exponential"] = Field(
        default="exponential", description="how waits grow"
    )
    delay: Duration = Field(default=0.2, description="wait before the second try")


class _Component(_Section):
    enabled: bool = Field(default=True, description="whether the component is started")
    timeout: Duration = Field(default=30.0, gt=0, description="longest wait for its start or an answer")
    retry_policy: RetryPolicy = RetryPolicy.model_construct()
    metrics_enabled: bool = Field(default=True, description="whether it counts and times what it does")


class HostSettings(_Component):
    """`host`"""

    port: int = Field(default=0, ge=0, le=65535, description="port of the page; 0 takes a free one")


class PlayerSettings(_Section):
    """`stage.player`"""

    memory: Size = Field(default=4 << 30, ge=16 << 20, description="most memory of a Player")
    cpu: float = Field(default=2.0, gt=0, le=1024, description="most cores of a Player")
    idle: Duration = Field(default=120.0, description="a Player unused for so long is stopped")
    start_timeout: Duration = Field(default=10.0, gt=0, description="longest start of a Player")


class SandboxSettings(_Section):
    """`stage.sandbox`"""

    allow_missing: list[str] = Field(
        default=[],
        description="sandbox layers that may be missing on this machine, by name; Players are less contained",
    )


class BusSettings(_Section):
    """`stage.bus`"""

    frame: Size = Field(default=16 << 20, ge=1 << 20, le=1 << 30, description="longest message of a Player")
    payload: Size = Field(
        default=256 << 20, ge=1 << 20, le=16 << 30, description="most bytes that lie beside one message"
    )
    depth: int = Field(default=64, ge=16, le=512, description="how deep the values of a message may nest")
    values: int = Field(
        default=2_000_000, ge=10_000, le=100_000_000, description="how many values a message may hold"
    )
    rate: float = Field(
        default=150_000.0, ge=100, le=1e9, description="messages that a Player may send in a second"
    )
    requests: int = Field(
        default=256, ge=1, le=100_000, description="requests of a Player that may wait for an answer"
    )
    unanswered: Size = Field(
        default=256 << 20, ge=1 << 20, description="most bytes that these requests hold together"
    )
    buffer_size: Size = Field(
        default=0, ge=0, le=64 << 20, description="bytes of a connection's buffers; 0 leaves the system's"
    )


class BudgetSettings(_Section):
    """`stage.budget`"""

    calls: int = Field(
        default=0, ge=0, description="what an extension may ask of the host in a day (UTC); 0 for any number"
    )
    tokens: int = Field(
        default=0, ge=0, description="tokens of models that an extension may use in a day; 0 for any number"
    )
    cost: float = Field(
        default=0.0,
        ge=0,
        description="what an extension may spend on models in a day, by model.price_*; 0 for any amount",
    )


class CrashSettings(_Section):
    """`stage.crashes`"""

    limit: int = Field(
        default=3, ge=0, le=100, description="crashes after which an extension is switched off; 0 for never"
    )
    window: Duration = Field(default=300.0, gt=0, description="time within which these crashes happen")


class StageSettings(_Component):
    """`stage`"""

    player: PlayerSettings = PlayerSettings.model_construct()
    sandbox: SandboxSettings = SandboxSettings.model_construct()
    bus: BusSettings = BusSettings.model_construct()
    budget: BudgetSettings = BudgetSettings.model_construct()
    crashes: CrashSettings = CrashSettings.model_construct()
    changes: Literal["ask", "apply"] = Field(
        default="ask",
        description="whether what a program changed in its private copy of the project waits for your word, or "
        "is taken over when the program succeeded",
        json_schema_extra=PROJECT,
    )


class PoolSettings(_Component):
    """`pit.pool`"""

    capacity: int = Field(
        default=128, ge=1, le=100_000, description="Players and local models that may be loaded at a time"
    )
    memory: Size = Field(
        default_factory=lambda: _memory() // 2,
        gt=0,
        description="memory that loaded Players and local models may use together",
    )
    predict: bool = Field(
        default=True, description="whether Players are started because they are likely needed"
    )
    model_idle: Duration = Field(
        default=900.0, gt=0, description="a local model unused for so long is unloaded"
    )


class ArbitrationSettings(_Component):
    """`pit.arbitration`"""

    cpu: float = Field(default_factory=_processors, gt=0, description="cores that all nodes share")
    memory: Size = Field(default_factory=_memory, gt=0, description="memory that all nodes share")
    gpu: Annotated[float, Field(ge=0)] | Literal["all"] = Field(
        default="all", description="GPUs that all nodes share: a number, or `all` that NVML finds"
    )
    model_slots: int = Field(
        default=4, ge=1, le=10_000, description="nodes that may ask a language model at a time"
    )
    strategy: Literal["fair", "priority", "lottery", "shortest"] = Field(
        default="fair",
        description="who goes first when nodes wait: the run that holds least, the highest priority, one "
        "drawn by lot, or the shortest by experience",
    )


class StoreSettings(_Component):
    """`pit.store`"""

    encryption: Literal["off", "keyring", "passphrase"] = Field(
        default="off",
        description="where the key of the store comes from: the platform's keyring or a passphrase",
    )
    passphrase_file: str = Field(
        default="",
        description="file with the store's passphrase, where SYMPHONY_STORE_PASSPHRASE does not give it",
    )


class DagSettings(_Component):
    """`pit.dag`"""


class ArchiveSettings(_Section):
    """`pit.stale.archive`"""

    folder: str = Field(
        default="",
        description="folder of the archive, best on another disk; empty keeps artifacts in the store",
    )


class CloudSettings(_Section):
    """`pit.stale.cloud`. Credentials come from the environment, the AWS configuration or the keyring."""

    kind: Literal["", "s3", "azure"] = Field(default="", description="kind of the cloud tier; empty for none")
    container: str = Field(default="", description="its bucket or container")
    prefix: str = Field(default="symphony", description="what the names of its objects begin with")
    endpoint: str = Field(default="", description="address of an S3-compatible service; empty for Amazon's")
    region: str = Field(default="", description="region of the bucket; empty as the AWS configuration says")
    timeout: Duration = Field(default=30.0, gt=0, description="longest wait for an answer of the service")
    bandwidth: Size = Field(default=0, ge=0, description="most bytes a second to and from it; 0 is no limit")
    scheduled: bool = Field(
        default=False, description="whether the schedule moves artifacts there, not only the command"
    )


class StaleSettings(_Component):
    """`pit.stale`"""

    active_days: float = Field(default=7.0, ge=0, description="artifacts stay in the store for so many days")
    archive_days: float = Field(
        default=30.0, ge=0, description="and in the archive until they are so many days old"
    )
    delete_days: float = Field(default=0.0, ge=0, description="older artifacts are deleted; 0 keeps them")
    keep_value: float = Field(
        default=0.9, ge=0, le=1, description="artifacts worth at least this much are never deleted"
    )
    disk_budget: Size = Field(
        default=0, ge=0, description="most bytes of artifacts in the store; 0 is no limit"
    )
    min_free: Size = Field(
        default=0, ge=0, description="bytes that stay free on the store's disk; 0 for none"
    )
    pressure_delete: bool = Field(
        default=False,
        description="whether a full disk deletes artifacts when there is no tier to move them to",
    )
    interval: Duration = Field(default=3600.0, ge=0, description="time between two clean-ups; 0 for none")
    archive: ArchiveSettings = ArchiveSettings.model_construct()
    cloud: CloudSettings = CloudSettings.model_construct()


class PitSettings(_Section):
    """`pit`"""

    pool: PoolSettings = Field(default_factory=PoolSettings.model_construct)
    dag: DagSettings = DagSettings.model_construct()
    store: StoreSettings = StoreSettings.model_construct()
    arbitration: ArbitrationSettings = Field(default_factory=ArbitrationSettings.model_construct)
    stale: StaleSettings = StaleSettings.model_construct()


class EngineSettings(_Component):
    """`engine`"""

    max_nodes: int = Field(
        default=10_000, ge=1, description="most nodes of a melody", json_schema_extra=PROJECT
    )
    max_edges: int = Field(
        default=50_000, ge=0, description="most edges of a melody", json_schema_extra=PROJECT
    )
    node_timeout: Duration = Field(
        default=300.0,
        gt=0,
        description="longest run of a node that names no timeout",
        json_schema_extra=PROJECT,
    )
    max_parallel: int = Field(
        default=0,
        ge=0,
        description="most nodes at a time; 0 lets the resources decide",
        json_schema_extra=PROJECT,
    )


class LearningSettings(_Section):
    """`conductor.learning`"""

    log: bool = Field(default=True, description="whether decisions and how runs end are kept to learn from")
    train: bool = Field(
        default=True,
        description="whether the learner starts by itself when nothing plays; needs `make learn`",
    )
    idle: Duration = Field(default=600.0, ge=0, description="nothing has played for so long before it starts")
    least: int = Field(default=200, ge=1, description="new decisions before it starts again")


class ConductorSettings(_Component):
    """`conductor`"""

    learning: LearningSettings = LearningSettings.model_construct()

    confidence: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="below it the Conductor says that it is not sure",
        json_schema_extra=PROJECT,
    )
    encoder: str = Field(
        default="", description="folder of another sentence encoder; empty takes the built one"
    )
    language_model: bool = Field(
        default=False,
        description="whether the model of model.endpoint may propose a Melody where the Conductor finds none or is "
        "unsure; it is sent the prompt, names of files and the Players, and its plan is checked as any other",
    )


class ModelSettings(_Component):
    """`model`"""

    endpoint: str = Field(
        default="", description="address of an OpenAI-compatible endpoint, such as http://host/v1"
    )
    name: str = Field(default="", description="model that is used when a Player names none")
    api_key: str = Field(
        default="", description="key for the endpoint; no Player sees it", json_schema_extra=SECRET
    )
    price_input: float = Field(default=0.0, ge=0, description="price of a million tokens of a prompt")
    price_output: float = Field(default=0.0, ge=0, description="price of a million tokens of an answer")


class RegistrySettings(_Component):
    """`registry`"""

    folder: str = Field(default="", description="folder of another registry; empty takes the embedded one")
    trusted: list[str] = Field(
        default=[], description="further Ed25519 public keys (hex) whose packages are accepted"
    )


class UiSettings(_Section):
    """`ui`"""

    theme: Literal["system", "light", "dark"] = Field(
        default="system", description="whether the page is light or dark", json_schema_extra=PROJECT
    )
    colors: str = Field(
        default="",
        description="Motif whose colours the page has; empty for its own",
        json_schema_extra=PROJECT,
    )
    layout: str = Field(
        default="",
        description="Motif that arranges the views; empty for the usual order",
        json_schema_extra=PROJECT,
    )


class LoggingSettings(_Section):
    """`logging`"""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what is written to the log"
    )
    max_bytes: Size = Field(default=5_000_000, ge=10_000, description="size at which a log file is rotated")
    backups: int = Field(default=3, ge=0, le=100, description="rotated log files that are kept")


class Settings(_Section):
    """All settings. `extensions` holds the configuration values of extensions, by name."""

    host: HostSettings = HostSettings.model_construct()
    stage: StageSettings = StageSettings.model_construct()
    pit: PitSettings = Field(default_factory=PitSettings.model_construct)
    engine: EngineSettings = EngineSettings.model_construct()
    conductor: ConductorSettings = ConductorSettings.model_construct()
    model: ModelSettings = ModelSettings.model_construct()
    registry: RegistrySettings = RegistrySettings.model_construct()
    ui: UiSettings = UiSettings.model_construct()
    logging: LoggingSettings = LoggingSettings.model_construct()
    extensions: dict[str, dict[str, Any]] = Field(
        default={}, description="configuration values of extensions"
    )
