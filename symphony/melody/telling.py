"""Says in a few words what a node of a Melody may take."""

from __future__ import annotations

from typing import Any


def needs_in_words(node: dict[str, Any]) -> str:
    """Such as `at most 5m, 3 tries, 1 core, 256MiB, else acme/other#run`; empty for a node that says nothing of it."""
    parts = []
    if node.get("timeout"):
        parts.append(f"at most {node['timeout']}")
    attempts = (node.get("retry") or {}).get("attempts", 1)
    if attempts > 1:
        parts.append(f"{attempts} tries")
    resources = node.get("resources") or {}
    if resources.get("cpu"):
        parts.append(f"{resources['cpu']:g} core{'s' if resources['cpu'] != 1 else ''}")
    if resources.get("memory"):
        parts.append(str(resources["memory"]))
    if resources.get("gpu"):
        parts.append(f"{resources['gpu']:g} GPU{'s' if resources['gpu'] != 1 else ''}")
    if node.get("fallback"):
        parts.append(f"else {node['fallback']}")
    return ", ".join(parts)
