"""What a prompt asks about, in its own words and without how it shall be shown: the headline of what answers it."""

from __future__ import annotations

import itertools
import re

from conductor.episode import Episode
from conductor.rules import TELLING
from conductor.words import Clause, content_words

_LONGEST = 100
"""Characters of a headline; a longer one is cut between words."""
_SURE = 0.5
"""From this score on a clause is for the Player that it comes closest to."""
_ABOUT = re.compile(r"^(?:about|on|showing|über|sur|sobre)\s+", re.IGNORECASE)
_ATTACHED = re.compile(r"(?:^|(?<=\s))(?:with|as|mit|als|avec|comme|con|como)\s", re.IGNORECASE)
_ORDER = re.compile(
    r"^(?:(?:please|now|then|and|bitte|dann|und|et|y)\s+)*(?:can you\s+|could you\s+)?(?:please\s+)?"
    r"(?:show|give|tell|list|find(?: out)?|zeige?|gib|nenne|liste|finde|montre|donne|trouve|muestra|muéstra|da|lista|"
    r"encuentra)(?:[- ]?(?:me|us|mir|uns|moi|nous|nos))?\s+",
    re.IGNORECASE,
)
"""How an order begins; a headline names its object alone."""


def topic_of(episode: Episode) -> str:
    """The first part of the prompt that is for Players which find something; empty when there is none.

    Clauses that come closest to a Player of the draft that shows or gathers results are left out.
    """
    runs: list[list[tuple[int, int]]] = [[]]
    for start, end, is_kept in _parts(episode):
        if is_kept:
            runs[-1].append((start, end))
        else:
            runs.append([])
    details = [
        (c.start, c.end) for c, alone in zip(episode.clauses, episode.only_details, strict=True) if alone
    ]
    for run in runs:
        if any(part not in details for part in run):
            return _headline(_text(episode.prompt, run[0][0], run[-1][1]))
    return ""


def _parts(episode: Episode) -> list[tuple[int, int, bool]]:
    """The prompt's parts in order, and whether each belongs to the headline."""
    found: list[tuple[int, int, bool]] = []
    fine = [(i, c) for i, c in enumerate(episode.clauses) if not c.coarse]
    for index, clause in enumerate(episode.clauses):
        if not clause.coarse:
            continue
        inside = [(i, c) for i, c in fine if clause.start <= c.start and c.end <= clause.end]
        has_about = (
            len(inside) > 1 and _is_form(episode, inside[0][0]) and any(_is_about(c) for _, c in inside)
        )
        if not has_about and not _is_form(episode, index):
            found.append((clause.start, clause.end, True))
            continue
        for part, own in inside or [(index, clause)]:
            if _is_about(own):
                found += _without_form(episode, own)
            else:
                is_kept = _is_content(episode, part) and not _ATTACHED.match(own.text)
                found.append((own.start, own.end, is_kept))
    return sorted(found)


def _is_about(clause: Clause) -> bool:
    return _ABOUT.match(clause.text) is not None


def _without_form(episode: Episode, clause: Clause) -> list[tuple[int, int, bool]]:
    """What follows `about`, without such as `with a chart`."""
    borders = [clause.start, *(clause.start + m.start() for m in _ATTACHED.finditer(clause.text)), clause.end]
    shows = [n.function for n in episode.draft.nodes if _shows(episode, n.function)]
    parts = []
    for start, end in itertools.pairwise(borders):
        spoken = episode.table.catalogue.evidence(episode.prompt[start:end])
        is_form = start > clause.start and bool(spoken[:, shows].max(initial=0.0) >= TELLING)
        parts.append((start, end, not is_form))
    return parts


def _is_form(episode: Episode, clause: int) -> bool:
    """Whether a clause only says how results shall be shown."""
    if episode.only_details[clause]:
        return False
    score, function = _closest(episode, clause)
    return score >= _SURE and _shows(episode, function)


def _is_content(episode: Episode, clause: int) -> bool:
    score, function = _closest(episode, clause)
    return score >= _SURE and not _shows(episode, function)


def _closest(episode: Episode, clause: int) -> tuple[float, int]:
    """The Player of the draft that a clause comes closest to, with its score."""
    return max((float(episode.by_clause[clause, n.function]), n.function) for n in episode.draft.nodes)


def _shows(episode: Episode, function: int) -> bool:
    role = episode.table.roles[function]
    return role.presents or role.is_gatherer


def _text(prompt: str, start: int, end: int) -> str:
    asks = prompt[end : end + 2].lstrip().startswith("?")
    return " ".join(prompt[start:end].split()) + ("?" if asks else "")


def _headline(text: str) -> str:
    """The text without the words of an order, with a capital, not too long."""
    bare = _ABOUT.sub("", _ORDER.sub("", text)).strip(" ,;:-–")
    if not content_words(bare):
        return ""
    if len(bare) > _LONGEST:
        bare = bare[:_LONGEST].rsplit(" ", 1)[0].rstrip(" ,;:-–") + "…"
    first = bare.split(" ", 1)[0].strip("?,…")
    return bare[:1].upper() + bare[1:] if first.isalpha() and first.islower() else bare
