"""What an extension has used of its limits, in words, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One limit: what it limits, how much was used, and how much may be; `share` from 0 to 1 where both are known."""

    name: str
    what: str
    used: str
    limit: str
    share: float | None
    is_own: bool
    """Whether the user has set it for this extension."""


_LINES = (
    ("calls", "Calls of the host today"),
    ("tokens", "Tokens of models today"),
    ("cost", "Spent on models today"),
    ("memory", "Memory now"),
    ("cpu", "Cores"),
    ("activation", "Start"),
)


def budget_lines(row: Mapping[str, Any]) -> list[BudgetLine]:
    """The lines of one row of `HostPort.list_extensions`."""
    usage = row.get("usage") or {}
    limits = usage.get("limits") or {}
    found = []
    for name, what in _LINES:
        used, limit = usage.get(name), limits.get(name)
        found.append(
            BudgetLine(
                name,
                what,
                _amount(name, used) if used is not None else "–",
                _amount(name, limit) if limit else "any",
                min(used / limit, 1.0) if used is not None and limit else None,
                name in (row.get("allowance") or {}),
            )
        )
    return found


def _amount(name: str, value: float) -> str:
    if name == "memory":
        return f"{value / (1 << 20):,.0f} MiB"
    if name == "activation":
        return f"{value:.3g} s"
    return f"{value:,.6g}"
