"""Conditions on columns that a prompt states, in the language of `where`: `size > 1000 and status == 'open'`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conductor.params.numbers import NUMBER_WORDS as NUMBERS
from conductor.params.tables import column_of, dated_column
from conductor.words import content_words, fold


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAID = {
    ">": "over above,above,over,more than,more then,greater than,exceeds,exceeding,exceed,beyond,"
    "longer than,larger than,bigger than,higher than,slower than,über,ueber,mehr als,größer als,"
    "höher als,länger als,plus de,plus grande? que,plus longue?s? que,supérieure?s? à,dépasse,"
    "dépassent,dépassant,au-dessus de,au delà de,más de,mayor(?:es)? (?:que|a|de),superior(?:es)? a,"
    "supera,superan,por encima de,más largas? que,más largos? que",
    "<": "under,below,less than,less then,fewer than,fewer then,shorter than,smaller than,lower than,unter,"
    "weniger als,kleiner als,kürzer als,niedriger als,moins de,plus petite? que,inférieure?s? à,"
    "au-dessous de,en dessous de,menos de,menor(?:es)? (?:que|a|de),inferior(?:es)? a,por debajo de",
    ">=": "at least,no less than,mindestens,au moins,al menos,por lo menos,como mínimo",
    "<=": "at most,no more than,höchstens,au plus,como mucho,como máximo",
    "==": "equals?,equal to,gleich,égale? à,igual a",
}
"""How people compare, in four languages; each way is a pattern."""
_WAYS = sorted(
    ((way, sign) for sign, ways in _SAID.items() for way in ways.split(",")), key=lambda p: -len(p[0])
)
_OP = r"(?:==|!=|<>|>=|<=|≥|≤|>|<|" + "|".join(way.replace(" ", r"\s+") for way, _ in _WAYS) + ")"
_SIGNS = {"≥": ">=", "≤": "<=", "<>": "!="}
_WORDS_OF_NUMBERS = "|".join(sorted(NUMBERS, key=len, reverse=True))
_FIGURE = r"-?\d{1,12}(?:[.,]\d{1,6})?"
_QUOTED = r"'[^'\n]{0,99}'|\"[^\"\n]{0,99}\"|«[^»\n]{0,99}»|“[^”\n]{0,99}”"
_IS = (
    r"(?:(?:is|are|was|were|of|ist|sind|war|liegt|liegen|est|sont|de|es|son|sea|sean)\s{1,3})?"
    r"(?:(?:an?|el|la|le)\s{1,3})?"
)
_COMPARED = re.compile(
    rf"(?<![\w.-])(?P<column>[^\W\d]\w{{0,40}})\s{{0,3}}{_IS}(?P<op>{_OP})\s{{0,3}}"
    rf"(?P<value>{_FIGURE}(?![\w-])|{_QUOTED}|(?:{_WORDS_OF_NUMBERS})(?!\w))(?:\s?(?:%|€|\$))?(?=(?:\s{{1,2}}(?P<behind>[^\W\d]\w{{0,20}}))?)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    rf"(?<!\w)(?P<op>{_OP})\s{{1,3}}(?P<value>{_FIGURE}|{_WORDS_OF_NUMBERS})(?![.,]?\d)\s{{0,3}}"
    r"(?P<what>[^\W\d]\w{0,40})(?:\s{1,2}(?P<more>[^\W\d]\w{0,40}))?",
    re.IGNORECASE,
)
_EQUAL = re.compile(
    rf"(?<![\w.\-/$])(?P<column>[^\W\d]\w{{0,40}})\s{{0,2}}(?P<op>==?|!=)\s{{0,2}}(?P<value>{_QUOTED}|[\w.@+-]{{1,60}}(?<![.]))",
    re.IGNORECASE,
)
_EACH_OTHER = re.compile(
    r"(?<![\w.<>-])(?P<a>[^\W\d]\w{0,40})\s{0,2}(?P<op><=|>=|<|>)\s{0,2}(?P<b>[^\W\d]\w{0,40})(?![\w.<>])"
)
"""`paid < total`: two columns."""
_WHOSE = re.compile(
    r"\b(?:where|whose|wo|deren|dessen|dont|où|donde|cuy[oa]s?)\s{1,3}(?:(?:the|der|die|das|le|la|el|los|las)\s{1,3}|l['’])?"
    r"(?P<column>[^\W\d]\w{0,40})\s{1,3}(?:is|equals|ist|est|es|sea|=)\s{1,3}(?P<value>[^\W_][\w.-]{0,40}(?<![.]))"
    r"(?!\s+(?:than|then|als|que|de)\b)",
    re.IGNORECASE,
)
_ONLY = (
    r"(?:only|just|take|keep|nur|solo|sólo|solamente|seulement|uniquement|juste|garde[rz]?|behalte|from|for|of|in|with|mit|aus|"
    r"avec|pour|para|con|de|del|zu|von)"
)
_LABELLED = re.compile(
    rf"(?:(?P<lead>\b{_ONLY})\s{{1,3}})?(?:(?:the|der|die|das|dem|den|le|la|el)\s{{1,3}})?(?P<column>\b[^\W\d]\w{{2,40}})\s{{1,2}}"
    r"(?P<value>[^\W_][\w-]{0,40})(?![\w./@-]*[\w/@])",
    re.IGNORECASE,
)
_ONLY_LEADS = _words(
    "only just take keep nur solo sólo solamente seulement uniquement juste garde garder gardez behalte"
)
_LABELS = _words(
    "status state level severity region country category type priority team tier department stato zustand "
    "stufe land kategorie typ prioritat abteilung statut etat niveau pays categorie priorite equipe estado "
    "nivel pais categoria tipo prioridad equipo departamento"
)
"""Columns that hold one word of a few, where the table's own columns are not known."""
_FORMS = _words(
    "markdown csv json xml excel html svg png pdf table tabelle tableau tabla chart top and und et y or oder "
    "ou o names name column columns field fields values value spalte spalten colonne colonnes columna "
    "columnas in is are ist est es from to as per by pro je par por nach with mit avec con only first last"
)
"""Words behind a column that are none of its values."""
_EMPTY = r"(?:empty|blank|missing|null|leer|vide|vides|vac[ií][oa]s?)"
_IS_EMPTY = re.compile(
    r"(?<!\w)(?P<column>[^\W\d]\w{0,40})\s{1,3}(?:(?P<not>is\s+not|are\s+not|isn['’]t|aren['’]t|ist\s+nicht|sind\s+nicht|n['’]est\s+pas|"
    rf"no\s+est[áée]|no\s+es|nicht)|is|are|ist|sind|est|es|est[áée])?\s{{0,3}}(?P<empty>{_EMPTY})"
    r"(?:\s+(?:ist|sind|est))?\b",
    re.IGNORECASE,
)
_EMPTY_FIELD = re.compile(
    r"\b(?:empty|missing|leere[mnrs]?|fehlende[mnrs]?)\s{1,3}(?:(?:field|feld|column|spalte)\s{1,3})?(?P<a>[^\W\d]\w{0,40})|"
    r"\b(?:campo|champ)\s{1,3}(?P<b>[^\W\d]\w{0,40})\s{1,3}(?:vide|vac[ií]o)\b|"
    r"\b(?:without|ohne|sans|sin|lacking)\s{1,3}(?:(?:an?|eine?n?|une?|any)\s{1,3})?(?P<c>[^\W\d]\w{0,40})",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\b(?:negative[mnrs]?|négati(?:f|ve)s?)\s{1,3}(?P<a>[^\W\d]\w{0,40})|(?<!\w)(?P<b>[^\W\d]\w{0,40})\s{1,3}(?:is\s+|ist\s+|est\s+|es\s+)?"
    r"(?:negative|negativ|négatif|negativ[oa])\b",
    re.IGNORECASE,
)
_BYTES = {"b": 1, "byte": 1, "bytes": 1, "kb": 1000, "ko": 1000, "kib": 1024, "mb": 10**6, "mo": 10**6, "mib": 1024**2,
          "gb": 10**9, "go": 10**9, "gib": 1024**3}  # fmt: skip
