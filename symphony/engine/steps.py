"""Steps: the nodes that a run plays, those of its nested runs too, each with its place in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A step has got another state. `place` is its node, `OUTER/…/NODE` in a nested run; `player` who plays it, its
    fallback where that does.
    """

    run: str
    place: str
    player: str
    status: str
    attempt: int
    is_cached: bool
