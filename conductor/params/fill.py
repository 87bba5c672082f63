"""Fills a Player's parameters from the mentions in a prompt, by the type and the wording of each parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from conductor.context import ProjectFacts
from conductor.gloss import glossed, language_of
from conductor.params import said
from conductor.params.commands import command_of
from conductor.params.groups import Use, aggregate_said
from conductor.params.kept import ONCE
from conductor.params.languages import LANGUAGES
from conductor.params.mentions import Mention
from conductor.params.phrases import exchange, lines_around, named_pattern, object_phrase, spoken_choice
from conductor.params.times import without_spans_of_time
from conductor.words import content_words, fold
from symphony.types.players import FunctionSpec, ParamSpec

_TARGET = re.compile(
    r"\b(?P<joint>to|into|in|as|at|under|nach|als|unter|dans|vers|en|a)\s+(?:the\s+file\s+|a\s+file\s+(?:called\s+|named\s+)?|"
    r"file\s+|die\s+datei\s+|le\s+fichier\s+|el\s+archivo\s+)?[`'\"]?$",
    re.IGNORECASE,
)
_SENT = re.compile(
    r"(?:→|->|=>)\s*[`'\"]?$|"
    r"(?:[,;:–—]|\b(?:tables?|csv|markdown|md|reports?|doc(?:ument)?s?|spreadsheet|charts?|patch|diff|lists?|summary|excel|"
    r"tabelle|bericht|liste|tabla|informe|lista|tableau|rapport|le tout|todo|alles|fichier|archivo|datei|file)\b)\s*"
    r"(?:(?:and\s+)?(?:all\s+|everything\s+|both\s+)?(?:that\s+)?(?:in|into|at|to|en|dans|nach|als|as)\s+)?"
    r"(?:the\s+|a\s+)?(?:(?:file|datei|fichier|archivo)\s+)?(?:(?:called|named|namens)\s+)?[`'\"]?$",
    re.IGNORECASE,
)
"""What sends a result to a file without a verb: `open todos → TODO.md`, `as a table in docs/debt.md`."""
_PLACING = frozenset(("in", "at", "under", "unter", "dans", "en", "a"))
"""What these join is a place, unless the request writes: `the dead code in src/app.py` leaves that file alone."""
_WRITES = re.compile(
    r"\b(?:writ|sav|stor|put|export|dump|output|creat|mak|generat|record|collect|keep|log|land|go|goes|schreib|speicher|leg|"
    r"exportier|erstell|sammel|écri|enregistr|sauvegard|met[st]?|mettre|crée|escrib|gu[aá]rd|p[oó]n|crea|d[eé]ja|m[eé]te)\w*",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"\b(?:back|since|before|history|older|newer|after|ago|until|range|window)\b", re.IGNORECASE
)
_MANY = re.compile(
    r"\b(?:how many|at most|so many|maximum number|number of (?:rows|results|items|entries))\b", re.IGNORECASE
)
_END = re.compile(
    r"\b(?:before|until|up to(?: and including)?)\s+(?:this|the|that)\s+(?:date|day|time)\b", re.IGNORECASE
)
_FREE = re.compile(
    r"\b(?:question|instruction|what to (?:change|do|write|say|explain|draw))\b", re.IGNORECASE
)
_SOUGHT = re.compile(r"\b(?:look for|search|query|find|contains?)\b", re.IGNORECASE)
_REPLACED = re.compile(r"\btext to replace\b", re.IGNORECASE)
_INSTEAD = re.compile(r"\bin its place\b", re.IGNORECASE)
_ASKED = re.compile(r"\bwhat (?:is|was) asked\b", re.IGNORECASE)
_REPEATS = re.compile(r"\brows that repeat\b", re.IGNORECASE)
_CONTEXT = re.compile(r"\blines of context\b", re.IGNORECASE)
_TITLE = re.compile(r"^(?:the|an?)\s+(?:[\w']+\s+)?(?:headline|title)\b", re.IGNORECASE)
_LINES_LEAST = re.compile(r"\bat least so many lines\b", re.IGNORECASE)
_BETWEEN = re.compile(r"\bcharacter between fields\b", re.IGNORECASE)
_ELEMENTS = re.compile(r"\bname of the elements\b", re.IGNORECASE)
_TITLED = re.compile(
    r"\b(?:titled?|entitled|called|named|headed|headline|heading|titel|überschrift|namens|intitulée?|titre|"
    r"titulad[oa]|título)\s*:?\s*$",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:glob|author|revision|branch|regular expression|condition|aggregate|columns?|rows|message|encoding|character|"
    r"code|auto|name of the model|how the model|JMESPath)\b",
    re.IGNORECASE,
)
"""Text that mentions give, that settings give, or in a notation of its own."""
_NEGATED = r"(?:no|not|without|except|ohne|nicht|keine|sans|sin)\s+(?:\w+\s+)?"
_CHOSEN = (
    "column", "field", "spalte", "colonne", "columna", "only", "just", "nothing but", "nur", "seulement", "uniquement",
    "sólo", "solo",
)  # fmt: skip
"""How columns begin that shall be kept, not grouped or ordered by."""
_SYNONYMS = {"average": "mean", "total": "sum", "unique": "distinct", "bars": "bar", "lines": "line", "curve": "line",
             "size": "size", "biggest": "size", "largest": "size", "big": "size", "heaviest": "size",
             "smallest": "size", "recent": "modified", "recently": "modified", "newest": "modified",
             "golang": "go", "add": "sum", "adds": "sum", "summed": "sum",
             "highest": "max", "lowest": "min", "horizontal": "barh",
             "points": "scatter"}  # fmt: skip
"""Everyday words for values that programs call otherwise."""


@lru_cache(maxsize=8192)
def _says(pattern: re.Pattern[str], description: str) -> bool:
    """Whether a description speaks of what a pattern finds; there are few, and each prompt asks them all."""
    return pattern.search(description) is not None


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the prompt a node may draw on: its clause and the mentions that belong to it."""

    prompt: str
    clause: str
    mentions: Sequence[Mention]
    project: ProjectFacts | None
    now: datetime
    preferences: Mapping[str, Any] = field(default_factory=dict)
    topic: str = ""
    """What the prompt asks about, as a headline; known when the draft is finished."""

    def of(self, *kinds: str) -> list[Mention]:
        """The mentions of these kinds, in order of place."""
        return [m for m in self.mentions if m.kind in kinds]