_SECONDS = {"second": 1, "seconds": 1, "sec": 1, "s": 1, "sekunde": 1, "sekunden": 1, "seconde": 1, "secondes": 1,
            "segundo": 1, "segundos": 1}  # fmt: skip
_TIMES = _words(
    "minute minutes minuten minutos hour hours stunde stunden heure heures hora horas day days tag tage tagen "
    "jour jours dia dias week weeks woche wochen semaine semaines semana semanas month months monat monate "
    "monaten mois mes meses year years jahr jahre jahren an ans annee annees ano anos percent prozent "
    "pourcent ms"
)
_UNITS = _TIMES | _BYTES.keys() | _SECONDS.keys()
_COMPARATIVE = re.compile(
    r"(?:er|largas?|largos?|grande?|longue?s?|petite?)\s+(?:than|als|que)$", re.IGNORECASE
)
_RESULTS = _words(
    "row rows entry entries result results item items zeile zeilen eintrage ergebnisse lignes resultats filas "
    "resultados"
)
"""Of these `at most 10` is a count."""
_BARE = _words("having have has that who which of for with mit haben avec ayant con de")
"""Words before a comparison that are no column, though content words."""
_BETWEEN = re.compile(
    r"[\s,]*(?P<joint>and|or|und|oder|et|ou|y|o|&)?[^\S\n]*(?:[^\W\d]+\s+){0,4}", re.IGNORECASE
)
_OR = frozenset(("or", "oder", "ou", "o"))


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression in the language of `where`, and where the prompt says it."""

    expression: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of the rows that a prompt speaks of: whether it names their table, its columns, its language."""

    is_table: bool = False
    columns: Sequence[str] = ()
    language: str = "en"

    def column(self, *words: str) -> str:
        """The column that words name, as said where no columns are known; empty when there is none."""
        for count in range(len(words), 0, -1):
            if any(not content_words(word) or fold(word) in _BARE for word in words[:count]):
                continue
            if not self.columns:
                if count == 1:
                    return words[0].lower()
                continue
            if found := column_of("_".join(words[:count]), self.columns, self.language):
                return found
        return ""


