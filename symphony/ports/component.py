"""What every part of the host can do: start, stop, and say how it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Status = Literal["ok", "degraded", "failed", "absent"]


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """How a component is, and what to do when it is not well."""

    name: str
    status: Status
    detail: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """A row of `doctor --json`."""
        return asdict(self)


@runtime_checkable
class AsyncComponent(Protocol):
    """A part of the host under its bootstrap. `stop` may come twice and after a failed start."""

    name: str

    async def start(self) -> None:
        """Makes it ready. Raises a SymphonyError that names what is wrong."""
        ...

    async def stop(self) -> None:
        """Ends it in order."""
        ...

    async def health_check(self) -> HealthStatus:
        """How it is, asked of the thing itself; answers within a second and never raises."""
        ...