@dataclass(slots=True)
class Filled:
    """Parameters that the prompt gives, the mentions that they came from, and what is required but not given."""

    params: dict[str, Any] = field(default_factory=dict)
    used: list[Mention] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def fill(spec: FunctionSpec, scope: Scope) -> Filled:
    """The parameters of one node. Values hold to their ParamSpec, or they are left out."""
    filled = Filled()
    revisions = [v for m in scope.of("revision") for v in m.value]
    for name, param in spec.params.items():
        value, used = _value(name, param, spec, scope, revisions)
        is_said = value is not None
        if not is_said and param.required:
            value = scope.preferences.get(name, param.default)
        if value is not None and (fitting := checked(value, param)) is not None:
            if is_said or fitting != param.default:
                filled.params[name] = fitting
            if used is not None:
                filled.used.append(used)
        elif param.required:
            filled.missing.append(name)
    _join_folder_and_pattern(spec, filled, scope)
    _add_up(spec, filled, scope)
    return filled


def _add_up(spec: FunctionSpec, filled: Filled, scope: Scope) -> None:
    """What is measured of groups is added up, where the prompt does not say how."""
    how = spec.params.get("aggregate")
    if how is not None and "sum" in how.choices and "measure" in filled.params:
        filled.params.setdefault("aggregate", aggregate_said(scope.prompt) or "sum")


def is_count(name: str, param: ParamSpec) -> bool:
    """Whether an integer parameter says how many results there shall be."""
    return param.type == "integer" and _says(_MANY, param.description)


def is_file(param: ParamSpec) -> bool:
    """Whether a path parameter takes the place of an input: one file, when nothing is connected."""
    words = param.description.lower()
    return param.type == "path" and "file" in words and "folder" not in words and not param.required


def is_title(param: ParamSpec) -> bool:
    """Whether a text parameter is a headline."""
    return param.type == "string" and _says(_TITLE, param.description.lower())


