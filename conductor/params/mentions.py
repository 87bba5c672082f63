"""What a prompt mentions that can fill a parameter: times, paths, counts, quoted text, names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from conductor.context import ProjectFacts
from conductor.gloss import language_of
from conductor.params.conditions import Day, Rows, conditions, in_time, joined
from conductor.params.groups import Use, aggregate_said, groups, in_table, measure, orders
from conductor.params.kept import kept
from conductor.params.languages import LANGUAGES
from conductor.params.numbers import NUMBER_WORDS as NUMBER_WORDS
from conductor.params.paths import path_mentions
from conductor.params.tables import table_spoken_of, with_columns
from conductor.params.times import time_mentions, without_spans_of_time
from conductor.words import content_words, fold, word_list

Kind = Literal[
    "duration", "date", "until", "path", "folder", "glob", "count", "number", "text", "regex", "command",
    "language", "person", "columns", "measure", "condition", "order", "revision", "code",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of the prompt with the value that it stands for; `others` are values that are nearly as likely."""

    kind: Kind
    value: Any
    start: int
    end: int
    others: tuple[Any, ...] = ()
    use: Use = ""
    """What columns are for, where the prompt's words say it surely."""


_NUMBER = r"(?:\d{1,6}|" + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)) + r")"
_RANKED = (
    r"biggest|largest|smallest|longest|shortest|most|least|worst|best|newest|latest|oldest|recent|last|first|"
    r"heaviest|busiest|riskiest|hottest|top|highest|lowest|greatest|fewest|hardest|\w+est|frequent|complex|"
    r"größten|kleinsten|längsten|letzten|ersten|neuesten|häufigsten|komplexesten|meisten|\w+sten|"
    r"plus|premiers|derniers|mayores|menores|primeros|últimos|más"
)
_COUNTS = [
    re.compile(rf"\b(?:top|first|last|best|worst|limit(?:ed to)?|at most|up to|only|erste[nr]?|letzte[nr]?|"
               rf"premiers|primeros|höchstens|max(?:imum)?)\s+(?P<n>{_NUMBER})\b(?!\s*(?:%|days?|weeks?|months?|years?|"
               rf"hours?|minutes?|tagen?|wochen?|monaten?|jahren?|jours|mois|semaines|días|meses|semanas))",
               re.IGNORECASE),
    re.compile(rf"\b(?P<n>{_NUMBER})\s+(?:\w+\s+)?(?:{_RANKED})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<n>{_NUMBER})\s+(?:sentences?|sätzen?|bullet points?|lines?|words|keywords|rows|entries|"
               rf"results|commits|files|phrases?|frases|items|authors|functions)\b", re.IGNORECASE),
]  # fmt: skip
_LIMIT_BEFORE = re.compile(
    r"\b(?:than|over|above|under|below|least|exceeding|als|über|unter|mindestens|que|de)\s+$", re.IGNORECASE
)
"""Before a number these make a condition of it, not a count."""
_QUOTED = re.compile(
    r"`(?P<a>[^`]+)`|\"(?P<b>[^\"]+)\"|“(?P<c>[^”]+)”|«(?P<d>[^»]+)»|(?<!\w)'(?P<e>[^']+)'(?!\w)"
)
_MENTIONED = re.compile(
    r"\b(?:the (?:word|text|term|string)|das wort|le mot|la palabra)\s+(?P<one>[\w-]{3,}(?:\.\w+)*)|"
    r"\b(?:mention(?:s|ing|ed)?|erwähn\w+|mentionn\w+|mencion\w+|(?:that|which|who)\s+(?:talks?|speaks?|(?:is|are))\s+about|"
    r"(?:qui|on)\s+parlent?\s+(?:de|du|des)|(?:se\s+)?habl(?:e|en|a|an)\s+(?:de|del)|(?:die|das|der)\s+von(?=\s.{1,40}\shandel[nt]))"
    r"\s+(?:(?:the|an?|die|den|das|dem|der|les?|la|el|los|las)\s+|l['’])?"
    r"(?!(?:word|text|term|string|any|all|that|in|of|to|it|this|me|us)\b)"
    r"(?P<some>[\w-]{3,}(?:\.\w+)*(?:\s+(?!(?:in|of|under|since|from|by|and|or|on|within|as|with|anywhere|somewhere|und|unter|handeln|"
    r"handelt|dans|en|et|y|quelque|depuis|desde|seit)\b)"
    r"[\w-]+){0,2})",
    re.IGNORECASE,
)
"""`commits that mention security`: words to look for that nobody put into quotes."""
_AUTHOR = re.compile(
    r"\b(?:by|from|of|von|par|de|por|did|has|committed by|author(?:ed by)?|autor)\s+"
    r"(?P<v>[A-ZÄÖÜÉ][\w'’-]+(?:\s+[A-ZÄÖÜÉ][\w'’-]+)*|[\w.+-]+@[\w-]+\.[\w.]+)"
)
_DOING = re.compile(
    r"\b(?:what|that|everything|whatever|stuff|things|was|que|qué)\s+(?P<v>[A-ZÄÖÜÉ][\w'’-]+(?:\s+[A-ZÄÖÜÉ][\w'’-]+)*)\s+"
    r"(?=(?:committed|pushed|changed|wrote|did|touched|contributed|worked|has|had|hat|hatte|ha|hizo|cambió|subió)\b)"
)
"""`what Anna committed`."""
_AND_PERSON = re.compile(
    r"\s*(?:,|,?\s*\b(?:and|und|et|y|or|vs\.?|versus)\b)\s+(?:by\s+)?(?P<v>[A-ZÄÖÜÉ][\w'’-]+(?:\s+[A-ZÄÖÜÉ][\w'’-]+)*)(?!\w)"
)
"""A further name behind one: `by Ada and Bob`."""
_NO_PERSON = word_list("no_names.txt")
_BY_COLUMN = re.compile(
    r"\b(?:by|per|each|for each|every|group(?:ed)? by|pro|je|nach|par|por)\s+(?:the\s+|their\s+|its\s+)?"
    r"(?P<v>[a-z][\w-]*(?:(?:\s*,?\s*(?:and|und|et|y)\s+|\s*,\s+(?=(?:then\s+)?by\s))(?:by\s+|then by\s+)?"
    r"[a-z][\w-]*(?=\s*(?:$|[,.;?!])))?)",
    re.IGNORECASE,
)
_COLUMNS = re.compile(
    r"\b(?:columns?|fields?|spalten?|colonnes?|columnas?)\s+(?P<v>[\w-]+"
    r"(?:\s+(?:and|und|et|y)\s+[\w-]+|\s*,\s*(?:(?:and|und|et|y)\s+)?[\w-]+(?=\s*(?:$|[,.;?!]|(?:and|und|et|y)\s)))*)",
    re.IGNORECASE,
)
_DESCENDING = re.compile(
    r"\b(?:descending|largest first|biggest first|highest first|most first|newest first|latest first|most recent first|"
    r"absteigend|décroissant|descendente)\b", re.IGNORECASE)  # fmt: skip
