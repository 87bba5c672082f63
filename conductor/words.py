"""Splits a prompt into clauses and words, in the languages that developers wrote to us in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*", re.UNICODE)

_QUOTED = re.compile(r"`[^`]+`|\"[^\"]+\"|“[^”]+”|«[^»]+»|(?<!\w)'[^']+'(?!\w)")
_SENTENCE = re.compile(r"[?!;\n]+|\.(?=\s|$)|:(?=\s)")
_JOINT = re.compile(
    r",\s*(?:and|then|und|dann|et|puis|y|luego)?\s+|\s+(?:and then|and also|and|then|plus|as well as|"
    r"und dann|und|dann|sowie|anschließend|et puis|et|puis|ensuite|y luego|y|luego|después)\s+|\s+[–—-]\s+|\s*→\s*",
    re.IGNORECASE,
)
_ATTACHED = re.compile(
    r"\s+(?=(?:with|as|into|in form of|using|mit|als|avec|comme|con|como)\s+(?:a|an|some|the|one|einem?|einer|"
    r"eine|un|une|una)\s)",
    re.IGNORECASE,
)

STOP_WORDS = frozenset(
    # Function words and politeness only: words that carry no wish of their own.
    """a an the this that these those it its them they of in on at to for from by with without and or then than
    as is are was were be been do does did done have has had i me my we us our you your he she his her who which
    what when where why how can could would should will shall may might must please kindly just only also so not no
    any some all each every most more very into over about per there here if but up out
    der die das den dem des ein eine einen einem einer eines und oder dann ist sind war waren sein mein meine
    meinen mir mich wir uns unser unsere du dein bitte mal nur auch so nicht kein keine alle jede jeder jedes welche
    welcher welches was wie wo wer wann warum von vom im in am an auf zu zum zur für mit ohne aus bei nach über
    le la les un une des du de et ou puis est sont mon ma mes nous notre vous votre ce cette ces qui que quoi
    quel quelle quels quelles où comment dans sur pour par avec sans tous toutes chaque seulement s'il plaît
    el los las un una unos unas y o luego es son mi mis nuestro nuestra por favor qué cuál cuáles quién dónde
    cómo en con sin para solo todos todas cada del al""".split()
)


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


_FOLDED_STOP_WORDS = frozenset(fold(word) for word in STOP_WORDS)


def content_words(text: str) -> list[str]:
    """The words of a text that are no function words, folded, in order."""
    return [plain for word in WORD.findall(text) if (plain := fold(word)) not in _FOLDED_STOP_WORDS]


def clauses_of(prompt: str) -> list[Clause]:
    """The prompt's clauses: first the coarse ones in order, then finer parts of these.

    Quoted text is never split.
    """
    guarded = _QUOTED.sub(lambda m: "\x00" * len(m.group()), prompt)
    coarse = [
        piece
        for sentence in _pieces(guarded, 0, _SENTENCE)
        for piece in _pieces(guarded[sentence[0] : sentence[1]], sentence[0], _JOINT)
    ]
    coarse = _keep_with_words(prompt, coarse)
    fine = []
    for start, end in coarse:
        parts = _keep_with_words(prompt, _pieces(guarded[start:end], start, _ATTACHED))
        fine += parts if len(parts) > 1 else []
    return [Clause(prompt[a:b].strip(), a, b, True) for a, b in coarse] + [
        Clause(prompt[a:b].strip(), a, b, False) for a, b in fine
    ]


def _pieces(text: str, offset: int, border: re.Pattern[str]) -> list[tuple[int, int]]:
    """The spans of `text` between borders, moved by `offset`."""
    spans, start = [], 0
    for match in border.finditer(text):
        spans.append((offset + start, offset + match.start()))
        start = match.end()
    spans.append((offset + start, offset + len(text)))
    return [(a, b) for a, b in spans if b > a]


def _keep_with_words(prompt: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with at least one content word; a span without joins the one before it."""
    kept: list[tuple[int, int]] = []
    for a, b in spans:
        if content_words(prompt[a:b]):
            kept.append((a, b))
        elif kept:
            kept[-1] = (kept[-1][0], b)
    return kept
