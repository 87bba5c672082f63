"""The object of a search in plain words, and the usual regular expressions by the name of what they find."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache

from conductor.words import fold

_OBJECT = [
    re.compile(p, re.IGNORECASE)
    for p in (
        r"\b(?:the|das|le|la|el)\s+(?:word|string|term|text|name|wort|begriff|mot|chaîne|terme|texte|palabra|cadena|"
        r"término|texto)\s+(?P<o>[\w.$/-]+)(?!\s+(?:file|datei|fichier|archivo)\b)",
        r"\b(?:search|grep|look|suche|scan|query|cherche|busca)\b[^.?!]*?\b(?:for|nach|on)\s+(?P<o>[^.?!,;]+)",
        r"\b(?:where (?:is|are|does|do (?:we|you|i)(?: still)? (?:use|call))|wo wird|où est|dónde (?:está|aparece))\s+"
        r"(?:the\s+(?:function|class|variable|constant)\s+|die funktion\s+|la función\s+|la variable\s+)?"
        r"(?P<o>[\w.$-]+)",
        r"\b(?:occurrences?|uses?|usages?|references?|mentions?|calls?)\s+(?:of|to)\s+(?P<o>[^.?!,;]+)",
        r"\b(?:mention(?:s|ing)?|contain(?:s|ing)?|about|regarding|related to|talks? about|similar to|über|sur|sobre)"
        r"\s+(?P<o>[^.?!,;]+)",
        r"\b(?:find|finde|trouve|encuentra|cherche|busca)\s+(?:all\s+|every\s+|the\s+|alle\s+)?(?P<o>[^.?!,;]+)",
    )
]  # fmt: skip
_TAIL = re.compile(
    r"\s+(?:in|under|inside|from|within|across|im|in den|dans|en)\s+"
    r"(?:the\s+|all\s+|my\s+|our\s+|this\s+|whole\s+|alle[nr]?\s+)*"
    r"(?:[\w./-]+(?:\s+(?:folder|directory|file|files|code|project|repo|repository|docs|code ?base))?)$|"
    r"\s+(?:is|are|be)?\s*(?:used|called|defined|mentioned|utilisée|verwendet|aufgerufen)\b.*$",
    re.IGNORECASE,
)
_PATTERNS = {
    "e-mail emails email mails mail correo courriel": r"[\w.+-]+@[\w-]+\.[\w.-]+",
    "url urls link links": r"https?://[^\s)>\"']+",
    "ip ips": r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    "date dates datum fechas": r"\b\d{4}-\d{2}-\d{2}\b",
    "version versions version-numbers": r"\bv?\d+\.\d+(?:\.\d+)?\b",
    "number numbers zahlen numeros nombres": r"-?\d+(?:\.\d+)?",
    "hash hashes sha": r"\b[0-9a-f]{7,64}\b",
    "hashtag hashtags": r"#\w+",
    "uuid uuids": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    "phone phones telephone": r"\+?\d[\d ()/-]{6,}\d",
}
_PATTERN = {word: pattern for words, pattern in _PATTERNS.items() for word in words.split()}


_TOKEN = r"(?<![\w.$@/:#-])(?:`[^`]{1,99}`|\"[^\"]{1,99}\"|“[^”]{1,99}”|«[^»]{1,99}»|'[^']{1,99}'|[\w.$@/:#-]{1,99})"
"""A name, or quoted words. Short, as is what comes between two, so that a text that was pasted costs little."""
_NEW = rf"(?!(?:an?|the|ein\w*|une?|una)\s){_TOKEN}"
_CODE = (
    r"(?:[`\"“«'][^`\"”»']{1,99}[`\"”»']|"
    r"(?=[\w.$@/:#-]*(?:[\w.][_/:#$@.][\w]|\d|(?-i:[a-z][A-Z])|[/:#$@]))[\w.$@/:#-]{2,99})"
)
"""A name that is no word of a sentence, or quoted words."""
_GAP = r"\b[^.?!;]{0,120}?\s"
_PLACE = r"(?:\s+(?:in|inside|under|within|across|dans|en)\s+(?:all\s+|the\s+)?[\w./*-]+)?"
_EXCHANGE = [
    re.compile(p, re.IGNORECASE)
    for p in (
        rf"\b(?:rename|replac|substitut|swap)\w*{_GAP}(?P<old>{_TOKEN}){_PLACE}\s+(?:to|by|with|into|for)\s+"
        rf"(?P<new>{_NEW})",
        rf"\b(?:chang|änder|cambi)\w*{_GAP}(?:from|von|de)\s+(?P<old>{_TOKEN})\s+(?:to|zu|auf|a)\s+(?P<new>{_NEW})",
        rf"\b(?:ersetz|tausch)\w*{_GAP}(?P<old>{_TOKEN})(?:\s+überall)?\s+(?:durch|gegen|mit)\s+(?P<new>{_NEW})",
        rf"\bbenenn\w*{_GAP}(?P<old>{_TOKEN})(?:\s+überall)?\s+(?:in|zu)\s+(?P<new>{_NEW})",
        rf"\b(?:remplac|renomm)\w*{_GAP}(?P<old>{_TOKEN})(?:\s+partout)?\s+(?:par|en|avec)\s+(?P<new>{_NEW})",
        rf"\b(?:reemplaz|sustitu|renombr)\w*{_GAP}(?P<old>{_TOKEN})\s+(?:por|con|a|en)\s+(?P<new>{_NEW})",
        r"(?<![\w/])s/(?P<old>[^/\n]{1,99})/(?P<new>[^/\n]{1,99})/",
        rf"(?<![\w.$@/:#-])(?P<old>{_CODE})\s*(?:→|->|=>)\s*(?P<new>{_CODE})",
        rf"\bchang(?:es?|ed|ing)\s+(?:all\s+|every\s+|the\s+)*(?P<old>{_CODE})\s+(?:to|into)\s+(?P<new>{_NEW})",
        rf"\bchang(?:es?|ed|ing)\s+(?:all\s+|every\s+|the\s+)*(?P<old>{_TOKEN})\s+(?:to|into)\s+(?P<new>{_CODE})",
        rf"\bchang(?:es?|ed|ing)\s+(?P<old>{_NEW})\s+(?:to|into)\s+(?P<new>{_NEW})\s+"
        r"(?:everywhere|throughout|all over)\b",
        rf"(?<![\w.$@/:#-])(?P<old>{_CODE})\s+(?:should|must|has to|needs to|shall|soll|muss|doit|debe)\s+"
        r"(?:überall\s+|ueberall\s+)?"
        rf"(?:be|become|read|say|be called|werden|heißen|sein|devenir|ser)?\s*(?P<new>{_CODE})",
        rf"(?P<new>{_NEW})\s+(?:instead of|statt|au lieu de|en vez de)\s+(?P<old>{_TOKEN})",
    )
]  # fmt: skip


def exchange(text: str) -> tuple[str, str] | None:
    """What shall stand no more and what in its place, of `rename A to B` and the like; None when it does not say."""
    spans = exchanged(text)
    if spans is None:
        return None
    old, new = (text[a:b].strip("`\"“”«»' \u00a0\u202f").rstrip(".:,") for a, b in spans)
    return (old, new) if old and new and old != new else None


@lru_cache(maxsize=256)
def exchanged(text: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where both stand in the text, with their quotes."""
    for pattern in _EXCHANGE:
        match = pattern.search(text)
        if match is not None:
            return match.span("old"), match.span("new")
    return None


