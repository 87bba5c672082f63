"""What the history says of each run, in the form in which runs are assessed for what they teach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony.engine.history import History
    from symphony.engine.record import RunRecord


def run_facts(history: History) -> list[dict[str, Any]]:
    """One entry a run, as `StaleManager.assess` takes them, oldest first.

    A correction is an approval that was refused, or a Melody other than the one that its prompt gave first.
    """
    first: dict[str, str] = {}
    facts = []
    for record in reversed(list(history.newest(1_000_000))):
        prompt, shape = record.info.prompt, _shape(record.melody)
        is_changed = bool(prompt) and first.setdefault(prompt, shape) != shape
        facts.append(_facts(record, is_changed))
    return facts


def _facts(record: RunRecord, is_changed: bool) -> dict[str, Any]:
    info = record.info
    refused = sum((node.error or {}).get("code") == "not_approved" for node in info.nodes)
    return {
        "run": info.id,
        "task": info.prompt or info.name,
        "status": info.status,
        "created": info.created,
        "players": sorted({node.player for node in info.nodes}),
        "reward": _reward(record),
        "corrections": refused + int(is_changed),
        "retries": sum(max(0, node.attempts - 1) for node in info.nodes),
    }


def _shape(melody: dict[str, Any]) -> str:
    """What a Melody does, whatever its nodes are called."""
    nodes = [(node["player"], node.get("params") or {}) for node in melody.get("nodes", [])]
    return json.dumps(sorted(json.dumps(node, sort_keys=True, default=str) for node in nodes))


def _reward(record: RunRecord) -> float | None:
    """Success × mean quality of what was made; None when it cannot be known."""
    if record.info.status == "failed":
        return 0.0
    known = [float(result["quality"]) for result in record.results if result.get("quality") is not None]
    return sum(known) / len(known) if known and record.info.status == "succeeded" else None
