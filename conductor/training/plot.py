"""Draws the learning curves of Function Quest from the facts beside its weights."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, ROOM = 280, 130, 48, 34, 62
SERIES = (
    ("held_success", "success on held levels"),
    ("return", "return of the last 100 episodes"),
    ("policy_loss", "policy loss"),
    ("value_loss", "value loss"),
    ("kl_divergence", "divergence of an update"),
    ("kl_reference", "divergence from the clone"),
)


def panel(points: Sequence[tuple[float, float]], title: str, x: int, y: int, line: float | None) -> list[str]:
    """One curve with its axes as SVG elements; `line` is drawn dashed across."""
    values = [v for _, v in points] + ([line] if line is not None else [])
    low, high = min(values), max(values)
    spread, last = (high - low) or 1.0, max(s for s, _ in points) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        return x + WIDTH * step / last, y + HEIGHT * (1.0 - (value - low) / spread)

    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (at(s, v) for s, v in points))
    found = [
        f'<text x="{x}" y="{y - 8}" font-weight="bold">{title}</text>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{x - 4}" y="{y + 10}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{x - 4}" y="{y + HEIGHT}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 14}" text-anchor="end">{last:,.0f} steps</text>',
        f'<polyline points="{path}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>',
    ]
    if line is not None:
        height = at(0.0, line)[1]
        found.append(f'<path d="M{x} {height:.1f}h{WIDTH}" stroke="#c33" stroke-dasharray="5 4"/>')
        found.append(f'<text x="{x + 4}" y="{height - 4:.1f}" fill="#c33">behaviour cloning</text>')
    return found


def curves(facts: dict[str, Any]) -> str:
    """The SVG of a training: six panels, what cloning reached dashed in the first."""
    cloned = float(facts["held_success"]["behaviour_cloning"])
    parts: list[str] = []
    for place, (name, title) in enumerate(SERIES):
        points = [
            (row["steps"], row[name]) for row in facts["curve"] if name in row and row[name] == row[name]
        ]
        x = LEFT + (place % 2) * (WIDTH + ROOM)
        y = TOP + (place // 2) * (HEIGHT + ROOM)
        parts += panel(points, title, x, y, cloned if name == "held_success" else None)
    width, height = 2 * WIDTH + ROOM + LEFT + 20, 3 * (HEIGHT + ROOM)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>"]) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Reads the facts, writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=Path, default=Path("conductor/weights/quest.json"))
    parser.add_argument("--out", type=Path, default=Path("docs/function-quest.svg"))
    chosen = parser.parse_args(arguments)
    chosen.out.write_text(curves(json.loads(chosen.facts.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
