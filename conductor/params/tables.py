"""Columns that a prompt names, against those of the project's tables: exact, in another form, or misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from conductor.context import ProjectFacts
from conductor.gloss import glossed
from conductor.words import fold

if TYPE_CHECKING:
    from conductor.params.mentions import Mention

Tables = Mapping[str, Sequence[str]]

ALIKE = 82.0
"""From this likeness (0 to 100) on a word may stand for a column that is written otherwise."""
AS_LIKELY = 6.0
"""Columns within this distance of the most alike one are as likely."""
MOST_OTHERS = 5
_COLUMN = re.compile(r"^\w+")


def with_columns(mentions: Sequence[Mention], project: ProjectFacts | None) -> list[Mention]:
    """The mentions with the columns' names as their table has them, and the table where only its columns name it.

    A name that fits several columns alike keeps the others as `others`; so does a table.
    """
    tables = project.columns if project is not None else {}
    if not tables or not any(m.kind in ("columns", "measure", "condition") for m in mentions):
        return list(mentions)
    found = list(mentions)
    named = [m for m in mentions if m.kind == "path"]
    if not named and (implied := _implied(mentions, tables)) is not None:
        found.append(implied)
        named = [implied]
    known = [column for m in named for column in tables.get(str(m.value), ())]
    if not known:
        return found
    return sorted((_resolved(m, known) for m in found), key=lambda m: (m.start, m.end))


def _implied(mentions: Sequence[Mention], tables: Tables) -> Mention | None:
    """The table that has all columns of a calculation, where the prompt names no file: a path without words."""
    measures = [m for m in mentions if m.kind == "measure"]
    if not measures:
        return None
    names = [str(m.value) for m in measures]
    names += [str(v) for m in mentions if m.kind == "columns" for v in m.value]
    having = [path for path, columns in tables.items() if all(best(n, columns)[0] for n in names)]
    if not having:
        return None
    having.sort(key=lambda path: (path.count("/"), len(path), path))
    place = measures[0].end
    others = tuple(having[1 : 1 + MOST_OTHERS])
    return replace(measures[0], kind="path", value=having[0], start=place, end=place, others=others)


def _resolved(mention: Mention, columns: Sequence[str]) -> Mention:
    if mention.kind == "measure":
        name, others = best(str(mention.value), columns)
        return replace(mention, value=name or mention.value, others=others)
    if mention.kind == "columns":
        pairs = [best(str(v), columns) for v in mention.value]
        names = tuple(name or v for (name, _), v in zip(pairs, mention.value, strict=True))
        others = pairs[0][1] if len(pairs) == 1 else ()
        return replace(mention, value=names, others=tuple((other,) for other in others))
    if mention.kind == "condition":
        said = _COLUMN.match(str(mention.value))
        name, others = best(said.group(), columns) if said is not None else ("", ())
        if said is not None and name:
            rest = str(mention.value)[said.end() :]
            return replace(mention, value=name + rest, others=tuple(other + rest for other in others))
    return mention


def best(name: str, columns: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The column that a name stands for, and those that are as likely; empty when there is none."""
    wanted = fold(name).replace("-", "_")
    plain = {column: fold(column).replace("-", "_").replace(" ", "_") for column in columns}
    for forms in ({wanted}, {wanted.rstrip("s"), f"{wanted}s"}):
        exact = [column for column, folded in plain.items() if folded in forms]
        if exact:
            return exact[0], ()
    parts = [column for column, folded in plain.items() if wanted in folded.split("_")]
    if parts:
        return parts[0], tuple(parts[1 : 1 + MOST_OTHERS])
    if len(wanted) < 4:
        return "", ()
    # Imported here: only a name that no column has is worth it.
    from rapidfuzz import fuzz, process

    ranked = process.extract(wanted, plain, scorer=fuzz.ratio, score_cutoff=ALIKE)
    if not ranked:
        return "", ()
    near = [column for _, score, column in ranked if score >= ranked[0][1] - AS_LIKELY]
    return near[0], tuple(near[1 : 1 + MOST_OTHERS])


_DATED = re.compile(
    r"(?:^|_)(?:date|day|time|timestamp|when|modified|changed?|created|commit|datum|tag|fecha|jour|dia)$"
)


def column_of(name: str, columns: Sequence[str], language: str = "en") -> str:
    """The column that a word in some language names; empty when there is none."""
    found, _ = best(name, columns)
    if not found and language != "en" and (english := glossed(name, language)) != name:
        found = best(f"{english}s", columns)[0] if f"{english}s" in columns else best(english, columns)[0]
    return found


def dated_column(columns: Iterable[str]) -> str:
    """The first column that by its name holds dates; empty when there is none."""
    return next((column for column in columns if _DATED.search(fold(column))), "")


_WORD = re.compile(r"(?<![\w./-])[^\W\d_]{4,40}(?![\w/]|[.-]\w)")
_ENDINGS = (".csv", ".tsv")
_NO_DATA = re.compile(
    r"\b(?:teams?|e?mails?|department|abteilung|équipe|equipo|people|forces?|manager|docs?|code|pages?|modules?)\b",
    re.IGNORECASE,
)


def table_spoken_of(text: str, files: Sequence[str], language: str) -> tuple[str, int, int] | None:
    """The only table of a project where a text that names no file speaks of it by its name in some language: `sales` or
    `ventas` is `data/sales.csv`; with the place of the word.
    """
    tables = [path for path in files if path.endswith(_ENDINGS)]
    if len(tables) != 1 or _NO_DATA.search(text) is not None:
        return None
    stem = fold(tables[0].rpartition("/")[2].rpartition(".")[0])
    for match in _WORD.finditer(text):
        said = fold(match.group())
        if stem in (said, f"{said}s") or (language != "en" and stem in glossed(said, language).split()):
            return tables[0], *match.span()
    return None
