"""Draws one table as a chart, in SVG and PNG, with matplotlib."""

from __future__ import annotations

import html
import io
import os
import re
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import findings
import wording
from columns import Table, moment, understand

from symphony.sdk import PlayerFailure

KINDS = ("auto", "bar", "barh", "line", "scatter", "pie")

_INK, _SOFT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"
_PALETTE = ("#4f46e5", "#0d9488", "#d97706", "#db2777", "#2563eb", "#65a30d", "#7c3aed", "#94a3b8")
_WIDTH = 8.0
_DOTS = 192
"""Dots of the PNG for each inch: twice those of a screen, so that it stays sharp in a README."""
_LABEL = 42
"""Characters of a label: a longer path is shown by its end."""
_LOCK = threading.Lock()
"""matplotlib's settings are global to the process, and calls run at once."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart in both formats. `unshown` are the letters that the PNG has no glyph for; the SVG has them."""

    svg: str
    png: bytes
    unshown: str


@dataclass(slots=True)
class Plot:
    """What is to be drawn: one value for each label, already chosen and cut to size."""

    kind: str
    title: str
    labels: list[str]
    values: list[float]
    label_title: str
    value_title: str
    value_column: str
    positions: list[Any]
    """Places on the horizontal axis, for lines and points: moments or numbers."""
    left_out: int = 0


def plan(
    rows: Sequence[dict[str, object]],
    kind: str,
    label: str | None,
    value: str | None,
    title: str | None,
    limit: int,
) -> Plot:
    """Decides what to draw. Without a number to show it counts rows, by time or by their commonest kind.

    Raises PlayerFailure for an unknown kind or column.
    """
    if kind not in KINDS:
        raise PlayerFailure(
            f"{kind!r} is no kind of chart", remedy=f"choose one of {', '.join(KINDS)}", code="bad_input"
        )
    table = understand(rows)
    for column in (label, value):
        if column and rows and column not in table.columns:
            raise PlayerFailure(
                f"There is no column {column!r}",
                remedy=f"choose one of {', '.join(table.columns)}",
                code="bad_input",
            )
    if kind == "scatter":
        return _scatter(table, label, value, title)
    value = value or table.value
    if value is None or value not in table.numbers:
        return _counted(table, kind, label, title, limit)
    label = label or _label(table, value)
    pairs = [
        (row.get(label) if label else i + 1, row[value])
        for i, row in enumerate(rows)
        if _is_number(row.get(value))
    ]
    is_time = label in table.dates or label in ("day", "week", "month", "year")
    chosen = ("line" if is_time and len(pairs) > 2 else "barh") if kind == "auto" else kind
    if chosen == "line":
        return _line(table, pairs, label, value, title)
    if not table.is_ranked_by(value) and not is_time:
        pairs.sort(key=lambda pair: -float(str(pair[1])))
    shown = pairs[:limit]
    if kind == "auto" and all(len(str(name)) <= 8 for name, _ in shown) and len(shown) <= 12:
        chosen = "bar"
    headline = title or f"{wording.title(value)} by {wording.title(label or 'row').lower()}"
    return Plot(
        chosen,
        headline,
        [_shown(name) for name, _ in shown],
        [float(str(amount)) for _, amount in shown],
        wording.title(label or "row"),
        wording.title(value),
        value,
        [],
        len(pairs) - len(shown),
    )


def draw(plot: Plot) -> Drawing:
    """The chart; the same plot gives the same bytes."""
    with _LOCK:
        matplotlib, figure_class = _matplotlib()
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            # Missing glyphs are told by `Drawing.unshown`.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure = _figure(figure_class, plot)
            svg, png = io.StringIO(), io.BytesIO()
            figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
            figure.savefig(png, format="png", dpi=_DOTS, metadata={"Software": None, "Title": plot.title})
        return Drawing(_accessible(svg.getvalue(), plot.title), png.getvalue(), _without_glyph(plot))


