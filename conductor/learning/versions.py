"""Versioned policies: which one decides, which did before, and one step back. Pure decisions, files at the edge."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from conductor.learning.gate import Verdict
from conductor.policy import Policy, WeightsInvalid
from symphony.errors import BadInput

SHIPPED = "shipped"


def learnt_from(shipped: str) -> str:
    """What the versions begin with that were learnt from these shipped weights."""
    return f"online-{shipped.rpartition('-')[2]}-"


MOST_EVENTS = 500
KEPT = 5
"""Weights of so many versions stay on disk; the one in use and the one before it always do."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a version, for the page that shows what was promoted and why."""

    at: float
    kind: str
    """promoted, refused, rolled back."""
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """Which version decides. `refused` are never offered again; `previous` is where one step back leads."""

    current: str = SHIPPED
    previous: str | None = None
    refused: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()

    def judged(self, version: str, verdict: Verdict, at: float) -> Record:
        """After the gate has spoken about a version. Raises BadInput for one that was refused before."""
        if version in self.refused or version == self.current:
            raise BadInput(
                f"The policy {version} was judged before", remedy="learn on, and offer what comes of it"
            )
        if not verdict.is_promoted:
            return replace(self, refused=(*self.refused, version))._noted(
                Event(at, "refused", version, verdict.reason)
            )
        done = replace(self, current=version, previous=self.current)
        return done._noted(Event(at, "promoted", version, verdict.reason))

    def rolled_back(self, reason: str, at: float) -> Record:
        """One step back, to what decided before; without that, to the shipped policy."""
        if self.current == SHIPPED:
            raise BadInput("The shipped policy decides already", remedy="there is nothing to take back")
        done = replace(
            self, current=self.previous or SHIPPED, previous=None, refused=(*self.refused, self.current)
        )
        return done._noted(Event(at, "rolled back", self.current, reason))

    def _noted(self, event: Event) -> Record:
        return replace(self, events=(*self.events, event)[-MOST_EVENTS:])

    def to_json(self) -> dict[str, Any]:
        """The document on disk."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Record:
        """Reads `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            current=str(raw["current"]),
            previous=None if raw["previous"] is None else str(raw["previous"]),
            refused=tuple(map(str, raw["refused"])),
            events=tuple(Event(**event) for event in raw["events"]),
        )


class Versions:
    """A folder of weights with its record. Whatever is damaged in it, the shipped policy decides."""

    def __init__(self, folder: Path, shipped: Path) -> None:
        self._folder, self._shipped = folder, shipped
        self.trouble = ""
        """Why the record could not be read, "" when it could or there is none."""
        self.record = self._read()

    def _read(self) -> Record:
        file = self._folder / "record.json"
        try:
            return Record.from_json(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.trouble = f"{file} cannot be read ({error})"
            return Record()

    def weights(self, version: str) -> Path:
        """The file of a version."""
        if version == SHIPPED:
            return self._shipped
        if not version.replace("-", "").isalnum():
            raise BadInput(f"{version!r} names no policy", remedy="use letters, digits and hyphens")
        return self._folder / f"{version}.npz"

    def load(self) -> tuple[Policy, str]:
        """The policy that decides now, and its version; a version that cannot be read gives way to the one before.

        Raises WeightsInvalid when not even the shipped one can be read.
        """
        policy, version, _ = self._decider()
        return policy, version

    def usable(self) -> tuple[Path, str, str]:
        """The file of the policy that decides now, its version, and why it is not the promoted one ("" when it is)."""
        _, version, trouble = self._decider()
        return self.weights(version), version, trouble

    def version_of(self, version: str) -> str:
        """What the weights call themselves in the log of decisions; "" when they cannot be read."""
        try:
            return Policy.load(self.weights(version)).version
        except WeightsInvalid:
            return ""

    def _decider(self) -> tuple[Policy, str, str]:
        troubles = [self.trouble] if self.trouble else []
        shipped, damage = None, None
        try:
            shipped = Policy.load(self._shipped)
        except WeightsInvalid as error:
            damage = error
            troubles.append(error.message)
        for version in (self.record.current, self.record.previous or SHIPPED):
            if version == SHIPPED:
                break
            try:
                policy = Policy.load(self.weights(version))
            except WeightsInvalid as error:
                troubles.append(error.message)
                continue
            if shipped is None or policy.facts.get("shipped", shipped.version) == shipped.version:
                return policy, version, "; ".join(troubles)
            troubles.append(f"{version} was learnt from other weights than those that are shipped by now")
        if shipped is None:
            assert damage is not None
            raise damage
        return shipped, SHIPPED, "; ".join(troubles)

    def judged(self, version: str, verdict: Verdict) -> None:
        """Writes down what the gate said. The weights must lie in the folder before they are promoted."""
        if verdict.is_promoted:
            Policy.load(self.weights(version))
        self._write(self.record.judged(version, verdict, time.time()))

    def roll_back(self, reason: str) -> None:
        """One step back."""
        self._write(self.record.rolled_back(reason, time.time()))

    def _write(self, record: Record) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / "record.new"
        temporary.write_text(json.dumps(record.to_json(), indent=1) + "\n", encoding="utf-8")
        temporary.replace(self._folder / "record.json")
        self.record = record
        files = sorted(self._folder.glob("*.npz"), key=lambda f: f.stat().st_mtime, reverse=True)
        needed = {record.current, record.previous}
        for file in [f for f in files if f.stem not in needed][KEPT:]:
            file.unlink(missing_ok=True)
