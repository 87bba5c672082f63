"""Shows a composed Melody in a terminal: each node with why it was chosen."""

from __future__ import annotations

from typing import Any

from symphony.melody.telling import needs_in_words


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
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for node in melody["nodes"]:
        reason = reasons.get(node["id"], {})
        what = Text(node["player"])
        for name, value in node.get("params", {}).items():
            what.append(f" {name}={_short(value)}", style="yellow")
        after = ", ".join(dict.fromkeys(feeds.get(node["id"], [])))
        why = [f"takes what {after} made" if after else "", str(reason.get("why", "")), needs_in_words(node)]
        table.add_row(Text(node["id"], style="cyan"), what)
        table.add_row("", Text("; ".join(part for part in why if part), style="dim"))
    console.print(table)
    there = {node["id"] for node in melody["nodes"]}
    for gone in (e for e in answer["explanations"] if e["node"] and e["node"] not in there):
        console.print(Text(gone["node"], style="cyan"), Text(gone["why"], style="dim"))
    if "question" in answer:
        first, *others = (choice["label"] for choice in answer["question"]["choices"])
        told = f"{answer['question']['text']} Taken: {first}; it may also be {' or '.join(others)}"
        console.print(Text(told, style="yellow"))
    for missing in answer.get("missing", ()):
        console.print(Text(f"Left out, because nothing installed can do it: {missing}", style="yellow"))


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
