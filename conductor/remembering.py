"""What the past says of a prompt as a whole, made of what it says of the prompt and of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.question import player_question
from conductor.words import Clause

if TYPE_CHECKING:
    from conductor.episode import Episode

Array = np.ndarray[Any, np.dtype[np.float32]]

PART, SENTENCE = 0.6, 0.9
"""What a part of a prompt says of the past, and a sentence of its own, against the whole."""
HEARD, SOME = 0.1, 0.5
"""From this likelihood on a source is among those that would do; and how far their sum speaks for the likeliest."""


def remembered(episode: Episode) -> Array:
    """How likely each Player takes part, by what like requests took; as likely as a twin that the past knows."""
    past = episode.table.past
    if episode.said is None or past is None:
        return np.zeros(len(episode.table.functions), dtype=np.float32)
    votes = _likeliest_source(episode, episode.said.votes)
    shares = np.array([SENTENCE if _is_sentence(episode.prompt, one) else PART for one in episode.clauses])
    found: Array = votes[0]
    if len(votes) > 1:
        found = np.maximum(found, (shares[:, None] * votes[1:]).max(axis=0)).astype(np.float32)
    found = found[past.twins]
    meant = {episode.context.answers.get(player_question(clause.text)) for clause in episode.clauses} - {None}
    if meant:
        found[[f for f, spec in enumerate(episode.table.functions) if spec.player in meant]] = 1.0
    return found


def remembered_without(episode: Episode, passed: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    """The same when some clauses are passed over: what is likelier for these than for the others is not for the others.

    `passed` marks the clauses.
    """
    past = episode.table.past
    if episode.said is None or past is None or len(episode.said.votes) < 1 + len(passed):
        return episode.remembered
    parts = episode.said.votes[1:][:, past.twins]
    gone, rest = parts[passed].max(axis=0, initial=0.0), parts[~passed].max(axis=0, initial=0.0)
    return np.where(gone > rest, np.minimum(episode.remembered, SENTENCE * rest), episode.remembered)


def _likeliest_source(episode: Episode, votes: Array) -> Array:
    """The votes with the likeliest source of each text as likely as that it takes one at all.

    Where several would do, such as the commits or their authors, each alone seems unlikely.
    """
    found = votes.copy()
    sources = np.where(episode.table.sources & episode.usable, votes, 0.0)
    some = np.minimum(1.0, np.where(sources >= HEARD, sources, 0.0).sum(axis=1))
    rows, best = np.arange(len(votes)), sources.argmax(axis=1)
    found[rows, best] = np.maximum(found[rows, best], SOME * some)
    return found


def _is_sentence(prompt: str, clause: Clause) -> bool:
    """Whether a clause is a whole sentence of a prompt, beside others."""
    before, behind = prompt[: clause.start].rstrip(), prompt[clause.end :].lstrip()
    ends = not before or before[-1] in ".?!", not behind or behind[0] in ".?!"
    return clause.coarse and all(ends) and len(before) + len(behind) > 1