def _figure(figure_class: Any, plot: Plot) -> Any:
    bars = len(plot.labels)
    height = max(2.2, 0.34 * bars + 1.3) if plot.kind == "barh" else 4.4
    figure = figure_class(figsize=(_WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.12)
    axes = figure.add_subplot()
    if not plot.values:
        axes.axis("off")
        axes.text(0.5, 0.5, "Nothing to show", ha="center", va="center", color=_SOFT)
    else:
        _DRAWERS[plot.kind](axes, plot)
    figure.suptitle(
        wording.shortened(plot.title, 80), x=0.02, ha="left", fontsize=13, fontweight="bold", color=_INK
    )
    return figure


def _without_glyph(plot: Plot) -> str:
    """The letters that matplotlib's own font lacks, the only one that is there on every machine."""
    from matplotlib.font_manager import findfont, get_font

    text = "".join((plot.title, plot.label_title, plot.value_title, *plot.labels))
    font = get_font(findfont("DejaVu Sans"))
    return "".join(dict.fromkeys(c for c in text if not c.isspace() and not font.get_char_index(ord(c))))


def _barh(axes: Any, plot: Plot) -> None:
    places = range(len(plot.values))
    bars = axes.barh(places, plot.values, color=_PALETTE[0], height=0.68)
    axes.set_yticks(places, plot.labels)
    axes.invert_yaxis()
    axes.bar_label(
        bars, [wording.number(v, plot.value_column) for v in plot.values], padding=4, color=_SOFT, fontsize=9
    )
    axes.margins(x=0.12)
    _whole_steps(axes.xaxis, plot)
    axes.xaxis.grid(True, color=_GRID)
    axes.set_xlabel(_with_rest(plot))
    axes.xaxis.set_major_formatter(lambda v, _: wording.number(v, plot.value_column))


def _bar(axes: Any, plot: Plot) -> None:
    places = range(len(plot.values))
    bars = axes.bar(places, plot.values, color=_PALETTE[0], width=0.68)
    slanted = any(len(label) > 8 for label in plot.labels)
    axes.set_xticks(places, plot.labels, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    axes.bar_label(
        bars, [wording.number(v, plot.value_column) for v in plot.values], padding=3, color=_SOFT, fontsize=9
    )
    axes.margins(y=0.12)
    axes.set_xlim(
        -max(0.7, (6 - len(plot.values)) / 2), len(plot.values) - 1 + max(0.7, (6 - len(plot.values)) / 2)
    )
    _whole_steps(axes.yaxis, plot)
    axes.yaxis.grid(True, color=_GRID)
    axes.set_ylabel(plot.value_title)
    axes.set_xlabel(_with_rest(plot, plot.label_title))
    axes.yaxis.set_major_formatter(lambda v, _: wording.number(v, plot.value_column))


def _draw_line(axes: Any, plot: Plot) -> None:
    few = len(plot.values) <= 40
    axes.plot(
        plot.positions, plot.values, color=_PALETTE[0], linewidth=2, marker="o" if few else None, markersize=4
    )
    if min(plot.values) >= 0:
        axes.fill_between(plot.positions, plot.values, color=_PALETTE[0], alpha=0.10)
        axes.set_ylim(bottom=0)
    _whole_steps(axes.yaxis, plot)
    if plot.labels:
        step = max(1, len(plot.labels) // 10)
        axes.set_xticks(plot.positions[::step], plot.labels[::step], rotation=35, ha="right")
    elif plot.positions and isinstance(plot.positions[0], datetime):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.grid(True, color=_GRID)
    axes.set_ylabel(plot.value_title)
    axes.set_xlabel(plot.label_title)
    axes.yaxis.set_major_formatter(lambda v, _: wording.number(v, plot.value_column))


def _draw_scatter(axes: Any, plot: Plot) -> None:
    axes.scatter(plot.positions, plot.values, color=_PALETTE[0], alpha=0.65, s=28, linewidths=0)
    widest, highest = max(map(abs, plot.positions)) or 1, max(map(abs, plot.values)) or 1
    far = sorted(
        range(len(plot.values)), key=lambda i: -(plot.positions[i] / widest + plot.values[i] / highest)
    )
    named: list[int] = []
    for i in far[:5] if plot.labels else []:
        # A label that would lie upon another is left out.
        if any(abs(plot.values[i] - plot.values[j]) < 0.05 * highest for j in named):
            continue
        named.append(i)
        axes.annotate(
            plot.labels[i],
            (plot.positions[i], plot.values[i]),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
            color=_SOFT,
        )
    axes.grid(True, color=_GRID)
    axes.set_xlabel(plot.label_title)
    axes.set_ylabel(plot.value_title)
    axes.margins(0.08)


def _whole_steps(axis: Any, plot: Plot) -> None:
    """Ticks at whole numbers when there is nothing between them."""
    if all(value.is_integer() for value in plot.values):
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(nbins=7, integer=True))


def _pie(axes: Any, plot: Plot) -> None:
    most = len(_PALETTE) - 1
    labels, values = plot.labels[:most], plot.values[:most]
    if len(plot.values) > most:
        labels, values = [*labels, "other"], [*values, sum(plot.values[most:])]
    if min(values) < 0 or sum(values) == 0:
        raise PlayerFailure(
            "A pie needs amounts that are not negative and not all zero",
            remedy="draw bars instead",
            code="bad_input",
        )
    total = sum(values)
    wedges, _ = axes.pie(
        values,
        colors=_PALETTE[: len(values)],
        startangle=90,
        counterclock=False,
        wedgeprops={"width": 0.42, "edgecolor": "white", "linewidth": 2},
    )
    texts = [
        f"{label}  {wording.number(v, plot.value_column)} ({wording.percent(v, total)})"
        for label, v in zip(labels, values, strict=True)
    ]
    axes.legend(wedges, texts, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


_DRAWERS = {"bar": _bar, "barh": _barh, "line": _draw_line, "scatter": _draw_scatter, "pie": _pie}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "symphony",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "xtick.color": _SOFT,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def _line(
    table: Table, pairs: list[tuple[Any, Any]], label: str | None, value: str, title: str | None
) -> Plot:
    headline = title or f"{wording.title(value)} by {wording.title(label or 'row').lower()}"
    moments = [moment(name) for name, _ in pairs]
    titles = (wording.title(label or "row"), wording.title(value), value)
    if label in table.dates and all(moments):
        ordered = sorted(
            zip(moments, (float(a) for _, a in pairs), strict=True), key=lambda pair: str(pair[0])
        )
        return Plot("line", headline, [], [a for _, a in ordered], *titles, [m for m, _ in ordered])
    amounts = [float(a) for _, a in pairs]
    if all(_is_number(name) for name, _ in pairs):
        numbered = sorted((float(name), amount) for (name, _), amount in zip(pairs, amounts, strict=True))
        return Plot("line", headline, [], [a for _, a in numbered], *titles, [n for n, _ in numbered])
    return Plot("line", headline, [_shown(n) for n, _ in pairs], amounts, *titles, list(range(len(pairs))))


def _scatter(table: Table, label: str | None, value: str | None, title: str | None) -> Plot:
    free = [c for c in table.numbers if c not in (label, value) and c.lower() not in ("line", "column")]
    y = value or (table.value if table.value in free else None) or (free[0] if free else None)
    x = label if label in table.numbers else next((c for c in free if c != y), None)
    if table.rows and (x is None or y is None or y not in table.numbers):
        raise PlayerFailure(
            "A scatter chart needs two columns of numbers",
            remedy=f"the numbers here are: {', '.join(table.numbers) or 'none'}",
            code="bad_input",
        )
    x, y = x or "x", y or "y"
    points = [row for row in table.rows if _is_number(row.get(x)) and _is_number(row.get(y))]
    names = [_shown(row.get(table.label)) for row in points] if table.label else []
    headline = title or f"{wording.title(y)} against {wording.title(x).lower()}"
    values = [float(str(row[y])) for row in points]
    return Plot(
        "scatter",
        headline,
        names,
        values,
        wording.title(x),
        wording.title(y),
        y,
        [float(str(row[x])) for row in points],
    )


def _counted(table: Table, kind: str, label: str | None, title: str | None, limit: int) -> Plot:
    """Counts rows: by the label asked for, else by time, else by the column with the fewest values."""
    what = wording.title(table.noun())
    column = label or (table.dates[0] if table.dates else None)
    if column in table.dates:
        moments = sorted(m for row in table.rows if (m := moment(row.get(str(column)))) is not None)
        period, cut = _period(moments)
        tally = Counter(m.strftime(cut) for m in moments)
        labels = sorted(tally)
        chosen = kind if kind in ("bar", "barh", "line") else "bar" if len(labels) <= 31 else "line"
        places = list(range(len(labels)))
        values = [float(tally[name]) for name in labels]
        return Plot(
            chosen, title or f"{what} by {period}", labels, values, period.title(), what, "count", places
        )
    few = [c for c in table.columns if 1 < table.distinct(c) <= max(2, len(table.rows) // 2)]
    column = column or (min(few, key=table.distinct) if few else table.label)
    if column is None:
        return Plot("barh", title or findings.heading(table), [], [], "", "", "", [])
    ranked = Counter(str(row.get(column)) for row in table.rows).most_common()
    shown = ranked[:limit]
    chosen = "barh" if kind in ("auto", "line") else kind
    return Plot(
        chosen,
        title or f"{what} by {wording.title(column).lower()}",
        [_shown(name) for name, _ in shown],
        [float(times) for _, times in shown],
        wording.title(column),
        "Count",
        "count",
        [],
        len(ranked) - len(shown),
    )


def _period(moments: Sequence[datetime]) -> tuple[str, str]:
    days = (moments[-1] - moments[0]).days if moments else 0
    if days <= 45:
        return "day", "%Y-%m-%d"
    if days <= 400:
        return "week", "%G-W%V"
    return ("month", "%Y-%m") if days <= 3000 else ("year", "%Y")


def _label(table: Table, value: str) -> str | None:
    periods = [c for c in table.columns if c in ("day", "week", "month", "year")]
    if periods:
        return periods[0]
    return table.label if table.label != value else None


def _shown(name: object) -> str:
    # A dollar sign would open matplotlib's mathematics.
    return wording.shortened(" ".join(str("" if name is None else name).split()), _LABEL).replace("$", r"\$")


def _with_rest(plot: Plot, text: str | None = None) -> str:
    rest = f"  ({plot.left_out:,} more not shown)" if plot.left_out else ""
    return f"{plot.value_title if text is None else text}{rest}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accessible(svg: str, title: str) -> str:
    """The drawing with a title that screen readers speak, and without the prologue that inline use forbids."""
    body = svg[svg.index("<svg") :]
    spoken = f"<title>{html.escape(title)}</title>"
    return re.sub(r"<svg([^>]*)>", lambda m: f'<svg role="img"{m[1]}>{spoken}', body, count=1)


def _matplotlib() -> tuple[Any, Any]:
    # Its cache of fonts must not go to a home folder, which the sandbox does not have.
    os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("svg")
    return matplotlib, Figure