_CODE = re.compile(
    r"\b(?:[a-z]+_[a-z0-9_]+|[A-Z]+_[A-Z0-9_]+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|\w+\(\)?)(?=\W|$)"
)
_DOTTED = re.compile(r"(?<![\w./@-])[A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+(?![\w/@-])")
"""`requests.get`, where it is no file."""
_PRODUCTS = word_list("product_names.txt")
"""GitHub is written like a name in code, and is none."""
_FILE_IN_FOLDER = re.compile(
    r"(?<![\w:/@])(?:[\w.@-]+/)*[\w@+-]+\.(?P<ending>[A-Za-z][A-Za-z0-9]{0,5})(?![\w/.])"
)
_PROSE = dict.fromkeys(("txt", "rst", "adoc", "text", "markdown"), "md")
"""Endings of texts that are read alike: what is asked of one may be asked of each."""
_SOME_FOLDER = re.compile(
    r"(?:\b(?:in|under|inside|of|from|within|below|im|unter|dans|en)\s+)?(?<![\w:/@.])(?:\.{0,2}/)?[a-z0-9_.@-]+/(?:[\w.@-]+/?)*"
)
_MEASURE = re.compile(
    r"\b(?:sum(?:me|med)?|summierte[nrs]?|sommée?s?|sumad[oa]s?|total|average|mean|median|add(?:s|ing)? up|"
    r"durchschnitt(?:liche[nr]?)?|mittelwert|moyenne|somme|médiane?|suma|promedio|media|mediana)\s+"
    r"(?:of\s+|der\s+|des\s+|de[lr]?\s+|d[ue]s?\s+|von\s+|up\s+)?(?:the\s+|all\s+|la\s+|el\s+|los\s+|las\s+|le\s+|les\s+)?"
    r"(?P<v>[a-z_]\w*)", re.IGNORECASE)  # fmt: skip
