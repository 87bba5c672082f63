"""Groups, what is measured of them, and orders that a prompt asks for beyond naming a column after `by`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from conductor.params.conditions import Rows
from conductor.params.tables import column_of, dated_column
from conductor.words import content_words, fold

PERIODS = {
    word: period
    for period, words in {
        "day": "day days tag tage jour jours dia dias",
        "week": "week weeks woche wochen semaine semaines semana semanas",
        "month": "month months monat monate mois mes meses",
        "year": "year years jahr jahre annee annees an ano anos",
    }.items()
    for word in words.split()
}
"""What dates are cut down to, in four languages, folded."""
_PERIOD = "|".join(sorted((*PERIODS, "día", "días", "année", "années", "año", "años"), key=len, reverse=True))
_OVER_TIME = re.compile(
    rf"\b(?:over|across)\s+(?:the\s+)?(?P<a>months|weeks|days|years)\b|\b(?P<b>{_PERIOD})\s+(?:by|a|à|par|für|por|after)\s+(?P=b)\b|"
    rf"\b(?:cada|chaque|jede[nrms]?)\s+(?P<c>{_PERIOD})\b|\bau\s+fil\s+des\s+(?P<d>mois|semaines|jours|années)\b",
    re.IGNORECASE,
)
_EACH = re.compile(
    r"\b(?:jede[rsnm]?|chaque|cada|selon|según|each)\s+(?:(?:des|les|las|los)\s+)?(?!(?:once|one|other|time|of|eine[nrs]?|une?|una?|vez)\b)"
    r"(?P<v>[^\W\d]\w{2,40})",
    re.IGNORECASE,
)
_WHICH = re.compile(
    r"\b(?:which|what|welche[rsn]?|quel(?:le)?s?|qué|cuál(?:es)?)\s+(?:\w{1,12}\s+)?(?P<v>[^\W\d]\w{2,40})\s+(?:[^\W\d]\w*\s+){1,4}?"
    r"(?:(?:am|die|das|the|le|la|el|los|las)\s+)?(?:most|fewest|least|meisten|wenigsten|plus|moins|más|menos)\b",
    re.IGNORECASE,
)
"""`which service throws most errors`: what is counted for."""
_WITH_MOST = re.compile(
    r"(?<!\w)(?P<v>[^\W\d]\w{2,40})\s+(?:with|mit|avec|con)\s+(?:the\s+|den\s+|le\s+|los\s+|las\s+)?(?:most|meisten|plus\s+de|más)\s+"
    r"(?P<m>[^\W\d]\w{2,40})",
    re.IGNORECASE,
)
_BY = r"(?:by|per|each|for\s+each|pro|je|par|por|nach|over|mes\s+a|mois\s+par|month\s+by|selon|según)"
_MONEY = (
    r"turnover|revenues?|sales|umsatz|umsätze|erlöse?|einnahmen|ventes|recettes|chiffre\s+d['’]affaires|ventas|"
    r"ingresos|facturación"
)
_MONEY_BY = re.compile(rf"\b(?:{_MONEY})(?:\s+(?:totale?s?|gesamt))?\s+{_BY}\b", re.IGNORECASE)
_BEFORE_BY = re.compile(rf"(?<!\w)(?P<v>[^\W\d]\w{{2,40}})\s+{_BY}\s", re.IGNORECASE)
_COLUMN_NAMED = re.compile(
    r"\(\s*(?:column|field|spalte|feld|colonne|champ|columna|campo)\s+(?P<v>[^\W\d]\w{0,40})", re.IGNORECASE
)
"""`revenue per month (column amount)`: the column that is meant by what was said."""
_AMOUNTS = (
    "amount",
    "revenue",
    "turnover",
    "sales",
    "total",
    "sum",
    "price",
    "value",
    "betrag",
    "umsatz",
    "montant",
    "importe",
)
"""Columns that hold money, likeliest first."""
_SHARED = re.compile(
    r"\b(?:share|shares|percentage|anteil|part)\s+(?:of|an|des?)\s+(?:the\s+|all\s+|den\s+)?(?P<v>[^\W\d]\w{2,40})",
    re.IGNORECASE,
)
_HIGH = (
    r"high(?:est)?|big(?:gest)?|larg(?:est|e)|strong(?:est)?|most|worst|best|greatest|longest|busiest|höchste\w*|größte\w*|meiste\w*|"
    r"stärkste\w*|schlimmste\w*|beste\w*"
)
_LOW = r"lowest|smallest|fewest|least|weakest|shortest|niedrigste\w*|kleinste\w*|wenigste\w*|kürzeste\w*"
_LATE = r"newest|latest|most\s+recent(?:ly\s+\w+)?|recent|neueste\w*|jüngste\w*|aktuellste\w*"
_EARLY = r"oldest|earliest|älteste\w*|früheste\w*"
_TOP = r"(?:first|on\s+top|at\s+the\s+top|zuerst|oben|ganz\s+oben|zuoberst)"
_GAP = r"\s+(?:[^\W\d]\w*\s+){0,2}?"
_DOWN = re.compile(
    rf"\b(?:{_HIGH}){_GAP}{_TOP}\b|\b(?:von\s+(?:groß|gross|viel|oben|hoch)\s+(?:nach|zu)\s+(?:klein|wenig|unten|niedrig)|"
    r"du\s+plus\s+(?:haut|grand|gros|élevé|fort)\s+au\s+(?:plus\s+(?:bas|petit|faible)|moins\s+\w+)|de\s+mayor\s+a\s+menor|"
    r"de\s+más\s+a\s+menos|(?:les\s+plus\s+(?:grands|gros|hauts|élevés)|le\s+plus\s+(?:grand|gros|haut|élevé))\s+(?:en\s+haut|d['’]abord|"
    r"en\s+premier)|(?:los|las|el|la)\s+(?:mayor(?:es)?|más\s+(?:altos?|altas?|grandes?))\s+(?:primero|arriba))\b",
    re.IGNORECASE,
)
_UP = re.compile(
    rf"\b(?:{_LOW}){_GAP}{_TOP}\b|\b(?:von\s+klein\s+(?:nach|zu)\s+groß|du\s+plus\s+(?:bas|petit|faible)\s+au\s+plus\s+(?:haut|grand|fort)|"
    r"de\s+menor\s+a\s+mayor|de\s+menos\s+a\s+más)\b",
    re.IGNORECASE,
)
_LATEST = re.compile(
    rf"\b(?:{_LATE}){_GAP}{_TOP}\b|\bdu\s+plus\s+récent\s+au\s+plus\s+ancien\b|\b(?:les\s+)?plus\s+récents?\s+(?:en\s+haut|d['’]abord|"
    r"en\s+premier)|\bprimero\s+(?:los|las|el|la)\s+más\s+(?:recientes?|nuev[oa]s?)|\bmás\s+recientes?\s+(?:primero|arriba)",
    re.IGNORECASE,
)
_OLDEST = re.compile(
    rf"\b(?:{_EARLY}){_GAP}{_TOP}\b|\b(?:les\s+)?plus\s+anciens?\s+(?:en\s+haut|d['’]abord|en\s+premier)|"
    r"\bprimero\s+(?:los|las|el|la)\s+más\s+(?:antigu[oa]s?|viej[oa]s?)|\bmás\s+antigu[oa]s?\s+(?:primero|arriba)",
    re.IGNORECASE,
)
_HOW = {
    "mean": r"average|mean|durchschnitt\w*|mittelwert\w*|moyenn?e?s?|promedios?|media",
    "median": r"median\w*|médiane?s?|mediana",
    "sum": r"sum(?:me)?|total\w*|somme|suma|gesamt\w*|add(?:s|ing)?\s+up",
}
_HOWS = {how: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for how, words in _HOW.items()}

Use = Literal["", "group", "order", "select"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a prompt says of columns: their names, and where; `use` is what they are for, where that is sure."""

    columns: tuple[str, ...]
    use: Use
    start: int
    end: int


