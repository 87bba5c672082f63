"""One tree of exceptions: each names the thing, the cause and the remedy, and knows its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SymphonyError(Exception):
    """Any failure that Symphony explains. `str(error)` is one line: what, why, what to do.

    `code` is a stable word for programs, `remedy` what the user can do, `findings` details that
    `--json` shows whole, and `exit_code` what the command line ends with.
    """

    code = "failed"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        code: str | None = None,
        findings: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.findings = list(findings)
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def to_json(self) -> dict[str, Any]:
        """The `error` object of every `--json` answer and JSON-RPC error."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "remedy": self.remedy}
        if self.findings:
            body["findings"] = self.findings
        return body


class BadInput(SymphonyError):
    """What the user gave cannot be used."""

    code = "bad_input"
    exit_code = 2


class InvalidManifest(BadInput):
    """A `Symphony.toml` that does not hold to its schema."""

    code = "invalid_manifest"


class InvalidMelody(BadInput):
    """A Melody that cannot be read or is not valid."""

    code = "invalid_melody"


class InvalidConfig(BadInput):
    """A setting that does not hold to the schema."""

    code = "invalid_config"


class NotPossible(SymphonyError):
    """The installed Players cannot do what is asked."""

    code = "not_possible"


class NotFound(SymphonyError):
    """A run, artifact, melody or extension that does not exist."""

    code = "not_found"
    exit_code = 2


class EnvironmentLacks(SymphonyError):
    """The machine lacks something that is needed."""

    code = "environment"
    exit_code = 3


class HostBusy(EnvironmentLacks):
    """Another host holds this home, or the port is in use."""

    code = "host_busy"


class StorageFull(EnvironmentLacks):
    """No space is left on the disk."""

    code = "storage_full"


class DamagedArtifact(SymphonyError):
    """Stored bytes that do not match their checksum."""

    code = "damaged_artifact"


class ArtifactRemote(SymphonyError):
    """An artifact whose bytes are kept in another tier."""

    code = "artifact_remote"


class ArtifactHeld(SymphonyError):
    """An artifact that must not be removed while a hold is on it."""

    code = "artifact_held"


class TierUnreachable(EnvironmentLacks):
    """A tier that cannot be read or written now."""

    code = "tier_unreachable"


class CycleError(BadInput):
    """A graph that is no directed acyclic graph. `cycle` holds the ids in order."""

    code = "cycle"

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(f"The graph has a cycle: {' → '.join(cycle)}", remedy="remove one of these edges")
        self.cycle = list(cycle)


class PlayerError(SymphonyError):
    """A Player answered with an error, crashed, hung or broke the protocol."""

    code = "player"


class PermissionDenied(SymphonyError):
    """A capability that the user has not granted."""

    code = "permission_denied"


class SignatureInvalid(SymphonyError):
    """A package whose signature or digest does not verify."""

    code = "signature_invalid"


class Cancelled(SymphonyError):
    """The user stopped it."""

    code = "cancelled"
