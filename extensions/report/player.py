"""The Player symphony/report: Markdown reports, charts and tables that people like to read."""

from __future__ import annotations

import document
import drawing
from columns import Row, understand

from symphony.sdk import Artifact, Context, PlayerFailure, player


@player.function
def markdown(
    ctx: Context, sections: object, title: str | None = None, limit: int = 20, introduction: str | None = None
) -> Artifact:
    """One report from texts, tables and charts."""
    parts = document.parts_of(sections if isinstance(sections, list) else [sections])
    text = document.report(parts, title or "", introduction or "", limit)
    return Artifact(text, name="report.md", type="text/markdown")


@player.function
def chart(
    ctx: Context,
    items: list[Row],
    kind: str = "auto",
    label: str | None = None,
    value: str | None = None,
    title: str | None = None,
    limit: int = 15,
) -> dict[str, Artifact]:
    """A chart, in SVG for documents and in PNG for what shows no SVG."""
    drawn = drawing.draw(drawing.plan(items, kind, label, value, title, limit))
    if drawn.unshown:
        ctx.log(f"The PNG has no glyphs for {drawn.unshown[:40]}; the SVG shows them", level="warning")
    return {
        "chart": Artifact(drawn.svg, name="chart.svg", type="image/svg+xml"),
        "png": Artifact(drawn.png, name="chart.png", type="image/png"),
    }


@player.function
def table(
    ctx: Context,
    items: list[Row],
    columns: list[str] | None = None,
    limit: int = 100,
    title: str | None = None,
) -> Artifact:
    """A Markdown table."""
    content = understand(items)
    _require_columns(content.columns, columns)
    text = document.table(content, columns=columns, limit=limit)
    return Artifact(
        f"## {title}\n\n{text}\n" if title else f"{text}\n", name="table.md", type="text/markdown"
    )


@player.function
def csv(ctx: Context, items: list[Row], columns: list[str] | None = None, delimiter: str = ",") -> Artifact:
    """Rows as CSV."""
    _require_columns(understand(items).columns, columns)
    separator = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
    if len(separator) != 1:
        raise PlayerFailure(
            f"{delimiter!r} is no delimiter", remedy="give one character, such as ; or ,", code="bad_input"
        )
    return Artifact(document.csv_text(items, columns, separator), name="table.csv", type="text/csv")


def _require_columns(known: list[str], wanted: list[str] | None) -> None:
    missing = [name for name in wanted or [] if name not in known]
    if missing and known:
        raise PlayerFailure(
            f"There is no column {missing[0]!r}",
            remedy=f"choose from {', '.join(known[:20])}",
            code="bad_input",
        )


if __name__ == "__main__":
    player.serve()