def object_phrase(text: str) -> str | None:
    """What a text asks to look for, without the place where to look; None when it does not say."""
    for pattern in _OBJECT:
        match = pattern.search(text)
        if match is not None:
            found = _TAIL.sub("", match.group("o").strip()).strip(" \"'`")
            if found:
                return found
    return None


def named_pattern(text: str) -> str | None:
    """The regular expression for what a text names, such as URLs or dates."""
    for word in re.findall(r"[\w-]+", fold(text)):
        if word in _PATTERN:
            return _PATTERN[word]
    return None


_SPOKEN_CHOICES = {
    "hour": re.compile(
        r"\btimes?\s+of\s+(?:the\s+)?day\b|\bhours?\s+of\s+(?:the\s+)?day\b|\bwhat\s+hours?\b|\bwhich\s+hours?\b|"
        r"\btageszeit\w*|\buhrzeit\w*|\bum\s+wie\s*viel\s+uhr\b|\b(?:zu|in)\s+welche[rn]\s+stunden?\b|"
        r"\b(?:quelles?\s+heures?|heures?\s+de\s+la\s+journée)\b|"
        r"\b(?:qué\s+horas?|horas?\s+del\s+día)\b",
        re.IGNORECASE,
    ),
    "weekday": re.compile(
        r"\bdays?\s+of\s+the\s+week\b|\bwochentag\w*|\bjours?\s+de\s+la\s+semaine\b|\bdías?\s+de\s+la\s+semana\b|"
        r"\bmon(?:day)?s?(?:\s*,\s*|\s+(?:and|or|to|through)\s+)(?:tue(?:s|sday)?s?|fri(?:day)?s?)\b|"
        r"\bmontags?(?:\s*,\s*|\s+(?:und|oder|bis)\s+)(?:dienstag|freitag)s?\b|"
        r"\blundi(?:\s*,\s*|\s+(?:et|ou|à|au)\s+)(?:mardi|vendredi)\b|"
        r"\blunes(?:\s*,\s*|\s+(?:y|o|al?)\s+)(?:martes|viernes)\b",
        re.IGNORECASE,
    ),
}
"""Values of choices that take several words to say."""


def spoken_choice(text: str, choices: Container[str]) -> str:
    """The choice that a text says in several words, as `hour` in `at what time of day`; empty when there is none."""
    for choice, said in _SPOKEN_CHOICES.items():
        if choice in choices and said.search(text) is not None:
            return choice
    return ""


_AROUND = re.compile(
    r"\b(?P<n>\d{1,4})\s+(?:lines?|zeilen|lignes?|líneas?|lineas?)\s+(?:of\s+(?:surrounding\s+)?context|(?:around|surrounding)\b|"
    r"kontext|um\s|rund\s+um|rundherum|drumherum|de\s+contexte|autour|de\s+contexto|alrededor)",
    re.IGNORECASE,
)


def lines_around(text: str) -> int | None:
    """How many lines shall stand around what is shown: `10 lines around each hunk`."""
    match = _AROUND.search(text)
    return int(match["n"]) if match is not None else None
