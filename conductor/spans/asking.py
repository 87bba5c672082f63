"""Asks the span reader for the parameters of a Player that neither patterns nor libraries found in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conductor.encoder.runtime import TokenReader
from conductor.gloss import language_of
from conductor.params.fill import Filled, checked, is_unknown
from conductor.params.mentions import Mention
from conductor.spans.cues import stem
from conductor.spans.reader import Asked, Page, Read, SpanReader, question_text
from conductor.words import content_words
from symphony.errors import SymphonyError
from symphony.types.players import FunctionSpec, ParamSpec

Array = np.ndarray[Any, Any]

NEEDED, OPTIONAL = 0.6, 0.9
"""How sure a reading must be for a parameter that a Player cannot do without, and for another one."""
LONGEST = 1000
"""Characters of a prompt that is read; of a longer one the encoder sees only the beginning."""
_KINDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


@dataclass(frozen=True, slots=True)
class Spans:
    """The reader with the encoder whose states it was trained on."""

    reader: SpanReader
    encoder: TokenReader

    def about(self, prompt: str) -> Asking | None:
        """A prompt to be asked about; None for one that the reader cannot read: it learnt from English ones."""
        if len(prompt) > LONGEST or language_of(prompt) != "en":
            return None
        return Asking(self, prompt)


class Asking:
    """One prompt; it is encoded when something is first asked about it."""

    def __init__(self, spans: Spans, prompt: str) -> None:
        self._spans, self.prompt = spans, prompt
        self._page: Page | None = None
        self._words: frozenset[str] | None = None
        self._known: dict[tuple[str, tuple[int, int]], dict[str, Read]] = {}

    def complete(
        self,
        spec: FunctionSpec,
        filled: Filled,
        mentions: Sequence[Mention],
        clause: tuple[int, int] | None = None,
        only_needed: bool = False,
    ) -> None:
        """Fills in place what stands in the prompt and is still open.

        What a mention said that the Player uses is nobody else's value. `clause` is the part of the prompt that
        speaks of the Player, None for all of it. Without token states nothing is read.
        """
        wanted = [
            name
            for name, param in spec.params.items()
            if name not in filled.params
            and (name in filled.missing or (not only_needed and self._speaks_of(name, param)))
            and _is_open(name, param, filled, mentions)
        ]
        if not wanted:
            return
        used = [(m.start, m.end) for m in (*filled.used, *(m for m in mentions if m.kind in _PLACES))]
        for name, read in self._read(spec, clause or (0, len(self.prompt))).items():
            if name not in wanted or any(read.start < b and a < read.end for a, b in used):
                continue
            param = spec.params[name]
            if read.sure < (NEEDED if name in filled.missing else OPTIONAL):
                continue
            quoted = _quoted(read, mentions) if param.type == "string" else None
            value = checked(read.value if quoted is None else quoted.value, param)
            if value is None or value == param.default:
                continue
            filled.params[name] = value
            filled.used += [quoted] if quoted is not None else []
            filled.missing = [one for one in filled.missing if one != name]

    def _speaks_of(self, name: str, param: ParamSpec) -> bool:
        """Whether a word of the prompt is one of a parameter's name or description: without one nobody means it, and
        the encoder need not run.
        """
        if self._words is None:
            self._words = frozenset(map(stem, content_words(self.prompt)))
        return any(
            stem(w) in self._words for w in content_words(f"{name.replace('_', ' ')} {param.description}")
        )

    def _read(self, spec: FunctionSpec, clause: tuple[int, int]) -> dict[str, Read]:
        """What the reader makes of all parameters of a Player: they tell each other apart."""
        known = self._known.get((spec.player, clause))
        if known is None:
            known = self._known[spec.player, clause] = self._anew(spec, clause)
        return known

    def _anew(self, spec: FunctionSpec, clause: tuple[int, int]) -> dict[str, Read]:
        try:
            if self._page is None:
                self._page = Page(self.prompt, *self._spans.encoder.tokens(self.prompt))
            named = [(name.replace("_", " "), param) for name, param in spec.params.items()]
            texts = [question_text(words, param.description) for words, param in named]
            does = f"{spec.function.replace('_', ' ')}: {spec.description}"
            vectors = self._spans.encoder.embed([*texts, does])
        except SymphonyError:
            return {}
        asked = [
            Asked(words, param.description, _KINDS.get(param.type, "str"), param.required, vector)
            for (words, param), vector in zip(named, vectors, strict=False)
        ]
        own = self._page.within(*clause)
        read = self._spans.reader.read(self._page, asked, vectors[-1], own)
        return {name: one for name, one in zip(spec.params, read, strict=False) if one is not None}


_PLACES = frozenset(("path", "folder", "glob", "duration", "date", "until", "revision"))
"""Kinds of mentions that are what they are, and no free text."""


def _quoted(read: Read, mentions: Sequence[Mention]) -> Mention | None:
    """The quoted text that a reading stands in: who quotes means all of it."""
    within = (m for m in mentions if m.kind == "text" and m.start <= read.start and read.end <= m.end)
    return next(within, None)


def _is_open(name: str, param: ParamSpec, filled: Filled, mentions: Sequence[Mention]) -> bool:
    """Whether the prompt may hold the value of a parameter that has none: words, or a number that nothing took."""
    if not is_unknown(name, param):
        return False
    numbers = (m for m in mentions if m.kind in ("count", "number") and m not in filled.used)
    return param.type == "string" or next(numbers, None) is not None
