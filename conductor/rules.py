"""The planner's choices, by scores of clauses and by single words: baseline, fallback and advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conductor.episode import Episode

STOP = -1

Choice = tuple[int, float]
"""A Player's index or STOP, and how likely the chooser held it to be right."""

TELLING = 0.65
"""From this share on a single word speaks for a Player."""
SERVED = 0.92
"""From this coverage on a clause wants nothing more."""


def by_rules(episode: Episode, candidates: Sequence[int]) -> Choice:
    """The baseline and fallback: the best Player of each clause, inputs planned, sources first."""
    offered, coverage = set(candidates), episode.coverage().tolist()
    wanted = [
        (episode.table.roles[best].order, clause, best)
        for clause, best in episode.fitting
        if coverage[clause] < SERVED and best in offered
    ]
    # A word of the prompt that nothing in the draft accounts for may speak for a Player, and so may a calculation.
    telling = [f for f in episode.telling() if f in offered]
    wanted += [
        (episode.table.roles[c].order, int(episode.best_clause[c]), c)
        for c in (*telling, *episode.spoken(candidates))
    ]
    if not wanted and not episode.draft.nodes and candidates:
        best = max(candidates, key=episode.likeness.__getitem__)
        return best, float(min(1.0, episode.overall[best]))
    if not wanted:
        return STOP, 1.0
    _, clause, best = min(wanted)
    return best, float(min(1.0, episode.by_clause[clause, best]))
