"""The planner's choices, by scores of clauses and by single words: baseline, fallback and advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from conductor.episode import Episode

STOP = -1

Choice = tuple[int, float]
"""A Player's index or STOP, and how likely the chooser held it to be right."""

TELLING = 0.65
"""From this share on a single word speaks for a Player."""


def by_rules(episode: Episode, candidates: Sequence[int]) -> Choice:
    """The baseline and fallback: the best Player of each clause, inputs planned, sources first."""
    floor = 0.30 if episode.vectors is not None else 0.10
    coverage = episode.coverage()
    wanted: list[tuple[int, int, int]] = []
    for clause in range(len(episode.by_clause)):
        if coverage[clause] >= 0.92:
            continue
        best = episode.clause_top[clause]
        if episode.usable[best] and episode.by_clause[clause, best] >= floor and best in candidates:
            wanted.append((episode.table.roles[best].order, clause, best))
    wanted += _by_words(episode, candidates)
    wanted += [
        (episode.table.roles[c].order, int(episode.best_clause[c]), c) for c in episode.spoken(candidates)
    ]
    if not wanted and not episode.draft.nodes and candidates:
        best = max(candidates, key=episode.likeness.__getitem__)
        return best, float(min(1.0, episode.overall[best]))
    if not wanted:
        return STOP, 1.0
    _, clause, best = min(wanted)
    return best, float(min(1.0, episode.by_clause[clause, best]))


def _by_words(episode: Episode, candidates: Sequence[int]) -> list[tuple[int, int, int]]:
    """Candidates for which a word of the prompt speaks that nothing in the draft accounts for."""
    chosen = np.asarray(candidates, dtype=np.intp)
    telling = chosen[episode.open_evidence()[chosen] >= TELLING].tolist()
    return [(episode.table.roles[c].order, int(episode.best_clause[c]), c) for c in telling]
