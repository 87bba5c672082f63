"""Times that a prompt mentions: durations back from now, dates, and ends of a span."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

_WORDS = {
    "d": "day days tag tage tagen jour jours día días dia dias",
    "w": "week weeks woche wochen semaine semaines semana semanas",
    "mo": "month months monat monate monaten monats mois mes meses",
    "q": "quarter quarters quartal quartale quartalen trimestre trimestres",
    "y": "year years jahr jahre jahren jahres an ans année années año años",
    "h": "hour hours stunde stunden heure heures hora horas",
    "m": "minute minutes minuten minutos",
}
_UNIT = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_DAYS = {"d": 1, "w": 7, "mo": 30, "q": 91, "y": 365}
_UNITS = "|".join(sorted(_UNIT, key=len, reverse=True))
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10,
    "twelve": 12, "thirty": 30, "couple of": 2, "few": 3, "several": 3, "half a": 0.5, "ein": 1, "eine": 1,
    "einem": 1, "einer": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "zehn": 10, "zwölf": 12,
    "halben": 0.5, "un": 1, "une": 1, "una": 1, "deux": 2, "trois": 3, "six derniers": 6, "dos": 2, "tres": 3,
    "seis": 6, "half": 0.5,
}  # fmt: skip
_NUMBER = r"(?:\d+|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"

_COUNTED = re.compile(
    rf"(?<!mes )(?<!semana )(?<!año )(?<!día )(?<!dia )"
    rf"\b(?:(?:over|during|within|in|for|since|von|in|seit|während|depuis|sur|pendant|en|durante|of|from)\s+)?"
    rf"(?:the\s+|den\s+|der\s+|dem\s+|les\s+|los\s+|las\s+|le\s+|el\s+)?"
    rf"(?:(?P<last>last|past|previous|letzten|letzte|vergangenen|vorigen|derniers|dernières|últimos|últimas|"
    rf"ultimos|ultimas)\s+)?(?P<n>{_NUMBER})\s+(?P<last2>last\s+|letzten\s+|derniers\s+|dernières\s+|últimos\s+)?"
    rf"(?P<unit>{_UNITS})\b(?P<ago>\s+ago|\s+back)?",
    re.IGNORECASE,
)
_LAST = re.compile(
    rf"\b(?P<since>since|seit|depuis|desde)?\s*(?:in\s+|of\s+|im\s+|du\s+|del\s+|over\s+|during\s+|from\s+)?(?:the\s+|dem\s+|der\s+|le\s+|la\s+|el\s+)?"
    rf"(?P<which>last|past|previous|letzte[nmrs]?|vergangene[nmrs]?|dernier|dernière|último|última|this|diese[nmrs]?|ce|cette|este|esta)\s+"
    rf"(?P<unit>{_UNITS})\b(?P<after>\s+(?:dernier|dernière|pasado|pasada))?",
    re.IGNORECASE,
)
_COMPACT = re.compile(r"(?<![\w.])(?P<n>\d{1,4})\s?(?P<unit>d|w|mo|y|h)(?![\w.])")
_DAY_WORDS = {
    "today": 0,
    "heute": 0,
    "aujourd'hui": 0,
    "hoy": 0,
    "yesterday": 1,
    "gestern": 1,
    "hier": 1,
    "ayer": 1,
}
_DAY_WORD = re.compile(r"\b(?:" + "|".join(_DAY_WORDS) + r")\b", re.IGNORECASE)
_ISO = re.compile(r"(?<![\w-])\d{4}-\d{2}(?:-\d{2})?(?![\w-])")
_FIGURES = re.compile(r"(?<![\w./-])\d{1,2}(?:/\d{1,2}/|\.\d{1,2}\.)(?:\d{4}|\d{2})(?![\w/-])")
_YEAR = re.compile(
    r"\b(?P<word>in|since|during|seit|im jahr|depuis|en|desde)\s+(?P<year>(?:19|20)\d{2})\b", re.IGNORECASE
)
_MONTHS = (
    r"jan\w*|feb\w*|mar\w*|mär\w*|apr\w*|may|mai|jun\w*|jul\w*|juin|juil\w*|aug\w*|sep\w*|oct\w*|okt\w*|nov\w*|dec\w*|"
    r"dez\w*|déc\w*|dic\w*|févr?\w*|ene(?:ro)?|avril|mayo|abril|ago(?:sto)?|août"
)
_DATE = (
    r"(?:(?:the|dem|der|den|vom|le|el|last|letzte[nm]?)\s+)?"
    r"(?:(?:\d{1,2}(?:st|nd|rd|th|er|º|\.)?|first|ersten|premier|primero)\s+(?:of\s+|de\s+)?)?"
    rf"(?:{_MONTHS}|monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|"
    r"mittwoch|donnerstag|freitag|samstag|sonntag|christmas)\.?(?:\s+\d{1,2}(?:st|nd|rd|th)?(?!\d))?(?:,?\s+(?:de\s+)?\d{4})?"
)
_ORDINAL = re.compile(
    r"\b(?:first|ersten|premier|primero)\s+(?:of\s+|de\s+)?|(?<=\d)(?:er|º)\b", re.IGNORECASE
)
_ARTICLE = re.compile(r"^(?:the|dem|der|den|vom|le|el)\s+", re.IGNORECASE)
_WRITTEN = rf"(?:\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}(?:/\d{{1,2}}/|\.\d{{1,2}}\.)\d{{4}}|{_DATE})"
_NAMED = re.compile(
    r"\b(?P<word>since|after|from|seit|ab|nach|depuis|desde|until|till|before|bis|vor|avant|jusqu'à|hasta|antes de)\s+"
    rf"(?P<date>{_DATE})(?!\w)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    rf"\b(?:between|from|zwischen|von|vom|entre|de|du|del|desde)\s+(?:el\s+|le\s+|dem\s+)?(?P<first>{_WRITTEN})\s+"
    rf"(?:and|to|until|und|bis|zum|bis\s+zum|et|à|au|y|al?|hasta)\s+(?:el\s+|le\s+|dem\s+)?(?P<last>{_WRITTEN})(?!\w)",
    re.IGNORECASE,
)
_UNTIL_WORDS = frozenset(("until", "till", "before", "bis", "vor", "avant", "jusqu'à", "hasta", "antes"))


@dataclass(frozen=True, slots=True)
class TimeMention:
    """A time in the prompt. `duration` is back from now (`90d`), `date` and `until` are ISO dates."""

    kind: Literal["duration", "date", "until"]
    value: str
    start: int
    end: int
    others: tuple[str, ...] = ()
    """Dates that the same figures may mean."""


def time_mentions(text: str, now: datetime) -> list[TimeMention]:
    """All times in `text`, none overlapping another, by place."""
    found: list[TimeMention] = []

    def add(
        kind: Literal["duration", "date", "until"],
        value: str | None,
        span: tuple[int, int],
        others: tuple[str, ...] = (),
    ) -> None:
        if value and all(span[1] <= t.start or span[0] >= t.end for t in found):
            found.append(TimeMention(kind, value, *span, others))

    for match in _COUNTED.finditer(text):
        add("duration", _duration(match.group("n"), match.group("unit")), match.span())
    for match in _LAST.finditer(text):
        add("duration", _last(match, now), match.span())
    for match in _COMPACT.finditer(text):
        add("duration", _duration(match.group("n"), match.group("unit")), match.span())
    for match in _BETWEEN.finditer(text):
        add("date", _parsed(match.group("first"), now), (match.start(), match.end("first")))
        add("until", _parsed(match.group("last"), now, "last"), match.span("last"))
    for match in _NAMED.finditer(text):
        word = match.group("word").lower().split()[0]
        kind: Literal["date", "until"] = "until" if word in _UNTIL_WORDS else "date"
        add(kind, _parsed(match.group("date"), now), match.span())
    for match in _ISO.finditer(text):
        before = text[: match.start()].rstrip().rpartition(" ")[2].lower()
        day = match.group() if len(match.group()) == 10 else match.group() + "-01"
        add("until" if before in _UNTIL_WORDS else "date", day, match.span())
    for match in _FIGURES.finditer(text):
        day, *others = _in_figures(match.group(), now)
        before = text[: match.start()].rstrip().rpartition(" ")[2].lower()
        add("until" if before in _UNTIL_WORDS else "date", day, match.span(), tuple(others))
    for match in _YEAR.finditer(text):
        add("date", f"{match.group('year')}-01-01", match.span())
    for match in _DAY_WORD.finditer(text):
        back = timedelta(days=_DAY_WORDS[match.group().lower()])
        add("date", (now - back).date().isoformat(), match.span())
    return sorted(found, key=lambda t: t.start)


def without_spans_of_time(text: str) -> str:
    """`text` without durations such as `in the last 30 days`, for comparing what it asks for."""
    for pattern in (_COUNTED, _LAST):
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def _duration(number: str, unit: str) -> str | None:
    """`90d` for 90 and days; months count 30 days, quarters 91, years 365."""
    count = float(number) if number.isdigit() else float(_NUMBERS[number.lower()])
    short = _UNIT.get(unit.lower(), unit.lower())
    if short in ("h", "m"):
        return f"{max(1, round(count))}{short}"
    days = round(count * _DAYS[short])
    return f"{days}d" if days > 0 else None


def _last(match: re.Match[str], now: datetime) -> str | None:
    """`last month`: 30 days; `since last month`: back to the first day of the last month; `this year`: to its start."""
    unit = _UNIT[match.group("unit").lower()]
    which = match.group("which").lower()
    this = which.startswith(("this", "dies", "ce", "est"))
    if not this and match.group("since") is None:
        return _duration("1", match.group("unit"))
    start = _start_of(unit, now)
    if start is None:
        return _duration("1", match.group("unit"))
    if not this:
        start = _start_of(unit, start - timedelta(days=1)) or start
    return f"{max(1, (now.date() - start.date()).days)}d"


def _start_of(unit: str, moment: datetime) -> datetime | None:
    """The first day of the week, month, quarter or year that `moment` is in."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "d":
        return day
    if unit == "w":
        return day - timedelta(days=day.weekday())
    if unit == "mo":
        return day.replace(day=1)
    if unit == "q":
        return day.replace(day=1, month=3 * ((day.month - 1) // 3) + 1)
    return day.replace(day=1, month=1) if unit == "y" else None


def _parsed(words: str, now: datetime, day: Literal["first", "last"] = "first") -> str | None:
    """A date in words, by dateparser; it is slow to import, so only a prompt with such a date pays.

    `day` is the day of a month that is named alone. Where in a prompt a date stands the patterns above say:
    dateparser's own search takes `me`, `we`, `die` and `son` for days.
    """
    import dateparser

    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words):
        return words
    if _FIGURES.fullmatch(words):
        return _in_figures(words, now)[0] or None
    plain = _ORDINAL.sub(lambda m: "" if m.group() in ("er", "º") else "1 ", _ARTICLE.sub("", words))
    found = dateparser.parse(
        plain,
        languages=["en", "de", "fr", "es"],
        settings={
            "PREFER_DATES_FROM": "past",
            "PREFER_DAY_OF_MONTH": day,
            "RELATIVE_BASE": now.replace(tzinfo=None),
        },
    )
    return found.date().isoformat() if found is not None else None


def _in_figures(figures: str, now: datetime) -> list[str]:
    """The days that `3/4/2026` may mean, likeliest first: with strokes the month or the day comes first, with
    dots the day does. Nothing after now is meant by who speaks of what happened.
    """
    import dateparser

    orders = ("DMY",) if "." in figures else ("MDY", "DMY")
    found: list[str] = []
    for order in orders:
        settings = {"DATE_ORDER": order, "REQUIRE_PARTS": ["day", "month", "year"]}
        day = dateparser.parse(figures, languages=["en"], settings=settings)
        if day is not None and day.date().isoformat() not in found:
            found.append(day.date().isoformat())
    past = [day for day in found if day <= now.date().isoformat()]
    return past or found or [""]
