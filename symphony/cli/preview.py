"""Shows a composed Melody in a terminal: each node with why it was chosen."""

from __future__ import annotations

from typing import Any


def show_composition(answer: dict[str, Any], *, to_stderr: bool = False) -> None:
    """Prints the nodes in order, what feeds them, and the reasons."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=to_stderr, highlight=False)
    melody = answer["melody"]
    reasons = {e["node"]: e for e in answer["explanations"]}
    feeds: dict[str, list[str]] = {}
    for edge in melody["edges"]:
        feeds.setdefault(edge["to"].partition(".")[0], []).append(edge["from"].partition(".")[0])
    console.print(Text(melody["name"], style="bold"), f"· about {answer['predicted_seconds']:.1f} s")
    table = Table.grid(padding=(0, 2))
    for node in melody["nodes"]:
        reason = reasons.get(node["id"], {})
        params = " ".join(f"{k}={v}" for k, v in node.get("params", {}).items())
        after = ", ".join(dict.fromkeys(feeds.get(node["id"], [])))
        table.add_row(
            Text(node["id"], style="cyan"),
            Text(node["player"] + (f" {params}" if params else "")),
            Text(f"after {after}" if after else "", style="dim"),
            Text(str(reason.get("why", "")), style="dim"),
        )
    console.print(table)
    for missing in answer.get("missing", ()):
        console.print(Text(f"Left out, because nothing installed can do it: {missing}", style="yellow"))
