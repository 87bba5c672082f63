"""What a prompt says, before any Player is chosen: clauses, mentions, texts, and how well each Player fits them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.context import ComposeContext
from conductor.gloss import glossed, language_of
from conductor.params.fill import Scope, is_target, suits
from conductor.params.mentions import TABLES, Mention, mentions_of, plain_request
from conductor.params.phrases import exchanged
from conductor.question import player_question, settled, without_files
from conductor.retrieval import Catalogue, Embed
from conductor.words import Clause, clauses_of, content_words, forms_of, is_told

if TYPE_CHECKING:
    from conductor.episode import Table

Array = np.ndarray[Any, np.dtype[np.float32]]

_PREPOSITION = re.compile(
    r"\b(?:in|under|inside|within|below|of|from|for|on|across|im|unter|für|dans|pour|en|para)\s+"
    r"(?:the\s+|my\s+|our\s+|le\s+|la\s+|el\s+|dem\s+)?$",
    re.IGNORECASE,
)
_LIMITS = re.compile(
    r"\b(?:since|last|past|ago|letzte\w*|seit|vor|derni\w+|depuis|últim\w+|desde|hace|pasad\w+)\b",
    re.IGNORECASE,
)
"""What makes of a time that a story tells a limit for what is asked."""
DETAILS = frozenset(("duration", "date", "until", "path", "folder", "glob", "count", "number", "text"))
"""Kinds of mentions that alone ask for nothing."""
TIMES = frozenset(("duration", "date", "until"))
UNSUITED = 0.4
"""What a source loses that is for files of another kind than its clause names."""
TIMELESS = 0.15
"""What a source loses that cannot take the time of its clause."""
DISMISSED, MEANT = 0.5, 1.2
"""What remains of the scores of Players that a person did not mean, and the score of the one who was meant."""
SHOWN = 0.5
"""From this score on `a chart` in `a chart of X` is a request of its own."""


class Reading:
    """A prompt against a table of Players.

    `scores` has a row for the whole prompt and one for each of `clauses`; `texts` and `vectors` likewise.
    `evidence` has a row for each telling word, `evidence_clause` the clause of each; `only_details` marks clauses
    that ask for nothing alone.
    """

    def __init__(
        self,
        table: Table,
        prompt: str,
        embed: Embed | None,
        context: ComposeContext,
        now: datetime,
        hidden: np.ndarray[Any, Any] | None,
    ) -> None:
        self._table = table
        self._project, self._now = context.project, now
        self.prompt = prompt
        self.mentions = mentions_of(prompt, context.project, now)
        if context.answers:
            self.mentions, ruled_out = settled(self.mentions, prompt, context.answers)
            if ruled_out:
                # Columns are those of the file that was meant, so that they are looked up again.
                again = mentions_of(prompt, without_files(context.project, ruled_out), now)
                self.mentions, _ = settled(again, prompt, context.answers)
        ranges = [
            (m.start, m.end) for m in self.mentions if m.kind in ("revision", "columns") and len(m.value) > 1
        ]
        clauses = clauses_of(prompt, ranges)
        forms = forms_of(prompt, clauses)
        self.clauses = [*clauses, *forms]
        self.texts = texts_of(prompt, self.mentions, self.clauses)
        if table.speller is not None and language_of(prompt) == "en":
            self.texts = [table.speller(text) for text in self.texts]
        self.texts, self.vectors, scores = understood(
            table.catalogue, self.texts, language_of(prompt), embed, hidden
        )
        self.scores = self._timely(self._suited(scores))
        self._keep(range(len(clauses)), forms)
        self._prefer(context.answers)
        self.only_details = np.array(
            [
                is_detail(prompt, c.start, c.end, self.mentions) and not self._holds_table(c)
                for c in self.clauses
            ],
            dtype=bool,
        )
        told = np.array([is_told(c.text) for c in self.clauses], dtype=bool)
        if not (told | self.only_details).all():
            self.only_details |= told
            spans = [(c.start, c.end) for c, alone in zip(self.clauses, told, strict=True) if alone]
            self.mentions = [m for m in self.mentions if not _is_aside(m, prompt, spans)]
        self.evidence, self.evidence_clause = self.evidence_outside(())

    def evidence_outside(self, spans: Sequence[tuple[int, int]]) -> tuple[Array, list[int]]:
        """What the words say that stand in none of the spans of the prompt, and the clause that each belongs to."""
        letters = list(self._without_columns())
        for start, end in spans:
            letters[start:end] = " " * (end - start)
        text = "".join(letters)
        rows = [
            (self._table.catalogue.evidence(plain_request(text[c.start : c.end])), index)
            for index, c in enumerate(self.clauses)
            if c.coarse and text[c.start : c.end].strip() and not self.only_details[index]
        ]
        if not rows:
            return self._table.catalogue.evidence(""), []
        return np.concatenate([found for found, _ in rows]), [i for found, i in rows for _ in found]

    def english(self) -> list[str]:
        """The prompt and each clause in English with all that they say, a row each as in `texts`."""
        said, language = [self.prompt, *(clause.text for clause in self.clauses)], language_of(self.prompt)
        if language != "en":
            return [glossed(text, language) for text in said]
        return [self._table.speller(text) for text in said] if self._table.speller is not None else said

    def _keep(self, sure: Sequence[int], forms: Sequence[Clause]) -> None:
        """Drops those pairs of `forms` whose first part is for no Player that shows results."""
        kept = list(sure)
        for place in range(len(sure), len(sure) + len(forms), 2):
            row = self.scores[1 + place]
            best = int(row.argmax()) if len(row) else -1
            if best >= 0 and row[best] >= SHOWN and self._table.roles[best].presents:
                kept += [place, place + 1]
        if len(kept) < len(self.clauses):
            rows = [0, *(1 + place for place in kept)]
            self.clauses = [self.clauses[place] for place in kept]
            self.texts = [self.texts[row] for row in rows]
            self.scores = self.scores[rows]
            self.vectors = self.vectors[rows] if self.vectors is not None else None

    def _prefer(self, answers: Mapping[str, str]) -> None:
        """Puts the Player first that a person said a clause is for."""
        players = [spec.player for spec in self._table.functions]
        for row, clause in enumerate(self.clauses, start=1):
            answer = answers.get(player_question(clause.text))
            if answer in players:
                self.scores[row] *= DISMISSED
                self.scores[row, players.index(answer)] = MEANT

    def _holds_table(self, clause: Clause) -> bool:
        """Whether a part names just the table that a calculation of another part is about: it is to be read."""
        own = [m for m in self.mentions if clause.start <= m.start < clause.end]
        return any(m.kind == "path" and str(m.value).endswith(TABLES) for m in own) and any(
            m.kind in ("columns", "measure", "condition") for m in self.mentions if m not in own
        )

    def _timely(self, scores: Array) -> Array:
        """Where a clause says when, a source that knows no time answers something else."""
        times = [m.start for m in self.mentions if m.kind in TIMES]
        if not times:
            return scores
        said = [True, *(any(c.start <= start < c.end for start in times) for c in self.clauses)]
        rows = np.array((said + [True] * len(scores))[: len(scores)], dtype=bool)
        timeless = np.array([role.is_timeless for role in self._table.roles], dtype=bool)
        return np.asarray(scores - TIMELESS * np.outer(rows, timeless), dtype=np.float32)

    def _suited(self, scores: Array) -> Array:
        """Where a clause names a file, a source that is for files of another kind answers something else."""
        scope = Scope(self.prompt, self.prompt, self.mentions, self._project, self._now)
        named = [m for m in self.mentions if m.kind == "path" and not is_target(m, scope)]
        if not named or not self._table.picky:
            return scores
        found = scores.copy()
        spans = [(0, len(self.prompt)), *((c.start, c.end) for c in self.clauses)]
        for row, (start, end) in enumerate(spans[: len(scores)]):
            files = [str(m.value) for m in named if start <= m.start < end]
            for function, param in self._table.picky:
                if files and not any(suits(param, file) for file in files):
                    found[row, function] -= UNSUITED
        return found

    def _without_columns(self) -> str:
        """The prompt without the columns of a calculation, for `sum the sales by month` says nothing of months, and
        without what is renamed.
        """
        letters = list(self.prompt)
        for start, end in renamed(self.prompt, self.mentions):
            letters[start:end] = " " * (end - start)
        if any(m.kind == "measure" for m in self.mentions):
            for mention in self.mentions:
                if mention.kind in ("measure", "columns"):
                    letters[mention.start : mention.end] = " " * (mention.end - mention.start)
        return "".join(letters)


def understood(
    catalogue: Catalogue,
    texts: list[str],
    language: str,
    embed: Embed | None,
    hidden: np.ndarray[Any, Any] | None = None,
) -> tuple[list[str], Array | None, Array]:
    """Texts as the encoder understands them, their vectors, and how well each Player fits each.

    The encoder is English: what it makes of a text word by word in English counts as much as what it makes of
    the text as it stands, which the Players' examples in its language may meet.
    """
    vectors = embed(texts) if embed is not None else None
    scores = catalogue.scores(texts, vectors, hidden)
    if language == "en":
        return texts, vectors, scores
    english = [glossed(text, language) for text in texts]
    vectors = embed(english) if embed is not None else None
    return english, vectors, np.maximum(scores, catalogue.scores(english, vectors, hidden))


def _is_aside(mention: Mention, prompt: str, told: Sequence[tuple[int, int]]) -> bool:
    """Whether a time belongs to a story and limits nothing: `I have an hour`, but not `I was away last week`."""
    if mention.kind not in TIMES or not any(a <= mention.start < b for a, b in told):
        return False
    return _LIMITS.search(prompt[max(0, mention.start - 12) : mention.end]) is None


def is_detail(prompt: str, start: int, end: int, mentions: Sequence[Mention]) -> bool:
    """Whether a clause says no more than times, paths and counts for another."""
    letters = list(prompt)
    for mention in mentions:
        if mention.kind not in DETAILS:
            continue
        letters[mention.start : mention.end] = " " * (mention.end - mention.start)
    return not content_words("".join(letters[start:end]))


def renamed(prompt: str, mentions: Sequence[Mention]) -> tuple[tuple[int, int], ...]:
    """Where a name and its new one stand: they may be any words, and `foo to bar` asks for no bars.

    From one revision or day to another nothing is renamed.
    """
    spans = exchanged(prompt) or ()
    others = [m for m in mentions if m.kind == "revision" or m.kind in TIMES]
    return spans if not any(m.start < b and a < m.end for m in others for a, b in spans) else ()


def texts_of(prompt: str, mentions: Sequence[Mention], clauses: Sequence[Clause]) -> list[str]:
    """The texts of a prompt that are compared: the whole and each clause, as plain requests.

    Folders of the project are places, not wishes: `every note in the tests` is not about running tests.
    """
    letters = list(prompt)
    for mention in mentions:
        if mention.start == mention.end:
            continue
        if mention.kind == "path" and "." not in prompt[mention.start : mention.end]:
            ending = mention.value.rpartition(".")[2] if "." in mention.value else "txt"
            letters[mention.start] = f"file.{ending}"
            letters[mention.start + 1 : mention.end] = [""] * (mention.end - mention.start - 1)
        if mention.kind == "revision":
            span = "".join(letters[mention.start : mention.end])
            for name, known in zip(mention.value, ("v1.0", "v2.0"), strict=False):
                span = span.replace(name, known, 1)
            letters[mention.start] = span
            letters[mention.start + 1 : mention.end] = [""] * (mention.end - mention.start - 1)
        if mention.kind == "code" and "." in str(mention.value):
            letters[mention.start] = "name"
            letters[mention.start + 1 : mention.end] = [""] * (mention.end - mention.start - 1)
        if mention.kind == "folder":
            before = _PREPOSITION.search(prompt[: mention.start])
            start = before.start() if before is not None else mention.start
            letters[start : mention.end] = " " * (mention.end - start)
    for start, end in renamed(prompt, mentions):
        letters[start] = "name"
        letters[start + 1 : end] = [""] * (end - start - 1)
    spans = [(0, len(prompt)), *((c.start, c.end) for c in clauses)]
    return [plain_request("".join(letters[a:b]).strip() or prompt[a:b].strip()) for a, b in spans]