def is_unknown(name: str, param: ParamSpec) -> bool:
    """Whether nothing here says where the value of a text or number parameter is to be found: it may be any words of
    the prompt, or any number.
    """
    if param.choices:
        return False
    if param.type in ("integer", "number"):
        return not is_count(name, param)
    known = (_ELSEWHERE, _FREE, _SOUGHT, _REPLACED, _INSTEAD)
    text = param.description
    return param.type == "string" and not is_title(param) and not any(_says(p, text) for p in known)


def is_glob(name: str, param: ParamSpec) -> bool:
    """Whether a text parameter is a pattern of file names."""
    return param.type == "string" and "glob" in param.description.lower()


def _value(
    name: str, param: ParamSpec, spec: FunctionSpec, scope: Scope, revisions: list[str]
) -> tuple[Any, Mention | None]:
    """The value of one parameter, and the mention that it came from when it was one."""
    if param.type in ("duration", "date"):
        return _time(param, scope)
    if param.type == "path":
        return _path(param, spec, scope)
    if param.type == "boolean":
        return _boolean(name, param, scope), None
    if param.choices:
        return _choice(param, spec, scope)
    if param.type in ("integer", "number"):
        return _number(name, param, scope)
    if param.type == "list":
        return _list(name, param, scope)
    if param.type == "string":
        return _text(name, param, scope, revisions)
    return None, None


def _time(param: ParamSpec, scope: Scope) -> tuple[Any, Mention | None]:
    """A window in time. Where the parameter takes dates, a date stays one; else it is counted back from now."""
    if not _says(_WINDOW, param.description):
        return None, None
    is_end = _says(_END, param.description)
    mentions = scope.of("until") if is_end else scope.of("duration", "date")
    if not mentions:
        return None, None
    chosen = mentions[0]
    if chosen.kind == "date" and param.type == "duration":
        days = (scope.now.date() - date.fromisoformat(chosen.value)).days
        return f"{max(1, days)}d", chosen
    return chosen.value, chosen


def is_target(mention: Mention, scope: Scope) -> bool:
    """Whether a path names where a result shall go: it follows `to`, `into`, `as` and does not exist."""
    if mention.kind == "folder":
        return False
    exists = scope.project is not None and mention.value in scope.project.files
    return not exists and _is_aimed_at(mention, scope)


def suits(param: ParamSpec, path: str) -> bool:
    """Whether a path parameter is for files that are called so."""
    name = path.rpartition("/")[2].lower()
    return not param.files or any(fnmatchcase(name, pattern) for pattern in param.files)


def _is_aimed_at(mention: Mention, scope: Scope) -> bool:
    """Whether the words before a path send something there."""
    before = scope.prompt[: mention.start]
    joint = _TARGET.search(before)
    if joint is not None and (
        joint.group("joint").lower() not in _PLACING or _WRITES.search(before) is not None
    ):
        return True
    exists = scope.project is not None and mention.value in scope.project.files
    return not exists and len(before.split()) > 1 and _SENT.search(before) is not None


def _path(param: ParamSpec, spec: FunctionSpec, scope: Scope) -> tuple[Any, Mention | None]:
    mentions = scope.of("path", "folder")
    if spec.effects and param.required:
        mentions = [m for m in mentions if m.kind == "path" and _is_aimed_at(m, scope)][-1:]
    else:
        mentions = [m for m in mentions if not is_target(m, scope)]
        text = param.description.lower()
        if "folder" not in text:
            mentions = [m for m in mentions if m.kind == "path"]
        elif "file" not in text:
            mentions = [m for m in mentions if m.kind == "folder"]
        mentions = [m for m in mentions if m.kind == "folder" or suits(param, m.value)]
    return (mentions[0].value, mentions[0]) if mentions else (None, None)


def _boolean(name: str, param: ParamSpec, scope: Scope) -> bool | None:
    """A flag is set by its name in the clause, and unset by its name after a negation."""
    negated, named = _flag(name)
    if negated.search(scope.clause):
        return False
    if param.default is True:
        return None
    if named.search(scope.clause):
        return True
    if _says(_REPEATS, param.description) and ONCE.search(scope.prompt) is not None:
        return True
    if scope.of("order") and re.search(r"\b(?:largest|latest|descending) first\b", param.description):
        return True
    return None


