"""Finds what a prompt wants gone: `without the chart`, `drop the report`, `a table instead of a chart`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conductor.words import content_words

_VERBS = (
    r"remove|drop|delete|skip|leave\s+out|leave\s+away|omit|take\s+out|get\s+rid\s+of|forget|cut|"
    r"entferne?|lösche?|streiche?|supprime[rz]?|enlève[rz]?|enlever|retire[rz]?|quitar?|elimina[r]?|borra[r]?"
)
_WORDS = (
    r"without|no|not|don'?t\s+(?:want|need|show|include|write|draw)|minus|except|ohne|kein(?:e[nmrs]?)?|"
    r"sans|pas\s+de|sin|ning[uú]n[a]?"
)
_RATHER = (
    r"instead\s+of|rather\s+than|in\s+place\s+of|statt|anstatt|anstelle\s+(?:von|der|des)|au\s+lieu\s+d[eu]|plutôt\s+que|"
    r"en\s+lugar\s+de|en\s+vez\s+de"
)
_ARTICLE = (
    r"(?:(?:the|an?|any|all|my|its|der|die|das|den|dem|des|eine?[nmrs]?|le|la|les|l'|une?|du|el|los|las|un[ao]?)"
    r"\s*\b)*"
)
_END = re.compile(
    r"[,;.!?]|\s+(?:and|but|or|then|plus|with|und|aber|dann|mit|et|mais|puis|avec|y|pero|luego|con|please|bitte|"
    r"weg|any\s?more|only)\b|$",
    re.IGNORECASE,
)
_GONE = re.compile(rf"\b(?P<how>{_RATHER}|{_VERBS}|{_WORDS})\s+{_ARTICLE}\s*", re.IGNORECASE)
_AWAY = re.compile(
    rf"\b(?:lass|lasse|nimm|lassen)\s+{_ARTICLE}\s*(?P<what>.+?)\s+(?:weg|raus)\b", re.IGNORECASE
)
_RATHER_ALONE = re.compile(r"\b(?:instead|rather|stattdessen|plutôt|mejor|en\s+su\s+lugar)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A thing that shall be gone: its words, and the span of the prompt that says so."""

    text: str
    start: int
    end: int


def unwanted_in(prompt: str) -> list[Unwanted]:
    """What the prompt wants gone, in order; a negation with nothing behind it is none."""
    found = [Unwanted(m.group("what"), m.start(), m.end()) for m in _AWAY.finditer(prompt)]
    place = 0
    while (match := _GONE.search(prompt, place)) is not None:
        place = match.end()
        end = _END.search(prompt, match.end())
        stop = end.start() if end is not None else len(prompt)
        text = prompt[match.end() : stop].strip()
        if content_words(text) and not any(f.start <= match.start() < f.end for f in found):
            found.append(Unwanted(text, match.start(), stop))
            place = stop
    return sorted(found, key=lambda f: f.start)


def without(prompt: str, gone: list[Unwanted]) -> str:
    """The rest of the prompt: what it wants, with `instead` taken away. Places stay the same."""
    letters = list(prompt)
    for part in gone:
        letters[part.start : part.end] = " " * (part.end - part.start)
    return _RATHER_ALONE.sub(lambda m: " " * len(m.group()), "".join(letters))
