"""What would only repeat what the draft does: a cut that a step makes itself, a word of a part that is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.params.fill import is_count
from conductor.words import Clause

if TYPE_CHECKING:
    from conductor.episode import Episode

Array = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

SERVED, SURE = 0.97, 0.75
"""A part is served from this share of its best Player's score on, if that fits it so well."""


def only_cuts(episode: Episode, function: int) -> bool:
    """Whether a Player would only leave rows off that their maker can leave off; of those that make rows of rows."""
    spec, role = episode.table.functions[function], episode.table.roles[function]
    if role.is_merger:
        return False
    filled = episode.filled(function)
    counts = [name for name, param in spec.params.items() if is_count(name, param)]
    if not filled.used or any(m.kind != "count" for m in filled.used) or set(filled.params) - set(counts):
        return False
    providers = [p for port in role.required for p in episode.draft.fresh_providers(spec.inputs[port])[:1]]
    for _, (place, _) in providers:
        maker = episode.draft.nodes[place]
        if not any(is_count(name, param) for name, param in maker.spec.params.items()):
            return False
    return bool(providers)


def is_served(episode: Episode, coverage: Array) -> Mask:
    """For each clause, whether its best Player stands or one as good, and fits it well."""
    found: Mask = (coverage >= SERVED) & (episode.clause_best >= SURE)
    return found


def served_words(episode: Episode) -> Mask:
    """For each telling word, whether its part of the prompt is served: then it speaks for no other source."""
    served = is_served(episode, episode.coverage())
    return np.array([served[clause] for clause in episode.evidence_clause], dtype=bool)


def within_served(episode: Episode, coverage: Array, have: Array) -> Array:
    """The coverage with finer parts of served clauses held against those Players alone that work on results.

    `the files with the most commits` is served by what ranks files, and wants no list of commits beside it.
    """
    parents = episode.parents
    if not len(parents) or parents.max() < 0:
        return coverage
    inside = (parents >= 0) & is_served(episode, coverage)[parents]
    lesser = np.clip(have / np.maximum(episode.best_working(), 0.05), 0.0, 1.0)
    return np.where(inside, np.maximum(coverage, lesser), coverage).astype(np.float32)


def parents_of(clauses: Sequence[Clause]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """For each finer clause the coarse one that it is a part of, -1 for a coarse one."""
    coarse = [(index, c) for index, c in enumerate(clauses) if c.coarse]
    found = [
        -1
        if c.coarse
        else next((i for i, whole in coarse if whole.start <= c.start and c.end <= whole.end), -1)
        for c in clauses
    ]
    return np.array(found, dtype=np.intp)