@lru_cache(maxsize=4096)
def _flag(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds a flag's name after a negation, and alone."""
    wanted = r"[\s_-]+".join(re.escape(part) for part in name.split("_"))
    return (
        re.compile(rf"\b{_NEGATED}{wanted}", re.IGNORECASE),
        re.compile(rf"\b{wanted}\b", re.IGNORECASE),
    )


def _choice(param: ParamSpec, spec: FunctionSpec, scope: Scope) -> tuple[Any, Mention | None]:
    """A choice that the prompt names, first in the node's own clause: of several the one said of the Player's own noun,
    as the bar in `lines added as a bar chart`.
    """
    choices = {fold(str(choice)): choice for choice in param.choices}
    for mention in scope.of("language"):
        if mention.value in choices:
            return choices[mention.value], mention
    language = language_of(scope.prompt)
    for text in (scope.clause, scope.prompt):
        if spoken := spoken_choice(text, choices):
            return choices[spoken], None
        # How long is no answer to by what.
        words = without_spans_of_time(text) if "day" in choices else text
        named = [f for f in _forms(words, language) if f in choices]
        # What the prompt says beside the default is what it means.
        named = [f for f in named if choices[f] != param.default] or named
        if named:
            noun = re.escape(spec.player.rpartition("#")[2])
            own = (f for f in named if re.search(rf"\b{re.escape(f)}[\s-]+{noun}", fold(text)))
            return choices[next(own, named[0])], None
        if text == scope.clause and _is_language(param):
            break
    return None, None


@lru_cache(maxsize=256)
def _forms(text: str, language: str) -> tuple[str, ...]:
    """The forms in which the words of a text may name a choice, in order."""
    words = re.findall(r"[^\W_]+", f"{text} {glossed(text, language)}" if language != "en" else text)
    forms = []
    for word in words:
        plain = fold(word)
        forms += [plain, plain.removesuffix("s"), fold(_SYNONYMS.get(word.lower(), ""))]
    # One-letter choices are too easily met by chance.
    return tuple(form for form in forms if len(form) > 1)


def _is_language(param: ParamSpec) -> bool:
    return any(str(choice).lower() in LANGUAGES for choice in param.choices)


def _number(name: str, param: ParamSpec, scope: Scope) -> tuple[Any, Mention | None]:
    """A number whose own words name the parameter, or a count where the parameter says how many."""
    if _says(_CONTEXT, param.description) and (around := lines_around(scope.prompt)) is not None:
        return around, None
    if _says(_LINES_LEAST, param.description) and (least := said.least_lines(scope.prompt)) is not None:
        return least, None
    wanted = {fold(w).rstrip("s") for w in name.split("_")}
    for mention in scope.of("count", "number"):
        near = scope.prompt[max(0, mention.start - 24) : mention.end + 20]
        if {w.rstrip("s") for w in content_words(near)} & wanted:
            return mention.value, mention
    if is_count(name, param):
        counts = scope.of("count")
        if counts:
            return counts[0].value, counts[0]
    return None, None


def _list(name: str, param: ParamSpec, scope: Scope) -> tuple[Any, Mention | None]:
    if isinstance(param.default, (list, tuple)) and param.default:
        named = [
            v for v in param.default if re.search(rf"\b{re.escape(str(v))}s?\b", scope.prompt, re.IGNORECASE)
        ]
        return (named or None), None
    if "program" in param.description.lower() or name == "command":
        return command_of(scope.prompt, scope.clause, scope.of("command"), scope.project), None
    if "column" in param.description.lower():
        return _columns(param, scope)
    return None, None


def _columns(param: ParamSpec, scope: Scope) -> tuple[Any, Mention | None]:
    """Columns to order by, to group by, or to keep."""
    said = param.description.lower()
    own: Use = "order" if "important first" in said else "group" if "groups" in said else "select"
    mentions = [
        m
        for m in scope.of("columns")
        if m.use == own or (not m.use and (own != "select") == _is_by(m, scope))
    ]
    if not mentions:
        return None, None
    chosen = next((m for m in mentions if m.use == own), mentions[0])
    names = [_ungrouped(v) for v in chosen.value] if own == "order" else list(chosen.value)
    return names, chosen


def _ungrouped(column: str) -> str:
    """What rows call `date:month` when they were grouped by it."""
    return column.partition(":")[2] or column


def _is_by(mention: Mention, scope: Scope) -> bool:
    """Whether columns came from `by X` or `per X`, not from `columns X`."""
    words = scope.prompt[mention.start : mention.end].lower()
    return not words.startswith(_CHOSEN)


def _text(name: str, param: ParamSpec, scope: Scope, revisions: list[str]) -> tuple[Any, Mention | None]:
    """Text is filled by what its description says it is."""
    words = param.description.lower()
    if is_glob(name, param):
        return _glob(scope)
    if _says(_BETWEEN, words):
        return said.delimiter(scope.prompt), None
    if _says(_ELEMENTS, words):
        return said.element(scope.prompt), None
    if is_title(param):
        given = [m for m in scope.of("text") if _TITLED.search(scope.prompt[: m.start])]
        if given:
            return given[0].value, given[0]
        if (plain := said.headline(scope.prompt)) is not None:
            return plain, None
        return (scope.topic or None) if _says(_ASKED, words) else None, None
    if "author" in words:
        people = scope.of("person")
        return (people[0].value, people[0]) if people else (None, None)
    if "revision" in words or "branch" in words:
        return (revisions.pop(0), scope.of("revision")[0]) if revisions else (None, None)
    if "regular expression" in words and param.required and not _says(_SOUGHT, words):
        quoted = scope.of("text")
        return (quoted[0].value, quoted[0]) if quoted else (named_pattern(scope.prompt), None)
    if "condition" in words:
        conditions = scope.of("condition")
        return (conditions[0].value, conditions[0]) if conditions else (None, None)
    if "aggregate" in words:
        measures = scope.of("measure")
        return (measures[0].value, measures[0]) if measures else (None, None)
    if "column" in words:
        mentions = [m for m in scope.of("columns") if m.use in ("", "order") and _is_by(m, scope)]
        mentions = mentions if name == "by" else []
        return (_ungrouped(mentions[0].value[0]), mentions[0]) if mentions else (None, None)
    if param.required and (_says(_REPLACED, words) or _says(_INSTEAD, words)):
        pair = exchange(scope.clause) or exchange(scope.prompt)
        return (pair[int(_says(_INSTEAD, words))] if pair is not None else None), None
    if _says(_FREE, words):
        return (scope.prompt.strip() if param.required else None), None
    if "message" in words:
        texts = scope.of("text")
        return (texts[0].value, texts[0]) if texts else (None, None)
    if param.required and _says(_SOUGHT, words):
        exact = scope.of("text", "code")
        if exact:
            return exact[0].value, exact[0]
        return object_phrase(scope.clause) or object_phrase(scope.prompt), None
    return None, None


def _glob(scope: Scope) -> tuple[Any, Mention | None]:
    """A pattern as written, or that of a language's files."""
    globs = scope.of("glob")
    if globs:
        value = globs[0].value
        return (value if "/" in value else f"**/{value}"), globs[0]
    languages = scope.of("language")
    if languages:
        return f"**/*.{LANGUAGES[languages[0].value]}", languages[0]
    return None, None


def _join_folder_and_pattern(spec: FunctionSpec, filled: Filled, scope: Scope) -> None:
    """Where a Player takes a pattern and no folder, the folder becomes part of the pattern."""
    globs = [n for n, p in spec.params.items() if is_glob(n, p)]
    if not globs or any(p.type == "path" for p in spec.params.values()):
        return
    folders = [m for m in scope.of("folder") if not is_target(m, scope)]
    if folders:
        rest = filled.params.get(globs[0], "**")
        filled.params[globs[0]] = f"{folders[0].value}/{rest}"
        filled.used.append(folders[0])


def checked(value: Any, param: ParamSpec) -> Any:
    """The value when it holds to the ParamSpec, brought to its type; None when it does not."""
    if param.type == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return None
    elif param.type == "number":
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
    elif param.type == "boolean":
        if not isinstance(value, bool):
            return None
    elif param.type == "list":
        if not isinstance(value, list):
            return None
    elif param.type != "any" and not isinstance(value, str):
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = param.minimum, param.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            return None
    if param.choices and value not in param.choices:
        return None
    return value