_NO_MEASURE = frozenset(
    (
        "number",
        "of",
        "by",
        "per",
        "and",
        "for",
        "them",
        "it",
        "por",
        "par",
        "pro",
        "je",
        "nach",
        "selon",
        "según",
        "und",
        "et",
    )
)
_PER = re.compile(r"(?:per|each|for\s+each|pro|je|par|por|cada|chaque|jede)\b", re.IGNORECASE)
"""What joins a group, and no column to order by, to what is measured."""
_PERIODIC = re.compile(
    r"\b(?:(?P<day>daily|täglich\w*|quotidien\w*|diari[oa]s?)|(?P<week>weekly|wöchentlich\w*|hebdomadaires?|semanal(?:es)?)|"
    r"(?P<month>monthly|monatlich\w*|mensuel\w*|mensual(?:es)?)|(?P<year>yearly|annual|jährlich\w*|annuel\w*|anual(?:es)?))\s+"
    r"(?!(?:\w+\s+)?(?:reports?|status|meetings?|updates?|reviews?|newsletters?|bericht\w*|rapports?|informes?|list)\b)(?=\w)",
    re.IGNORECASE,
)
"""`monthly sales`: a period as a column, where it is not that of a report."""
_THERE = re.compile(
    r"(?<!\bis )(?<!\bare )(?<!\bwas )\b(?:in )?(?:there|dort|darin|là-dedans|allí|ahí)\b"
    r"(?!\s+(?:is|are|was|were|any|a|some|no)\b|'s)",
    re.IGNORECASE,
)
"""What stands for the folder that was named last."""
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xml")
"""Endings of files that hold rows."""
_IN_TIME = re.compile(
    r"\b(?:(?:most\s+recent|newest|latest|oldest|neueste|älteste|plus\s+récents?|más\s+recientes?)\s+"
    r"(?:first|zuerst|d'abord|primero)|chronological(?:ly)?|chronologisch)\b", re.IGNORECASE)  # fmt: skip
_BY_NAME = re.compile(
    r"\b(?:alphabetical(?:ly)?|alphabetisch|alphabétique(?:ment)?|alfabétic\w+)\b", re.IGNORECASE
)
"""Orders that say their column without naming it."""
_URL = re.compile(r"\bhttps?://[^\s,;]*")
_RANGE = re.compile(
    r"\b(?:between|from|compare|diff|vergleiche|compara|zwischen|entre)\s+(?P<a>[\w./-]+)\s+(?:and|to|with|against|und|mit|et|y|con|a|avec)\s+(?P<b>[\w./-]+)|"
    r"\b(?P<c>[\w/-]+)\.\.(?P<d>[\w/-]+)"
)
_VERSUS = re.compile(
    r"\b(?P<head>[\w./-]*\w)\s+(?:against|vs\.?|versus|compared\s+(?:to|with)|relative\s+to|gegen|gegenüber|face\s+à|contra|frente\s+a|"
    r"(?:drift\w*\s+)?(?:away\s+)?from|differs?\s+from|has\s+over|adds\s+to)\s+(?:branch\s+)?(?P<base>[\w./-]*\w)",
    re.IGNORECASE,
)
"""What stands before is what changed, what stands behind is what it is held against."""
_AGAINST = re.compile(r"\b(?:against|with|to|vs\.?|from|mit|zu|on|branch)\s+(?:branch\s+)?(?P<a>[\w./-]+)")
_TAG = re.compile(r"v\d+|v?\d+\.\d+(?:\.\d+)?|HEAD(?:[~^]\d*)*|[0-9a-f]{7,40}")
_ONE_REVISION = re.compile(
    r"\b(?:commit|revision|tag|release)\s+(?P<a>[\w./~^-]*[\w~^])|(?<![\w.])(?P<b>HEAD[~^][~^\d]*|"
    r"(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40})(?![\w.])"
)
"""`the patch of commit 3fe2a1c`, or a name that can only be one."""


