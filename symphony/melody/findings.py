"""What validation reports: findings, and the limits that it holds a melody against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `node` or `edge` (`a.x → b.y`) says where; valid means no finding is an error."""

    code: str
    message: str
    remedy: str = ""
    node: str | None = None
    edge: str | None = None
    severity: Literal["error", "warning"] = "error"

    def to_json(self) -> dict[str, Any]:
        """As in the contracts."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a melody may need. None is no limit; memory is in bytes.

    `missing_permissions` maps an extension to the grants it wants and does not have, `versions` an
    extension to the version that is installed.
    """

    max_nodes: int = 10_000
    max_edges: int = 50_000
    cpu: float | None = None
    memory: int | None = None
    gpu: float | None = None
    missing_permissions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
