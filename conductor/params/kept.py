"""Columns that a prompt wants kept of rows, and rows that it wants once: `just author and subject`, `once each`."""

from __future__ import annotations

import re

from conductor.params.conditions import Rows
from conductor.params.groups import Said
from conductor.params.tables import column_of
from conductor.words import content_words, fold

_ONLY = re.compile(
    r"\b(?:only|just|nothing but|nur|bloß|seulement|uniquement|juste|sólo|solo|solamente)\s+"
    r"(?:(?:the|die|den|les?|las?|los|el)\s+)?(?P<v>\w{1,40}(?:\s?,\s?\w{1,40}){0,9}\s?,?\s(?:and|und|et|y|e)\s"
    r"(?:(?:the|die|den|les?|las?|los|el)\s+)?\w{1,40})(?=\s{0,3}(?:$|[.,;:?!]|(?:from|of|aus|von|der|des|de|del|du)\s))",
    re.IGNORECASE,
)
_PART = re.compile(r"\s?,\s?|\s(?:and|und|et|y|e)\s", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:and|und|et|y|e|the|die|den|les?|las?|los|el)\s+", re.IGNORECASE)
_ROW_WORDS = frozenset(
    word
    for words in (
        "author authors autor autoren auteur auteurs autores subject subjects betreff sujet sujets asunto asuntos",
        "date dates datum fecha fechas message messages nachricht nachrichten mensaje mensajes email emails correo",
        "correos",
        "file files datei dateien dateiname fichier fichiers archivo archivos name names namen nom noms nombre nombres",
        "line lines zeile zeilen ligne lignes linea lineas path paths pfad pfade chemin chemins size sizes hash hashes",
        "branch branches rule rules regel regeln module modules modul kind kinds version versions commits",
    )
    for word in words.split()
)
"""What Players' rows are known to have, in four languages, folded."""
ONCE = re.compile(
    r"\b(?:once\s+each|each\s+(?:just\s+|only\s+)?once|(?:just|only)\s+once|(?:no|without)\s+(?:duplicates|repeats|repetitions)|distinct|"
    r"unique|jeweils\s+(?:nur\s+)?einmal|(?:jede[rsn]?\s+)?nur\s+einmal|ohne\s+(?:doppelte|duplikate|dubletten|wiederholungen)|"
    r"une\s+seule\s+fois|sans\s+(?:doublons?|répétitions?)|sin\s+(?:repes|repetir|repetid[oa]s|duplicados|repeticiones)|"
    r"una\s+sola\s+vez|distint[oa]s)\b",
    re.IGNORECASE,
)
"""How people say that rows shall not repeat."""
_OF_WHAT = re.compile(
    r"\b(?:distinct|unique|different|verschiedenen?|unterschiedlichen?|différente?s)\s+(?P<a>[^\W\d]\w{2,40})|"
    r"\b(?:every|which|all|welche|alle|quels|quelles|tous\s+les|toutes\s+les|qué|todos\s+los|todas\s+las)\s+(?P<b>[^\W\d]\w{2,40})|"
    r"(?<!\w)(?P<c>[^\W\d]\w{2,40})\s+(?:distint[oa]s|uniques?)\b",
    re.IGNORECASE,
)


def kept(text: str, rows: Rows) -> list[Said]:
    """Columns that are named after `only`, and the one whose values are wanted once, of a table that is named."""
    found = []
    for match in _ONLY.finditer(text):
        names = [_ARTICLE.sub("", part.strip()) for part in _PART.split(match["v"]) if part.strip()]
        if all(rows.is_table or fold(name) in _ROW_WORDS for name in names):
            found.append(Said(tuple(names), "select", *match.span()))
    if found or not rows.is_table or ONCE.search(text) is None:
        return found
    for match in _OF_WHAT.finditer(text):
        said = match[match.lastgroup or 0]
        column = column_of(said, rows.columns, rows.language) if rows.columns else said.lower()
        if column and content_words(said):
            return [Said((column,), "select", *match.span())]
    return []