_LANGUAGE = re.compile(
    r"(?<![\w./])(?P<v>" + "|".join(re.escape(n) for n in sorted(LANGUAGES, key=len, reverse=True))
    + r")(?![\w+/]|\.\w|\s+first\b)", re.IGNORECASE)  # fmt: skip


def mentions_of(prompt: str, project: ProjectFacts | None, now: datetime) -> list[Mention]:
    """Everything that the prompt mentions, in order of place; spans of one kind do not overlap."""
    found: list[Mention] = []
    quoted = _quoted(prompt, project)
    found += quoted
    bare = _blank(prompt, [(m.start, m.end) for m in quoted])
    for path in path_mentions(prompt, project):
        found.append(Mention(path.kind, path.value, path.start, path.end, path.others))
    if project is not None and not any(m.kind in ("path", "folder", "glob") for m in found):
        table = table_spoken_of(bare, project.files, language_of(prompt))
        found += [Mention("path", *table)] if table is not None else []
    found += _there(bare, found)
    outside = _blank(bare, [(m.start, m.end) for m in found])
    for time in time_mentions(outside, now):
        found.append(Mention(time.kind, time.value, time.start, time.end, time.others))
    timeless = _blank(outside, [(m.start, m.end) for m in found])
    found += _counts(timeless)
    found += _people(timeless)
    found += _revisions(bare, project)
    rows = _rows(prompt, found, project)
    found += _conditions(prompt, found, rows)
    found += _grouped(timeless, _columns(timeless), rows)
    found += [Mention("columns", k.columns, k.start, k.end, use=k.use) for k in kept(timeless, rows)]
    found += _languages(timeless)
    ordered = [m for m in found if m.kind == "order"]
    found += [
        Mention("order", True, m.start(), m.end())
        for m in _DESCENDING.finditer(timeless)
        if not any(m.start() < other.end and other.start < m.end() for other in ordered)
    ]
    found += [Mention("text", m.group(), m.start(), m.end()) for m in _URL.finditer(bare)]
    found += [
        Mention("code", m.group().removesuffix("()"), m.start(), m.end())
        for m in _CODE.finditer(timeless)
        if m.group().lower() not in _PRODUCTS
    ]
    found += [
        Mention("code", m.group(), m.start(), m.end())
        for m in _DOTTED.finditer(timeless)
        if not any(m.start() < other.end and other.start < m.end() for other in found)
    ]
    return with_columns(sorted(found, key=lambda m: (m.start, m.end)), project)


def plain_request(text: str) -> str:
    """What a text asks for, without what it asks it about: counts and durations go, files become `file.md`, folders go.

    Prompts and the Players' examples are compared in this form; a text that is nothing else stays.
    """
    bare = without_spans_of_time(text)
    for pattern in _COUNTS:
        bare = pattern.sub(lambda m: m.group().replace(m.group("n"), " "), bare)
    bare = re.sub(r"^\W*(?:the\s+)?top\s+", "", " ".join(bare.split()), flags=re.IGNORECASE)
    bare = _CODE.sub(
        lambda m: m.group() if m.group().lower() in _PRODUCTS else "name", _QUOTED.sub("'text'", bare)
    )
    bare = _FILE_IN_FOLDER.sub(lambda m: f"file.{_PROSE.get(m['ending'].lower(), m['ending'])}", bare)
    bare = _SOME_FOLDER.sub(" ", bare)
    bare = " ".join(bare.split())
    return bare if content_words(bare) else text