def conditions(text: str, rows: Rows) -> list[Condition]:
    """The conditions of a prompt, none overlapping another.

    `text` has spaces where it names paths. A word is a column when the table has it, if its columns are known.
    """
    found: list[Condition] = []
    for condition in _each(text, rows):
        if all(condition.end <= other.start or condition.start >= other.end for other in found):
            found.append(condition)
    return found


def _each(text: str, rows: Rows) -> Iterator[Condition]:
    yield from _amounts(text, rows, surely=True)
    for match in _COMPARED.finditer(text):
        column = rows.column(match["column"])
        if column and fold(match["behind"] or "") not in _UNITS:
            expression = f"{column} {_sign(match['op'])} {_literal(match['value'])}"
            yield Condition(expression, match.start(), match.end("value"))
    yield from _amounts(text, rows, surely=False)
    yield from _empties(text, rows)
    for match in _NEGATIVE.finditer(text) if rows.is_table else ():
        if column := rows.column(match["a"] or match["b"]):
            yield Condition(f"{column} < 0", *match.span())
    for match in _WHOSE.finditer(text):
        column = rows.column(match["column"])
        value = match["value"]
        if column and (value.isupper() or (content_words(value) and fold(value) not in _FORMS)):
            yield Condition(f"{column} == {_literal(value)}", *match.span())
    if rows.is_table:
        for match in _EACH_OTHER.finditer(text):
            if (first := rows.column(match["a"])) and (second := rows.column(match["b"])):
                yield Condition(f"{first} {match['op']} {second}", *match.span())
        for match in _EQUAL.finditer(text):
            if column := rows.column(match["column"]):
                sign = "!=" if match["op"] == "!=" else "=="
                yield Condition(f"{column} {sign} {_literal(match['value'])}", *match.span())
        yield from _labelled(text, rows)


