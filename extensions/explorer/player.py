"""The Motif symphony/explorer: components that answer while one looks at them."""

from __future__ import annotations

from typing import Any

from gauge import measure_text
from rows import Table

from symphony.sdk import Context, player
from symphony.sdk.ui import h

PAGE = 50
"""Rows in sight at once."""


@player.function(outputs=[])
def rows(ctx: Context, items: list[dict[str, Any]]) -> None:
    """A table of rows that can be searched and sorted, for as long as it is open."""
    table = Table(items)
    while True:
        ctx.ui(_table(table))
        event = ctx.event()
        key, value = event["key"], event["value"]
        if key == "search":
            table.search(str(value))
        elif key == "sort":
            table.sort(str(value))
        elif key == "descending":
            table.descending = bool(value)
            table.arrange()
        elif key == "next":
            table.turn(+1, PAGE)
        elif key == "back":
            table.turn(-1, PAGE)


def _table(table: Table) -> dict[str, Any]:
    found, first = len(table.found), table.first
    columns = [
        {"id": name, "label": name, "end": name in table.numeric, "mono": name in table.numeric}
        for name in table.columns
    ]
    in_sight = table.found[first : first + PAGE]
    options = [{"value": "", "label": "As they are"}, *({"value": c, "label": c} for c in table.columns)]
    return h(
        "Stack",
        h(
            "Line",
            h("TextBox", key="search", kind="search", label="Search rows", quiet=True, value=table.query,
              placeholder="Search rows", live=True),
            h("Select", key="sort", label="Sort by", value=table.by, options=options),
            h("Switch", key="descending", label="Greatest first", value=table.descending),
        ),
        h("Text", table.summary(), small=True, tone="muted"),
        h(
            "Table",
            key="table",
            label="Rows",
            columns=columns,
            rows=[{"id": str(at), "cells": table.cells(at)} for at in in_sight],
        )
        if in_sight
        else h("Text", "No row matches.", tone="muted"),
        h(
            "Line",
            h("Button", key="back", label="Back", small=True, variant="secondary", disabled=first == 0),
            h("Text", f"{first + 1}–{first + len(in_sight)} of {found}", small=True),
            h("Button", key="next", label="Next", small=True, variant="secondary", disabled=first + PAGE >= found),
        )
        if found > PAGE
        else None,
    )  # fmt: skip


@player.function(outputs=[])
def measure(ctx: Context) -> None:
    """Measures a text as it is typed."""
    text = ""
    while True:
        found = measure_text(text)
        ctx.ui(
            h(
                "Stack",
                h("TextBox", key="text", kind="multiline", label="Text", value=text, live=True,
                  placeholder="Type or paste a text"),
                h("Line", *(h("Badge", text=f"{label} {value}") for label, value in found)),
            )
        )  # fmt: skip
        event = ctx.event()
        if event["key"] == "text":
            text = str(event["value"])


player.serve()
