"""What each node of a composed Melody may take: time, tries, resources, and which model it asks.

Each is a rule that can be read: what `policies.yaml` says holds, then what was measured often enough, then
the plain default, which is the manifest's or the host's setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from symphony.config.orchestration import Models, Policies, RemoteModel
from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.quantities import format_duration, format_size, parse_duration

ENOUGH = 5
"""Runs from which on a measurement counts."""
SLOWEST, LEAST_TIME = 10.0, 60.0
"""A node may take so many times its slowest hundredth, and never less than so many seconds."""
SPARE, LEAST_MEMORY = 2.0, 64 << 20
"""A node asks for so many times the most memory it ever took, and never for less than so many bytes."""
OFTEN = 0.2
"""A Player that fails in more than this share of its runs is tried again."""
CLOSE = 0.02
"""Models whose worth differs by less than this are alike: then the host's own choice holds."""
TOKENS_IN, TOKENS_OUT = 2_000, 1_000
"""What a call is taken to use where models are compared."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a Player, or a model, took so far. Seconds, bytes and cores; quality from 0 to 1, None when unknown."""

    runs: int = 0
    failed: int = 0
    seconds: float = 0.0
    slow: float = 0.0
    memory: int = 0
    cpu: float = 0.0
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What a composition may count on: policies, models, measurements by Player and by model, and this machine.

    `free` are what the arbiter has left by resource, `capacity` what it has in all; both empty when unknown.
    """

    policies: Policies = field(default_factory=Policies)
    models: Models = field(default_factory=Models)
    measured: Mapping[str, Measured] = field(default_factory=dict)
    by_model: Mapping[str, Measured] = field(default_factory=dict)
    node_timeout: float = 300.0
    free: Mapping[str, float] = field(default_factory=dict)
    capacity: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, spec: FunctionSpec) -> float:
        """How long a Player is expected to take."""
        known = self.measured.get(spec.player)
        return known.seconds if known is not None and known.runs else spec.seconds


def needs_of(spec: FunctionSpec, params: Mapping[str, Any], means: Means) -> dict[str, Any]:
    """`timeout`, `retry`, `resources` and, where a policy names one, `fallback` of a node, as a Melody writes them."""
    rule = means.policies.rule(spec.player)
    known = means.measured.get(spec.player, Measured())
    retry = rule.retry.model_dump() if rule.retry is not None else {"attempts": _attempts(spec, known)}
    cpu = rule.resources.cpu if rule.resources.cpu is not None else _cpu(spec, known)
    memory = rule.resources.memory if rule.resources.memory is not None else _memory(spec, known)
    gpu = rule.resources.gpu if rule.resources.gpu is not None else spec.gpu
    needs: dict[str, Any] = {
        "timeout": format_duration(rule.timeout or _timeout(spec, params, known, means.node_timeout)),
        "retry": {"attempts": retry["attempts"], "backoff": retry.get("backoff", "exponential")},
        "resources": {"cpu": float(cpu), "memory": format_size(memory)},
    }
    if gpu:
        needs["resources"]["gpu"] = float(gpu)
    if "delay" in retry and retry["attempts"] > 1:
        needs["retry"]["delay"] = retry["delay"]
    if rule.fallback is not None and rule.fallback != spec.player:
        needs["fallback"] = rule.fallback
    return needs


def model_for(spec: FunctionSpec, params: Mapping[str, Any], means: Means) -> str | None:
    """The model that a node shall ask: the one of most worth. None leaves it to the host, which is so where the
    prompt or the Player settled it, where `models.yaml` names none, and where the two best are worth alike.
    """
    param = spec.params.get("model")
    if spec.kind != "instrument" or param is None or param.type != "string" or params.get("model"):
        return None
    worth = {name: _worth(name, model, means) for name, model in means.models.of(spec.player).items()}
    ranked = sorted(worth, key=lambda name: (-worth[name], name))
    if not ranked or not _allows(param, ranked[0]):
        return None
    if len(ranked) > 1 and worth[ranked[0]] - worth[ranked[1]] < CLOSE:
        return None
    return ranked[0]


def _worth(name: str, model: RemoteModel, means: Means) -> float:
    """Predicted quality, by declaration and by what its results were found to be, less what a call costs."""
    known = means.by_model.get(name, Measured())
    quality = model.quality
    if known.quality is not None:
        quality = (ENOUGH * model.quality + known.runs * known.quality) / (ENOUGH + known.runs)
    tried = known.runs + known.failed
    reliable = 1.0 - known.failed / tried if tried >= ENOUGH else 1.0
    cost = (TOKENS_IN * model.price_input + TOKENS_OUT * model.price_output) / 1e6
    return means.policies.quality_weight * quality * reliable - means.policies.cost_weight * cost


def _allows(param: ParamSpec, value: str) -> bool:
    return not param.choices or value in param.choices


def _timeout(spec: FunctionSpec, params: Mapping[str, Any], known: Measured, usual: float) -> float:
    own = spec.params.get("timeout")
    least = 0.0
    if own is not None and own.type == "duration":
        # What stops itself is not stopped before.
        given = params.get("timeout", own.default)
        least = parse_duration(given) + 30.0 if isinstance(given, (str, int, float)) else 0.0
    if known.runs >= ENOUGH and known.slow > 0:
        return math.ceil(max(LEAST_TIME, SLOWEST * known.slow, least))
    return max(usual, least)


def _attempts(spec: FunctionSpec, known: Measured) -> int:
    """What changes something is tried once; what asks a service, or fails now and then, more often."""
    if spec.effects:
        return 1
    if spec.kind == "instrument":
        return 3
    tried = known.runs + known.failed
    return 2 if tried >= ENOUGH and known.failed / tried > OFTEN and known.runs else 1


def _cpu(spec: FunctionSpec, known: Measured) -> float:
    if known.runs < ENOUGH or known.cpu <= 0:
        return spec.cpu
    return min(spec.cpu, max(0.25, math.ceil(known.cpu * 4) / 4))


def _memory(spec: FunctionSpec, known: Measured) -> int:
    if known.runs < ENOUGH or known.memory <= 0:
        return spec.memory
    mebibytes = math.ceil(max(SPARE * known.memory, LEAST_MEMORY) / (1 << 20))
    return min(spec.memory, mebibytes << 20)
