"""Splits a prompt into clauses and words, in the languages that developers wrote to us in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LEXICON = Path(__file__).parent / "lexicon"

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*", re.UNICODE)

_QUOTED = re.compile(r"`[^`]+`|\"[^\"]+\"|“[^”]+”|«[^»]+»|(?<!\w)'[^']+'(?!\w)")
_SENTENCE = re.compile(r"[?!;\n]+|\.(?=\s|$)|:(?=\s)")
_JOINT = re.compile(
    r",\s*(?:and|then|und|dann|et|puis|y|luego)?\s+|\s+(?:and then|and also|and|then|plus|as well as|"
    r"und dann|und|dann|sowie|anschließend|et puis|et|puis|ensuite|y luego|y|luego|después)\s+|\s+[–—+&-]\s+|\s*→\s*",
    re.IGNORECASE,
)
_ATTACHED = re.compile(
    r"\s+(?=(?:with|as|into|in form of|using|mit|als|avec|comme|con|como)\s+(?:an?\s+|some\s+|the\s+|one\s+|"
    r"einem?\s+|einer\s+|eine\s+|une?\s+|una\s+)?[^\W\d]{3,}|in\s+(?:an?|one|einem|einer|une?|una)\s+[^\W\d]{3,}|"
    r"(?:saved|stored|written|exported|sorted|ordered|grouped|filtered|drawn|plotted|shown|gespeichert|sortiert|"
    r"gruppiert|gefiltert|gezeichnet)\s|(?:to|nach|en|a)\s+(?:csv|tsv|excel|html|pdf|png|svg|markdown|json|xlsx)\b)",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\s+(?=(?:about|on|showing|über|sur|sobre)\s+\w)", re.IGNORECASE)
_FORM_OF = re.compile(
    r"^\W*(?:(?:[^\W\d]+\s+){0,3}(?:an?|one|eine?n?|une?|una)\s+(?:[^\W\d]+\s+){0,2}|(?:[^\W\d]+\s+)?)[^\W\d]+"
    r"(?P<joint>\s+)(?:of|von|der|des|du|del|de)\s+(?=\w)",
    re.IGNORECASE,
)
"""`draw a line chart of X`: what comes before `of X` may be the form in which X is shown."""


_TOLD = re.compile(
    r"\W*(?:i|we|ich|wir|je|j|nous|yo|nosotros)\b(?!.*\b(?:want|need|would|like|wish|wonder|ask|who|what|which|where|when|how|why|"
    r"show|give|tell|möchte|möchten|will|wollen|brauche|brauchen|hätte|wüsste|suche|veux|voudrais|besoin|cherche|"
    r"aimerais|quiero|quisiera|necesito|busco|welche[rsnm]?|wer|wie|wo|qui|quels?|quelles?|combien)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""`I inherited this project yesterday`: a sentence that tells of its writer and asks for nothing."""


def is_told(text: str) -> bool:
    """Whether a clause only tells of its writer, and holds no wish."""
    return _TOLD.match(text) is not None and "?" not in text


_DENIED = re.compile(
    r"\b(?:not|no|nobody|none|never|without|nicht|kein\w*|niemand\w*|nie|ohne|pas|jamais|personne|aucune?|sans|nadie|"
    r"nunca|sin|ning[uú]n\w*|nowhere|nirgends|nulle)\b|n['’]t\b",
    re.IGNORECASE,
)


def denies(text: str) -> bool:
    """Whether a text says of something that it is not: `files that nobody touched`."""
    return _DENIED.search(text) is not None


def word_list(name: str) -> frozenset[str]:
    """The words of a file of `lexicon/`; lines that begin with # are comments."""
    lines = (LEXICON / name).read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of the prompt. `coarse` ones are whole sentences or joined requests; fine ones their parts."""

    text: str
    start: int
    end: int
    coarse: bool


@lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """Lower case without accents, so that `résumé` and `resume` meet."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


_FUNCTION_WORDS = frozenset(fold(word) for word in word_list("function_words.txt"))


def content_words(text: str) -> list[str]:
    """The words of a text that are no function words, folded, in order.

    What begins with two capitals is a name: `TODOs` are not what is `todos` in Spanish.
    """
    return [
        plain
        for word in WORD.findall(text)
        if (plain := fold(word)) not in _FUNCTION_WORDS
        or (word[:2].isupper() and len(word) > 3 and not text.isupper())
    ]


def clauses_of(prompt: str, whole: Sequence[tuple[int, int]] = ()) -> list[Clause]:
    """The prompt's clauses: first the coarse ones in order, then finer parts of these.

    Quoted text is never split, nor what stands between the places of `whole`.
    """
    guarded = _QUOTED.sub(lambda m: "\x00" * len(m.group()), prompt)
    for start, end in whole:
        guarded = guarded[:start] + "\x00" * (end - start) + guarded[end:]
    coarse = [
        piece
        for sentence in _pieces(guarded, 0, _SENTENCE)
        for piece in _pieces(guarded[sentence[0] : sentence[1]], sentence[0], _JOINT)
    ]
    coarse = _keep_with_words(prompt, coarse)
    fine = []
    for start, end in coarse:
        head, *tails = _keep_with_words(prompt, _pieces(guarded[start:end], start, _ATTACHED))
        about = _keep_with_words(prompt, _pieces(guarded[head[0] : head[1]], head[0], _ABOUT))
        if len(about) > 1:
            fine += about
        elif tails and (_counts(prompt, head) > 1 or _counts(prompt, tails[0]) < 2):
            fine.append(head)
        fine += tails
    return [Clause(prompt[a:b].strip(), a, b, True) for a, b in coarse] + [
        Clause(prompt[a:b].strip(), a, b, False) for a, b in fine
    ]


def forms_of(prompt: str, clauses: Sequence[Clause]) -> list[Clause]:
    """`a chart` and `of X` of each coarse clause that speaks of `a chart of X`, in pairs.

    They are parts of the request only where something shows X so: `a list of X` may be X alone.
    """
    found = []
    for clause in clauses:
        match = _FORM_OF.match(prompt[clause.start : clause.end]) if clause.coarse else None
        if match is not None:
            border = clause.start + match.start("joint")
            for a, b in ((clause.start, border), (border, clause.end)):
                found.append(Clause(prompt[a:b].strip(), a, b, False))
    return found


def _pieces(text: str, offset: int, border: re.Pattern[str]) -> list[tuple[int, int]]:
    """The spans of `text` between borders, moved by `offset`."""
    spans, start = [], 0
    for match in border.finditer(text):
        spans.append((offset + start, offset + match.start()))
        start = match.end()
    spans.append((offset + start, offset + len(text)))
    return [(a, b) for a, b in spans if b > a]


def one_sentence(prompt: str, start: int, end: int) -> bool:
    """Whether no sentence ends between two places."""
    return _SENTENCE.search(prompt[start:end]) is None


def _counts(prompt: str, span: tuple[int, int]) -> int:
    """How many content words a span has."""
    return len(content_words(prompt[span[0] : span[1]]))


def _keep_with_words(prompt: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with at least one content word; a span without joins the one before it."""
    kept: list[tuple[int, int]] = []
    for a, b in spans:
        if content_words(prompt[a:b]):
            kept.append((a, b))
        elif kept:
            kept[-1] = (kept[-1][0], b)
    return kept
