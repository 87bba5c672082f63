"""Where a request wants its result to go: the half that hides behind an object which can be served.

`post the number of open TODOs to our Slack channel` asks for TODOs, which a Player finds, and for a post, which may
be nobody's. What remains without the object, `post it to our Slack channel`, is judged by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from conductor.episode import Episode
from conductor.gloss import glossed, language_of
from conductor.policy import Policy
from conductor.reading import is_detail
from conductor.refusal import Judge, Verdict

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
    episode: Episode, judge: Judge, policy: Policy | None, clauses: Iterable[int]
) -> dict[int, Undelivered]:
    """Of clauses that are served: the verb and the destination which are not."""
    found = {}
    for index in clauses:
        clause = episode.clauses[index]
        match = _DELIVERY.match(clause.text) if len(clause.text) <= _LONGEST else None
        if match is None or _is_said_how(episode, clause.start + match.start("to"), clause.end):
            continue
        rest = f"{match.group('verb')} it {match.group('to')}"
        text = glossed(rest, language) if (language := language_of(episode.prompt)) != "en" else rest
        vectors = episode.embed([text]) if episode.embed is not None else None
        scores = episode.table.catalogue.scores([text], vectors)[0]
        verdict = judge.verdict(text, vectors[0] if vectors is not None else None, scores, policy)
        if verdict.served < UNSERVED:
            start, end = (clause.start + place for place in match.span("object"))
            is_all = is_detail(episode.prompt, start, end, episode.mentions)
            found[index] = Undelivered(f"{match.group('verb')} … {match.group('to')}", verdict, is_all)
    return found


def _is_said_how(episode: Episode, start: int, end: int) -> bool:
    return any(m.kind in _WHERE and start <= m.start < end for m in episode.mentions)
