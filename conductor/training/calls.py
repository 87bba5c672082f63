"""Typed tools as the networks see them: candidates for a prompt with their facts, and questions for its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from conductor.lexical import LexicalIndex
from conductor.params.values import same_value, typed_value
from conductor.spans.cues import WRITTEN_DATE, Wording, cues_of, spoken_of
from conductor.spans.reader import question_text
from conductor.spans.tokens import MOST_TOKENS, token_letters
from conductor.training.layers import LAYERS, LowerLayers, padded, sentence_vectors
from conductor.training.pointer import LONGEST, Batch
from conductor.training.spans import Page, Question
from conductor.words import clauses_of

Array = np.ndarray[Any, Any]

LOWER = 3
"""The span reader sees the states after so many layers of the encoder, and the last ones."""
MOST_CANDIDATES = 127
WEIGHED = 40
"""So many of the candidates are weighed against each other."""
FACTS = 13


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool, by name, type and description."""

    name: str
    kind: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True)
class TypedTool:
    """A tool with typed parameters and the names of what it gives."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    responses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's place in the catalogue, with the values of its parameters."""

    tool: int
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Prompt:
    """A prompt as read by the encoder: tokens' states and places, its vector, its clauses."""

    text: str
    states: Array
    last: Array
    places: list[tuple[int, int]]
    vector: Array
    clauses: Array
    starts: Array
    coarse: Array
    words: Array
    whole_words: Array


@dataclass(slots=True)
class Candidates:
    """The tools that come into question, best first, and the facts about the first of them."""

    tools: Array
    facts: Array
    after: Array
    ends: Array