def _amounts(text: str, rows: Rows, *, surely: bool) -> Iterator[Condition]:
    """`less than 3 units`, `plus de 500 ko`, `longer than 2 seconds`.

    `surely` where the word behind is what is counted: `price above 50 sorted by name` speaks of the word before.
    """
    for match in _AMOUNT.finditer(text):
        sign, what, more = _sign(match["op"]), match["what"], match["more"] or ""
        if surely and not (_COMPARATIVE.search(match["op"]) or what.endswith("s") or rows.columns):
            continue
        end = match.end("what")
        unit = fold(what)
        if unit in _RESULTS and sign in ("<=", "=="):
            continue
        value = _literal(match["value"])
        column = ""
        if unit in _BYTES and not rows.is_table:
            column, value = "bytes", str(round(float(value) * _BYTES[unit]))
        elif rows.columns and (column := _of_unit(what, more, rows)):
            end = match.end()
        elif unit in _SECONDS:
            column = "seconds" if not rows.columns else ""
        elif unit not in _TIMES and unit not in _BYTES:
            column = rows.column(what)
        if column:
            yield Condition(f"{column} {sign} {value}", match.start(), end)


def _of_unit(what: str, more: str, rows: Rows) -> str:
    """The column of a known table that what was counted names: `25 days left` is `days_left`."""
    if more and (column := column_of(f"{what}_{more}", rows.columns, rows.language)):
        return column
    if more and (column := column_of(f"{more}_{what}", rows.columns, rows.language)):
        return column
    return rows.column(what)


def _empties(text: str, rows: Rows) -> Iterator[Condition]:
    for match in _IS_EMPTY.finditer(text):
        column = rows.column(match["column"])
        if column and (rows.is_table or rows.columns):
            sign = "not in" if match["not"] else "in"
            yield Condition(f"{column} {sign} (None, '')", *match.span())
    for match in _EMPTY_FIELD.finditer(text) if rows.columns or rows.is_table else ():
        said = match["a"] or match["b"] or match["c"]
        column = rows.column(said) if rows.columns or match["c"] is None else ""
        if column:
            yield Condition(f"{column} in (None, '')", *match.span())


def _labelled(text: str, rows: Rows) -> Iterator[Condition]:
    """A column with its value behind it: `region North`, `only level error`."""
    place = 0
    while (match := _LABELLED.search(text, place)) is not None:
        place = match.start("column") + 1
        said, value, lead = match["column"], match["value"], (match["lead"] or "").lower()
        plain = fold(said)
        known = rows.column(said) if rows.columns else (plain if plain in _LABELS else "")
        is_exact = plain in _LABELS or fold(known) == plain
        if not known or not is_exact or fold(value) in _FORMS:
            continue
        if not value[0].isupper() and not content_words(value):
            continue
        if rows.columns and column_of(value, rows.columns, rows.language):
            continue
        if value[0].isupper() or (lead in _ONLY_LEADS and not value.isdigit()):
            place = match.end()
            yield Condition(f"{known} == {_literal(value)}", match.start("column"), match.end())


def _sign(op: str) -> str:
    said = " ".join(op.lower().split())
    if not any(letter.isalpha() for letter in said):
        return _SIGNS.get(said, said)
    return next(sign for way, sign in _WAYS if re.fullmatch(way, said, re.IGNORECASE))


def _literal(value: str) -> str:
    """A value as the language of conditions writes it."""
    word = fold(value)
    if word in ("true", "false"):
        return word.capitalize()
    if word in NUMBERS or value.lower() in NUMBERS:
        return str(NUMBERS.get(value.lower(), NUMBERS.get(word)))
    if re.fullmatch(_FIGURE, value):
        return (
            value.replace(",", ".") if not re.fullmatch(r"-?\d{1,3},\d{3}", value) else value.replace(",", "")
        )
    inner = value[1:-1] if value[0] in "'\"«“" and len(value) > 1 else value
    return repr(inner)


def joined(text: str, found: Sequence[Condition]) -> list[Condition]:
    """Conditions in order, as one where only `and`, `or` or a comma stands between."""
    all_of: list[Condition] = []
    for condition in sorted(found, key=lambda c: (c.start, c.end)):
        last = all_of[-1] if all_of else None
        if last is not None and condition.start < last.end:
            continue
        between = _BETWEEN.fullmatch(text[last.end : condition.start]) if last is not None else None
        if last is not None and between is not None:
            joint = "or" if (between["joint"] or "").lower() in _OR else "and"
            all_of[-1] = Condition(
                f"{last.expression} {joint} {condition.expression}", last.start, condition.end
            )
        else:
            all_of.append(condition)
    return all_of