def _blank(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """`text` with the spans overwritten by spaces, so that places stay the same."""
    letters = list(text)
    for start, end in spans:
        letters[start:end] = " " * (end - start)
    return "".join(letters)


def _quoted(prompt: str, project: ProjectFacts | None) -> list[Mention]:
    """Quoted text that is no path of the project (those are mentions of paths), or else what is to be mentioned."""
    found = []
    for match in _QUOTED.finditer(prompt):
        value = next(v for v in match.groups() if v is not None)
        if project is not None and value in project.files:
            continue
        # Code quotes around several words are a command when the first is no placeholder.
        is_command = match.group("a") is not None and re.fullmatch(r"[\w./-]+(?:\s+\S+)*", value) is not None
        found.append(Mention("text", value, match.start(), match.end()))
        if is_command:
            found.append(Mention("command", value, match.start(), match.end()))
    return found or [
        Mention("text", m.group(m.lastgroup or 0), *m.span(m.lastgroup or 0))
        for m in _MENTIONED.finditer(prompt)
    ]


def _counts(text: str) -> list[Mention]:
    taken: set[int] = set()
    found = []
    for pattern in _COUNTS:
        for match in pattern.finditer(text):
            if match.start("n") in taken or _LIMIT_BEFORE.search(text[: match.start()]):
                continue
            taken.add(match.start("n"))
            word = match.group("n").lower()
            number = int(word) if word.isdigit() else NUMBER_WORDS[word]
            if number:
                found.append(Mention("count", number, match.start(), match.end()))
    for match in re.finditer(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.-])", text):
        value = float(match.group()) if "." in match.group() else int(match.group())
        found.append(Mention("number", value, match.start(), match.end()))
    return found


def _people(text: str) -> list[Mention]:
    found = []
    for first in (*_AUTHOR.finditer(text), *_DOING.finditer(text)):
        match: re.Match[str] | None = first
        while match is not None:
            name = match.group("v")
            if fold(name.split()[0]) in _NO_PERSON or name.isupper():
                break
            found.append(Mention("person", name, *match.span("v")))
            match = _AND_PERSON.match(text, match.end("v"))
    return found


def _revisions(text: str, project: ProjectFacts | None) -> list[Mention]:
    branches = set(project.branches) if project is not None else set()
    usual = branches | {"main", "master", "develop", "HEAD"}

    def is_revision(word: str) -> bool:
        return word in usual or _TAG.fullmatch(word) is not None

    found = []
    for match in _RANGE.finditer(text):
        first, second = (match.group("a"), match.group("b")) if match.group("a") else match.group("c", "d")
        if is_revision(first) and is_revision(second):
            found.append(Mention("revision", (first, second), match.start(), match.end()))
    for match in _VERSUS.finditer(text) if not found else ():
        if is_revision(match.group("head")) and is_revision(match.group("base")):
            both = (match.group("base"), match.group("head"))
            found.append(Mention("revision", both, match.start(), match.end()))
    if not found:
        for match in _AGAINST.finditer(text):
            if is_revision(match.group("a")):
                found.append(Mention("revision", (match.group("a"),), match.start("a"), match.end("a")))
    if not found:
        for match in _ONE_REVISION.finditer(text):
            group = "a" if match.group("a") else "b"
            if is_revision(match.group(group)):
                found.append(Mention("revision", (match.group(group),), *match.span(group)))
    return found


def _rows(prompt: str, found: Sequence[Mention], project: ProjectFacts | None) -> Rows:
    """What is known of the rows of the tables that a prompt names."""
    tables = [str(m.value) for m in found if m.kind == "path" and str(m.value).endswith(TABLES)]
    known = project.columns if project is not None else {}
    columns = tuple(dict.fromkeys(column for table in tables for column in known.get(table, ())))
    return Rows(bool(tables), columns, language_of(prompt))


