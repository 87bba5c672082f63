"""Decisions while a Melody plays: its strategy, what follows a failure, what is made ready ahead.

Each is a rule that says why and how sure it is; where too little is known, the plain default holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from symphony.config.orchestration import Policies

SURE = 0.6
"""Below this confidence the plain default holds."""
ENOUGH = 5
"""Failures of one kind from which on it counts whether another try helped."""
BUSY = 0.8
"""A Player that keeps a core so busy gains nothing from another one at its side on the same core."""
HOPELESS, HOPEFUL = 0.1, 0.5
"""No other try is made where fewer of those before helped than the first; one is where more did than the second."""
WAIT = 0.5
"""Seconds before another try that nobody planned."""

Action = Literal["default", "retry", "fallback", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, why, and how sure that is (0 to 1)."""

    value: str
    why: str
    confidence: float
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A node as far as these decisions go: what it waits for, what it takes, and how busy its cores are."""

    id: str
    player: str
    after: Sequence[str] = ()
    memory: int = 0
    cpu: float = 1.0
    busy: float = 0.0
    """Share of its time in which it computes, 0 when not measured."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try: `code` is the class of the error, `attempt` its number in this run from 1 on."""

    player: str
    code: str
    attempt: int
    has_fallback: bool = False
    has_effects: bool = False


@dataclass(slots=True)
class Tries:
    """How often another try was made after a kind of failure, and how often it helped."""

    made: int = 0
    helped: int = 0


@dataclass(slots=True)
class Experience:
    """What other tries brought so far, by Player and class of the error."""

    tries: dict[tuple[str, str], Tries] = field(default_factory=dict)

    def of(self, player: str, code: str) -> Tries:
        """The tries after such a failure."""
        return self.tries.setdefault((player, code), Tries())


def levels_of(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps by how many others they wait for in a row: those of one level may play at once."""
    depth = {step.id: 0 for step in steps}
    open_ends = {step.id: len(set(step.after)) for step in steps}
    takers: dict[str, list[str]] = {}
    for step in steps:
        for source in set(step.after):
            takers.setdefault(source, []).append(step.id)
    ready = [name for name, waits in open_ends.items() if not waits]
    while ready:
        name = ready.pop()
        for taker in takers.get(name, ()):
            depth[taker] = max(depth[taker], depth[name] + 1)
            open_ends[taker] -= 1
            if not open_ends[taker]:
                ready.append(taker)
    found: list[list[Step]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for step in steps:
        found[depth[step.id]].append(step)
    return found


def strategy_of(steps: Sequence[Step], policies: Policies, capacity: Mapping[str, float]) -> Decision:
    """`sequential` or `parallel`. `adaptive` plays one node after the other where those of one level would not
    fit into memory together, or all compute on the only core; else, and where little is known, side by side.
    """
    if policies.strategy != "adaptive":
        return Decision(policies.strategy, "policies.yaml says so", 1.0)
    wide = [level for level in levels_of(steps) if len(level) > 1]
    memory, cores = capacity.get("memory", 0.0), capacity.get("cpu", 0.0)
    for level in wide:
        wanted = sum(step.memory for step in level)
        if memory and wanted > memory:
            why = f"{len(level)} steps that could play at once want {wanted >> 20} MiB of {int(memory) >> 20}"
            return Decision("sequential", why, 1.0)
    if wide and 0 < cores <= 1.0:
        steps_at_once = [step for level in wide for step in level]
        busy = sum(step.busy >= BUSY for step in steps_at_once) / len(steps_at_once)
        if busy >= SURE:
            return Decision("sequential", "there is one core, and the steps keep it busy", busy)
    return Decision("parallel", "nothing speaks against it", 1.0 if wide else SURE)


def after_failure(failure: Failure, policies: Policies, experience: Experience) -> Decision:
    """What follows a failure: what `policies.yaml` says of its class, else what earlier tries brought."""
    rule = policies.errors.get(failure.code)
    if rule is not None:
        named = f"policies.yaml says so of {failure.code}"
        if rule.action != "retry":
            return _possible(rule.action, failure, named)
        if failure.attempt < rule.attempts:
            return Decision("retry", named, 1.0, rule.delay * 2 ** (failure.attempt - 1))
        return _possible(rule.then, failure, f"{named}, after {failure.attempt} tries")
    tries = experience.of(failure.player, failure.code)
    if tries.made < ENOUGH:
        return Decision("default", "too little is known of such failures", tries.made / (2 * ENOUGH))
    share = tries.helped / tries.made
    told = f"{tries.helped} of {tries.made} other tries after {failure.code} helped"
    if share < HOPELESS:
        return _possible("fallback", failure, told, 1.0 - share)
    if share > HOPEFUL and not failure.has_effects and failure.attempt < 3:
        return Decision("retry", told, share, WAIT * 2 ** (failure.attempt - 1))
    return Decision("default", told, 0.5)


def _possible(action: str, failure: Failure, why: str, confidence: float = 1.0) -> Decision:
    """An action, or `fail` where there is no fallback to fall back to."""
    if action == "fallback" and not failure.has_fallback:
        return Decision("fail", f"{why}; there is no other Player", confidence)
    return Decision(action, why, confidence)


def ahead(steps: Sequence[Step], keys: Mapping[str, str], room: int) -> list[str]:
    """The keys of Players that play only later and are made ready meanwhile: the next ones first, as many as fit."""
    levels = levels_of(steps)
    first = {keys.get(step.id, "") for step in (levels[0] if levels else [])}
    later = [keys.get(step.id, "") for level in levels[1:] for step in level]
    return [key for key in dict.fromkeys(later) if key and key not in first][: max(0, room)]


def verdict_of(decision: Decision) -> dict[str, Any]:
    """A decision after a failure as the run loop takes it."""
    if decision.confidence < SURE:
        return {"action": "default"}
    answer: dict[str, Any] = {"action": decision.value}
    return {**answer, "delay": decision.delay} if decision.value == "retry" else answer