def groups(text: str, rows: Rows) -> list[Said]:
    """Columns whose values make groups, where the prompt says so otherwise than by `by X`."""
    found = []
    for match in _OVER_TIME.finditer(text):
        period = PERIODS[fold(match[match.lastgroup or 0])]
        found.append(Said((period,), "group", *match.span()))
    for match in _EACH.finditer(text):
        if fold(match["v"]) not in PERIODS and content_words(match["v"]):
            found.append(Said((match["v"].lower(),), "group", *match.span()))
    if rows.is_table and not found:
        for match in (*_WHICH.finditer(text), *_WITH_MOST.finditer(text)):
            if content_words(match["v"]) and (
                not rows.columns or column_of(match["v"], rows.columns, rows.language)
            ):
                found.append(Said((match["v"].lower(),), "group", *match.span("v")))
    return found


def measure(text: str, rows: Rows) -> tuple[str, int, int] | None:
    """The column that is added up for groups, where the prompt names it otherwise than by `sum of X`."""
    if (match := _COLUMN_NAMED.search(text)) is not None:
        return match["v"].lower(), *match.span("v")
    if not rows.columns:
        return None
    for match in (*_BEFORE_BY.finditer(text), *_SHARED.finditer(text), *_WITH_MOST.finditer(text)):
        said = match["m"] if "m" in match.groupdict() else match["v"]
        if (column := column_of(said, rows.columns, rows.language)) and column != dated_column(rows.columns):
            return column, *match.span()
    if (money := _MONEY_BY.search(text)) is not None and (column := amount_column(rows.columns)):
        return column, *money.span()
    return None


def amount_column(columns: Sequence[str]) -> str:
    """The column that by its name holds money; empty when there is none."""
    folded = {fold(column): column for column in columns}
    return next((folded[name] for name in _AMOUNTS if name in folded), "")


def aggregate_said(text: str) -> str:
    """How values are put together by the words of a prompt; empty where it does not say."""
    return next((how for how, said in _HOWS.items() if said.search(text) is not None), "")


def orders(text: str) -> list[tuple[Literal["measure", "time"], bool, int, int]]:
    """Orders that name no column: by what was measured or by time, whether the largest or latest comes first, place."""
    found: list[tuple[Literal["measure", "time"], bool, int, int]] = []
    for match in _LATEST.finditer(text):
        found.append(("time", True, *match.span()))
    for match in _OLDEST.finditer(text):
        found.append(("time", False, *match.span()))
    if found:
        return found
    for match in _DOWN.finditer(text):
        found.append(("measure", True, *match.span()))
    for match in _UP.finditer(text):
        found.append(("measure", False, *match.span()))
    return found


def in_table(columns: Sequence[str], rows: Rows) -> tuple[str, ...]:
    """Columns of a named table, periods as its dates cut down to them: `month` is `date:month`."""
    dated = dated_column(rows.columns) if rows.columns else "date"

    def named(column: str) -> str:
        period = PERIODS.get(fold(column))
        if not rows.is_table or period is None or not dated or column_of(column, rows.columns, rows.language):
            return column
        return f"{dated}:{period}"

    return tuple(map(named, columns))