def plain_words(name: str) -> str:
    """`getSalesData` and `sales_data` as words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace("_", " ")).lower()


class ToolCatalogue:
    """Tools with the vectors of two texts each (what it does; what it takes and gives) and an index of words."""

    def __init__(self, tools: Sequence[TypedTool], lower: LowerLayers) -> None:
        self.tools = list(tools)
        self._lower = lower
        names = [plain_words(tool.name) for tool in tools]
        takes = [", ".join(plain_words(p.name) for p in tool.parameters) for tool in tools]
        gives = [", ".join(map(plain_words, tool.responses)) for tool in tools]
        does = [f"{name}: {tool.description}" for name, tool in zip(names, tools, strict=True)]
        ports = [f"{n} with {t} giving {g}" for n, t, g in zip(names, takes, gives, strict=True)]
        self.does = self.embed(does)
        self.ports = self.embed(ports)
        self.index = LexicalIndex(
            [f"{n} {tool.description} {t}" for n, t, tool in zip(names, takes, tools, strict=True)]
        )
        self._asked: dict[str, Array] = {}

    def embed(self, texts: Sequence[str]) -> Array:
        """Unit sentence vectors."""
        (_, last), _ = self._lower.states(texts)
        return sentence_vectors(last)

    def read(self, texts: Sequence[str]) -> list[Prompt]:
        """What the encoder and the index of words make of prompts."""
        found = []
        for text in texts:
            (states, last), (encoded,) = self._lower.states([text])
            clauses = clauses_of(text)
            pieces = [c.text for c in clauses] or [text]
            coarse = np.array([c.coarse for c in clauses] or [True])
            starts = np.array([c.start for c in clauses] or [0], dtype=np.float32)
            found.append(
                Prompt(
                    text=text,
                    states=states[0].astype(np.float16),
                    last=last[0].astype(np.float16),
                    places=list(encoded.offsets),
                    vector=sentence_vectors(last)[0],
                    clauses=self.embed(pieces),
                    starts=starts / max(1, len(text)),
                    coarse=coarse,
                    words=self.index.similarity([p for p, c in zip(pieces, coarse, strict=True) if c]),
                    whole_words=self.index.similarity([text])[0],
                )
            )
        return found

    def candidates(self, prompt: Prompt, right: Sequence[int] = ()) -> Candidates:
        """The tools closest to the prompt and its clauses; `right` ones are always among those weighed."""
        whole = np.stack([self.does @ prompt.vector, self.ports @ prompt.vector])
        of_clauses = np.stack([prompt.clauses @ self.does.T, prompt.clauses @ self.ports.T])
        kinds = [whole[0], of_clauses[0].max(0), whole[1], of_clauses[1].max(0)]
        kinds += [prompt.whole_words, prompt.words.max(0)]
        total = np.sum(kinds, axis=0)
        order = np.argsort(-total, kind="stable")[:MOST_CANDIDATES]
        first = [int(t) for t in order[:WEIGHED]]
        lacking = [tool for tool in dict.fromkeys(right) if tool not in first]
        first = first[: WEIGHED - len(lacking)] + lacking
        rest = [int(t) for t in order if int(t) not in first]
        among = np.array(first)
        fit = of_clauses[:, prompt.coarse].mean(axis=0) + prompt.words
        places = prompt.starts[prompt.coarse]
        here = fit[:, among]
        own_clause, own = here.argmax(0), here.max(0)
        margin = (here - fit.max(1)[:, None]).max(0)
        rank = (fit[own_clause] > own[:, None]).sum(1)
        more = [
            2.0 * own, 4.0 * margin, 1.0 / (1.0 + rank), total[among] - total[among].max(), places[own_clause],
            margin >= -1e-6, np.full(len(among), len(fit) / 5.0),
        ]  # fmt: skip
        facts = np.stack([*(3.0 * kind[among] for kind in kinds), *more], axis=1).astype(np.float32)
        after = np.zeros((len(among) + 1, len(among), 2), dtype=np.float32)
        after[:-1, :, 0] = 4.0 * (here[own_clause] - own[None, :])
        after[:-1, :, 1] = np.sign(places[own_clause][None, :] - places[own_clause][:, None])
        after[-1, :, 1] = -places[own_clause]
        ends = np.stack([places[own_clause], np.zeros(len(among))], axis=1).astype(np.float32)
        return Candidates(np.array(first + rest), facts, after, ends)

    def batch(
        self,
        prompts: Sequence[Prompt],
        candidates: Sequence[Candidates],
        chains: Sequence[Sequence[int]] | None = None,
    ) -> Batch:
        """Prompts for the pointer network; with `chains` to learn from."""
        tokens, mask = padded([prompt.last for prompt in prompts])
        weighed = np.stack([one.tools[: len(one.facts)] for one in candidates])
        right = np.full((len(prompts), LONGEST), -1, dtype=np.int64)
        for row, chain in enumerate(chains or ()):
            places = {int(tool): place for place, tool in enumerate(weighed[row])}
            right[row, : len(chain)] = [places[tool] for tool in chain]
        return Batch(
            tokens=tokens,
            mask=mask,
            tools=torch.from_numpy(self.does[weighed]),
            own=torch.zeros(weighed.shape, dtype=torch.long),
            facts=torch.from_numpy(np.stack([one.facts for one in candidates])),
            after=torch.from_numpy(np.stack([one.after for one in candidates])),
            ends=torch.from_numpy(np.stack([one.ends for one in candidates])),
            chains=torch.from_numpy(right),
        )

    def page(self, prompt: Prompt, calls: Sequence[Call], *, learn: bool = False) -> Page:
        """The questions of these calls' parameters; with `learn` the spans of the values, too."""
        places = prompt.places[:MOST_TOKENS]
        letters, starts, ends = token_letters(prompt.text, places)
        wording = Wording(prompt.text, places)
        clauses = prompt.clauses[prompt.coarse]
        tools = [call.tool for call in calls]
        own = spoken_of(
            clauses @ self.does[tools].T + prompt.words[:, tools],
            prompt.starts[prompt.coarse],
            wording.relative,
        )
        questions = []
        for number, call in enumerate(calls):
            parameters = self.tools[call.tool].parameters
            described = [(plain_words(one.name), one.description, one.kind) for one in parameters]
            cues = cues_of(wording, described, number, len(calls), own[number])
            for one, facts in zip(parameters, cues, strict=True):
                value = call.values.get(one.name)
                spans = spans_of(prompt.text, places, starts, ends, value, one) if learn else ()
                questions.append(
                    Question(
                        self.vector_of(one),
                        self.does[call.tool],
                        one.kind,
                        one.required,
                        number,
                        facts,
                        spans,
                    )
                )
        states = np.concatenate([prompt.states, prompt.last], axis=1)[:MOST_TOKENS].astype(np.float32)
        return Page(states, letters, starts, ends, questions)

    def vector_of(self, one: Parameter) -> Array:
        """The sentence vector of a parameter's name and description."""
        text = question_text(plain_words(one.name), one.description)
        if text not in self._asked:
            self._asked[text] = self.embed([text])[0]
        return self._asked[text]


def spans_of(
    text: str, places: Sequence[tuple[int, int]], starts: Array, ends: Array, value: Any, one: Parameter
) -> tuple[tuple[int, int], ...] | None:
    """Where a value stands: first and last tokens; empty without a value, None when it stands nowhere."""
    if value is None:
        return None if one.required else ()
    wanted = " ".join(str(value).split())
    found = []
    if wanted:
        begins = {a: row for row, (a, b) in enumerate(places) if b > a and starts[row]}
        closes = {b: row for row, (a, b) in enumerate(places) if b > a and ends[row]}
        # `a, b, and c` in a prompt is the value `a, b, c`.
        pattern = re.escape(wanted).replace(",\\ ", r",\s+(?:and\s+)?").replace("\\ ", r"\s+")
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if match.start() in begins and match.end() in closes:
                found.append((begins[match.start()], closes[match.end()]))
        if not found and one.kind in ("int", "float"):
            for row, (a, _) in enumerate(places):
                for last in range(row, min(row + 8, len(places))):
                    if starts[row] and ends[last] and same_value(text[a : places[last][1]], value):
                        found.append((row, last))
        if not found and one.kind == "str" and re.fullmatch(r"\d{4}-\d\d-\d\d", wanted):
            for match in WRITTEN_DATE.finditer(text):
                known = match.start() in begins and match.end() in closes
                if known and typed_value(match.group(), "str", "date", "") == wanted:
                    found.append((begins[match.start()], closes[match.end()]))
    return tuple(found) or None


LEVELS = (LOWER, LAYERS)
