"""Where a request wants its result to go: the half that hides behind an object which can be served.

`post the number of open TODOs to our Slack channel` asks for TODOs, which a Player finds, and for a post, which may
be nobody's. What remains without the object, `post it to our Slack channel`, is judged by itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from conductor.episode import RIVAL, Episode
from conductor.gloss import glossed, language_of
from conductor.params.mentions import plain_request
from conductor.policy import Policy
from conductor.reading import is_detail
from conductor.refusal import Judge, Verdict

Array = np.ndarray[Any, np.dtype[np.float32]]

OBJECT = 0.85
"""From this likelihood on an object is served, though its clause as a whole is not."""
UNSERVED = 0.2
"""Below this likelihood nobody delivers it. Low: most that is said behind an object says how or where from."""
_LONGEST = 300
"""Characters of a clause that may have such a form; what is longer was pasted."""
_DELIVERY = re.compile(
    r"^\W*(?:(?:please|and|then|also|can|could|you|bitte|und|dann|kannst|du|et|puis|y|luego|por|favor)\s+)*"
    r"(?P<verb>[^\W\d]{2,}(?:[- ](?:me|us|mir|uns|moi|nous))?)\s+"
    r"(?P<object>(?:the|an?|all|every|our|my|your|this|these|that|those|die|das|den|der|dem|alle|jeden?|eine?n?|meine?n?|"
    r"unsere?n?|le|la|les|une?|tous|toutes|el|los|las|una|todos|todas|nos|mes|mis)\s.+?|l['’].+?|\S+[./]\S+)\s+"
    r"(?P<to>(?:to|onto|into|via|through|at|in|on|with|by|ans?|auf|per|mit|bei|zu|à|aux?|sur|dans|par|avec|al?|en|por|con)"
    r"\s+.+)$",
    re.IGNORECASE | re.DOTALL,
)
_WHERE = frozenset(("path", "folder", "glob", "duration", "date", "until", "columns", "revision", "language"))
"""Mentions behind an object that say how or where from, not where to."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What nobody brings where it shall go. `is_all`: of its clause nothing else remains, for its object is a file."""

    told: str
    verdict: Verdict
    is_all: bool


def undelivered(
    episode: Episode, judge: Judge, policy: Policy | None, lacking: Collection[int]
) -> dict[int, Undelivered]:
    """The verb and the destination that nobody serves, of clauses that are served otherwise; of those that are lacking
    as a whole, where at least the object is surely served.
    """
    found = {}
    for index, clause in enumerate(episode.clauses):
        match = _DELIVERY.match(clause.text) if clause.coarse and len(clause.text) <= _LONGEST else None
        if match is None or _is_said_how(episode, clause.start + match.start("to"), clause.end):
            continue
        start, end = (clause.start + place for place in match.span("object"))
        is_all = is_detail(episode.prompt, start, end, episode.mentions)
        if index in lacking and (is_all or not _is_found(episode, judge, policy, match.group("object"))):
            continue
        verdict, _ = _alone(episode, judge, policy, f"{match.group('verb')} it {match.group('to')}")
        if verdict.served < UNSERVED:
            found[index] = Undelivered(f"{match.group('verb')} … {match.group('to')}", verdict, is_all)
    return found


def _is_found(episode: Episode, judge: Judge, policy: Policy | None, said: str) -> bool:
    """Whether a Player surely finds an object; one that shows or does something is no answer to it."""
    verdict, scores = _alone(episode, judge, policy, said)
    best = int(np.where(episode.usable, scores, -1.0).argmax())
    role, spec = episode.table.roles[best], episode.table.functions[best]
    return verdict.served >= OBJECT and role.is_source and not spec.effects and not role.has_required


def _alone(episode: Episode, judge: Judge, policy: Policy | None, said: str) -> tuple[Verdict, Array]:
    """How likely it is that a part of a clause can be served when it stands alone, and how well each Player fits."""
    language = language_of(episode.prompt)
    text = plain_request(glossed(said, language) if language != "en" else said)
    vectors = episode.embed([text]) if episode.embed is not None else None
    scores = episode.table.catalogue.scores([text], vectors)[0]
    past = episode.table.past
    if vectors is None:
        return judge.verdict(text, None, scores, policy), scores
    said_before = past.about(vectors, [text]) if past is not None else None
    if past is not None and said_before is not None:
        strange = episode.usable & past.is_strange
        fits = scores[strange].max(initial=0.0) >= RIVAL * scores[episode.usable].max(initial=0.0)
        said_before = said_before.but_for(np.array([strange.any() and fits]))
    return judge.verdict(text, vectors[0], scores, policy, said_before), scores


def _is_said_how(episode: Episode, start: int, end: int) -> bool:
    return any(m.kind in _WHERE and start <= m.start < end for m in episode.mentions)
