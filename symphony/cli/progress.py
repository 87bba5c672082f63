"""Live progress of a run in a terminal: a line a node, on standard error."""

from __future__ import annotations

import sys
from typing import Any

from symphony.cli.output import plain

MARKS = {
    "pending": ("·", "dim"),
    "ready": ("·", ""),
    "running": ("▶", "cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "dim"),
    "cancelled": ("■", "yellow"),
    "waiting": ("?", "magenta"),
}
SHOWN_NODES = 30


class Progress:
    """Shows node states as they change. Without a terminal it prints one line for each node that ends."""

    def __init__(self, nodes: list[dict[str, Any]], *, quiet: bool = False) -> None:
        self._nodes = {node["id"]: node for node in nodes}
        self._quiet = quiet
        self._live: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self._table(), console=Console(stderr=True), refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(self._table())
            self._live.stop()

    def update(self, node: dict[str, Any]) -> None:
        """Takes a node's new state."""
        before = self._nodes.get(node["id"], {}).get("status")
        self._nodes[node["id"]] = node
        if self._live is not None:
            self._live.update(self._table())
        elif (
            not self._quiet
            and node["status"] != before
            and node["status"] in ("succeeded", "failed", "cancelled", "skipped", "waiting")
        ):
            mark, _ = MARKS[node["status"]]
            print(
                f"{mark} {node['id']} {_seconds(node)}{_trouble(node)}".rstrip(), file=sys.stderr, flush=True
            )

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        nodes = list(self._nodes.values())
        shown = nodes
        if len(nodes) > SHOWN_NODES:
            busy = [n for n in nodes if n["status"] in ("running", "waiting", "failed")]
            shown = busy[:SHOWN_NODES]
        for node in shown:
            mark, style = MARKS.get(node["status"], ("·", ""))
            table.add_row(
                Text(mark, style=style),
                Text(node["id"], style="bold" if node["status"] == "running" else ""),
                Text(node["player"], style="dim"),
                Text(_seconds(node), style="dim"),
                Text(_trouble(node) or _note(node), style="red" if node.get("error") else "dim"),
            )
        done = sum(node["status"] == "succeeded" for node in nodes)
        table.add_row("", Text(f"{done} of {len(nodes)} done", style="dim"), "", "", "")
        return table


def _seconds(node: dict[str, Any]) -> str:
    if node.get("started") is None or node.get("ended") is None:
        return ""
    return f"{node['ended'] - node['started']:.2f} s" + (" (cached)" if node.get("cached") else "")


def _trouble(node: dict[str, Any]) -> str:
    error = node.get("error")
    if not error:
        return ""
    return plain(f" {error.get('message', '')}" + (f"; {error['remedy']}" if error.get("remedy") else ""))


def _note(node: dict[str, Any]) -> str:
    if node["status"] not in ("ready", "running", "waiting"):
        return ""  # what it said last is no news once it has ended
    share = node.get("progress")
    said = node.get("waits_for") or node.get("note") or ""
    return (f"{share:.0%} " if share is not None else "") + plain(said)
