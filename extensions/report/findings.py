"""Says in a few sentences what a table shows: who leads, how concentrated it is, which span of time it covers."""

from __future__ import annotations

from collections import Counter

import wording
from columns import Table, is_additive, moment


def heading(table: Table) -> str:
    """What the table is: `Files by commits`, or the kind of its rows."""
    subject = wording.title(table.noun())
    if table.value and table.is_ranked_by(table.value):
        return f"{subject} by {wording.title(table.value).lower()}"
    return subject


def of(table: Table) -> list[str]:
    """At most four findings, each a sentence in Markdown."""
    if not table.rows:
        return []
    found: list[str] = []
    if table.label and table.value and len(table.rows) > 1:
        found += _leaders(table, table.label, table.value)
    if not found or not table.is_ranked_by(str(table.value)):
        found += _categories(table)
    found += _period(table)
    return found[:4]


def _leaders(table: Table, label: str, value: str) -> list[str]:
    ranked = [row for row in table.rows if isinstance(row.get(value), int | float)]
    ranked.sort(key=lambda row: -float(str(row[value])))
    amounts = [float(str(row[value])) for row in ranked]
    if not amounts or table.distinct(label) < len(table.rows) * 0.9:
        return []
    name, measure = wording.cell(ranked[0].get(label), label), wording.title(value).lower()
    most = wording.number(amounts[0], value)
    lead = f"**{name}** leads {wording.number(len(ranked))} {table.noun()} with {measure} {most}"
    if len(amounts) > 1 and amounts[1] > 0 and amounts[0] >= 1.5 * amounts[1]:
        lead += f", {amounts[0] / amounts[1]:.1f} times the second"
    found = [lead + "."]
    total = sum(amounts)
    if is_additive(value) and min(amounts) >= 0 and total > 0 and len(amounts) >= 5:
        few = min(3, len(amounts) - 1)
        found.append(
            f"The first {few} hold {wording.percent(sum(amounts[:few]), total)} of all {measure} "
            f"({wording.number(total, value)} in total)."
        )
    middle = sorted(amounts)[len(amounts) // 2]
    if len(amounts) >= 8 and amounts[0] > 0 and middle <= amounts[0] / 3:
        found.append(f"Half of the {table.noun()} have {measure} {wording.number(middle, value)} or less.")
    return found


def _categories(table: Table) -> list[str]:
    """The most frequent value of a column that has few."""
    count = len(table.rows)
    best: tuple[int, str] | None = None
    for column in table.texts:
        different = table.distinct(column)
        if 1 < different <= max(2, count // 2) and (best is None or different > best[0]) and different <= 50:
            best = (different, column)
    if best is None:
        return []
    column = best[1]
    top, times = Counter(str(row.get(column)) for row in table.rows).most_common(1)[0]
    return [
        f"Most frequent {wording.title(column).lower()}: **{wording.cell(top, column)}**, "
        f"{wording.number(times)} of {wording.number(count)} ({wording.percent(times, count)})."
    ]


def _period(table: Table) -> list[str]:
    if not table.dates or len(table.rows) < 2:
        return []
    column = table.dates[0]
    moments = sorted(m for row in table.rows if (m := moment(row.get(column))) is not None)
    if not moments or moments[0].date() == moments[-1].date():
        return []
    return [f"{wording.title(column)}: from {moments[0]:%Y-%m-%d} to {moments[-1]:%Y-%m-%d}."]