def _conditions(prompt: str, found: Sequence[Mention], rows: Rows) -> list[Mention]:
    """What the prompt says of the values in rows: those of a table that it names, or those that a Player makes."""
    text = _blank(prompt, [(m.start, m.end) for m in found if m.kind in ("path", "folder", "glob")])
    stated = conditions(text, rows)
    days = [
        Day(str(m.value), m.kind == "until", m.start, m.end) for m in found if m.kind in ("date", "until")
    ]
    stated += in_time(text, days, rows)
    return [Mention("condition", c.expression, c.start, c.end) for c in joined(text, stated)]


def _columns(text: str) -> list[Mention]:
    found = []
    for pattern in (_BY_COLUMN, _COLUMNS):
        for match in pattern.finditer(text):
            names = re.split(r"\s*(?:,|\b(?:and|und|et|y)\b)\s*", match.group("v"))
            names = [re.sub(r"^(?:then\s+)?by\s+", "", n).strip().lower() for n in names]
            names = [n for n in names if n not in ("other", "one", "once", "time") and content_words(n)]
            if names and fold(names[0]) not in _NO_PERSON:
                found.append(Mention("columns", tuple(names), match.start(), match.end()))
    for match in _PERIODIC.finditer(text):
        found.append(Mention("columns", (str(match.lastgroup),), match.start(), match.end()))
    if not found:
        for pattern, column in ((_IN_TIME, "date"), (_BY_NAME, "name")):
            found += [Mention("columns", (column,), *m.span()) for m in pattern.finditer(text)]
    for match in _MEASURE.finditer(text):
        if match.group("v").lower() not in _NO_MEASURE:
            found.append(Mention("measure", match.group("v").lower(), *match.span("v")))
    return found


def _grouped(text: str, found: Sequence[Mention], rows: Rows) -> list[Mention]:
    """The columns and measures with those that no `by X` names, and the orders of what was grouped or has a date."""
    every = list(found)
    for said in groups(text, rows):
        if not any(m.kind == "columns" and m.start < said.end and said.start < m.end for m in every):
            every.append(Mention("columns", said.columns, said.start, said.end, use=said.use))
    by = [m for m in every if m.kind == "columns" and m.use in ("", "group")]
    if by and not any(m.kind == "measure" for m in every) and (named := measure(text, rows)) is not None:
        every.append(Mention("measure", *named))
    grouped = [m for m in by if m.use == "group" or _PER.match(text, m.start) is not None]
    for by_what, is_down, start, end in orders(text):
        column = "date"
        if by_what == "measure":
            measures = [str(m.value) for m in every if m.kind == "measure"]
            how = aggregate_said(text) or "sum"
            column = f"{how}_{measures[0]}" if measures else "count"
            grouped = by if measures else grouped
        if (by_what == "time" and not by) or (by_what == "measure" and grouped):
            every = [m for m in every if not (m.kind == "columns" and start <= m.start and m.end <= end)]
            every.append(Mention("columns", (column,), start, end, use="order"))
            every += [Mention("order", True, start, end)] if is_down else []
    return [
        replace(m, value=in_table(m.value, rows)) if m.kind == "columns" and m.use != "order" else m
        for m in every
    ]


def _there(text: str, found: Sequence[Mention]) -> list[Mention]:
    """The folder named before once more, where a later part says `there`."""
    mentions = []
    for match in _THERE.finditer(text):
        before = [m for m in found if m.kind == "folder" and m.end <= match.start()]
        if before:
            mentions.append(Mention("folder", before[-1].value, *match.span()))
    return mentions


def _languages(text: str) -> list[Mention]:
    found = []
    for match in _LANGUAGE.finditer(text):
        name = match.group("v")
        # One-letter and verb-like names count only when written as names: C, Go.
        if name.lower() in ("c", "go", "shell") and not name[0].isupper():
            continue
        found.append(Mention("language", name.lower(), match.start(), match.end()))
    return found