_WHEN = re.compile(
    r"\b(?P<word>after|since|before|until|till|in|from|of|on|nach|seit|ab|vor|bis|vom|am|von|aus|après|depuis|avant|jusqu['’]à|"
    r"du|le|en|de|después\s+de|desde|antes\s+de|hasta|del?)\s{1,3}(?:(?:el|dem|the|le|year|jahr)\s{1,3})?"
    r"(?P<year>(?:19|20)\d\d)(?![\w.-])",
    re.IGNORECASE,
)
_AFTER = frozenset(("after", "nach", "après", "después"))
_FROM = frozenset(("since", "from", "ab", "seit", "depuis", "desde"))
_BEFORE = frozenset(("before", "vor", "avant", "antes"))
_TO = frozenset(("until", "till", "bis", "jusqu'à", "jusqu’à", "hasta"))
_OF_COMMITS = re.compile(r"\b(?:commit\w*|branch\w*|git|repo\w*|zweige?|branches|ramas?)\b", re.IGNORECASE)

_LAST_COMMIT = re.compile(
    r"\b(?:last|latest|newest|letzte[rns]?|dernier|último)\s+commit\w*\s+(?:[^\W\d]+\s+){0,3}$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Day:
    """A date that a prompt names: ISO, whether it ends a span, and its place."""

    date: str
    is_end: bool
    start: int
    end: int


def in_time(text: str, days: Sequence[Day], rows: Rows) -> list[Condition]:
    """Conditions on when the rows of a named table are of: `after 2026-01-31`, `books after 2010`.

    `days` are the dates that the text names; nothing of git's is one.
    """
    if _OF_COMMITS.search(text) is not None:
        return [] if rows.is_table else _of_last_commits(text, days)
    if not rows.is_table:
        return []
    dated = dated_column(rows.columns) if rows.columns else "date"
    found: list[Condition] = []
    if not dated and rows.columns and not column_of("year", rows.columns, rows.language):
        return []
    ends = any(day.is_end and day.start - 12 < other.end <= day.start for day in days for other in days)
    for day in days:
        start, end = day.start, day.end
        words = text[start:end].split()
        if _WHEN.search(text[start:end]) is not None or not re.search(r"\d", text[start:end]):
            continue
        if dated and ends and len(days) == 2:
            found.append(Condition(f"{dated} {'<=' if day.is_end else '>='} '{day.date}'", start, end))
            continue
        word = words[0].lower() if len(words) > 1 else text[:start].rstrip().rpartition(" ")[2].lower()
        if dated:
            found.append(Condition(_of_day(dated, word, day.date), start, end))
    for match in _WHEN.finditer(text):
        word, year = match["word"].lower().split()[0], int(match["year"])
        if (column := column_of("year", rows.columns, rows.language)) or not rows.columns:
            sign = _sign_of_time(word)
            found.append(Condition(f"{column or 'year'} {sign} {year}", *match.span()))
        elif dated:
            said = f"{dated} >= '{year + 1}'" if word in _AFTER else _of_day(dated, word, str(year))
            said = f"{dated} < '{year + 1}'" if word in _TO else said
            found.append(Condition(said, *match.span()))
    return found


def _of_last_commits(text: str, days: Sequence[Day]) -> list[Condition]:
    """`whose last commit is before 2026-04-01`: said of branches and authors, which no parameter limits in time."""
    found = []
    for day in days:
        start, end = day.start, day.end
        before = _LAST_COMMIT.search(text[max(0, start - 60) : start])
        sign = _sign_of_time(text[start:end].split()[0].lower())
        if before is not None and sign != "==":
            found.append(Condition(f"last_commit {sign} '{day.date}'", start - len(before.group()), end))
    return found


def _sign_of_time(word: str) -> str:
    if word in _AFTER:
        return ">"
    if word in _FROM and word != "from":
        return ">="
    return "<" if word in _BEFORE else "<=" if word in _TO else "=="


def _of_day(column: str, word: str, day: str) -> str:
    sign = _sign_of_time(word)
    return f"starts_with({column}, '{day}')" if sign == "==" else f"{column} {sign} '{day}'"
