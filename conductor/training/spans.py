"""A span reader: for each parameter of each call, where in the prompt its value stands, or that it is not given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conductor.spans.cues import CUES
from conductor.spans.reader import (
    AGREEMENT,
    HEADS,
    INNER,
    KINDS,
    MOST_CALLS,
    NEAR,
    NEARNESS,
    TOO_UNLIKELY,
    WIDE,
    WIDTH,
)  # fmt: skip
from conductor.spans.tokens import LETTERS, LONGEST_SPAN, MOST_TOKENS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One parameter of one call.

    Vectors are sentence vectors, of the parameter's name with its description and of the tool. `spans` are
    the places (first and last token) of its value, or None when the value is known and stands nowhere;
    empty when the call does without the parameter. `cues` are `[tokens, CUES]`.
    """

    vector: Array
    tool: Array
    kind: str
    required: bool
    call: int
    cues: Array
    spans: tuple[tuple[int, int], ...] | None = ()


@dataclass(slots=True)
class Page:
    """A prompt as the reader sees it.

    `states` are `[tokens, 768]`, of a lower and of the last layer; `letters` `[tokens, 8]`; `starts` and
    `ends` mark the tokens at which a value may begin and end.
    """

    states: Array
    letters: Array
    starts: Array
    ends: Array
    questions: list[Question]


class SpanReader(nn.Module):  # type: ignore[misc]  # torch is not typed
    """Tokens and questions attend to each other; each question points to a first and a last token.

    The score of a span is that of its first and of its last token for the question, and how well the two
    agree as the borders of anything (Lee et al. 2016, arXiv:1611.01436); a question may have no span.
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.token = nn.Linear(2 * WIDTH, INNER)
        self.letters = nn.Linear(LETTERS, INNER)
        self.place = nn.Parameter(torch.randn(MOST_TOKENS, INNER) * 0.02)
        self.parameter = nn.Linear(WIDTH, INNER)
        self.tool = nn.Linear(WIDTH, INNER)
        self.kind = nn.Embedding(len(KINDS), INNER)
        self.required = nn.Embedding(2, INNER)
        self.call = nn.Embedding(MOST_CALLS, INNER)
        layer = nn.TransformerEncoderLayer(
            INNER, HEADS, WIDE, dropout, activation="relu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.done = nn.LayerNorm(INNER)
        self.first = nn.Linear(INNER, INNER)
        self.last = nn.Linear(INNER, INNER)
        self.opening = nn.Linear(INNER, AGREEMENT)
        self.closing = nn.Linear(INNER, AGREEMENT)
        self.near = nn.Sequential(nn.Linear(NEAR + CUES, NEARNESS), nn.ReLU(), nn.Linear(NEARNESS, 2))
        self.none = nn.Linear(INNER, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pages: Sequence[Page]) -> Tensor:
        """Log P of each span and, last, of none: `[pages, questions, tokens * tokens + 1]`.

        A span from token i to j is at `i * tokens + j`. Questions are padded to the most that a page has.
        """
        tokens = max(len(page.states) for page in pages)
        most = max(1, *(len(page.questions) for page in pages))
        x, real, allowed = _tokens_of(pages, tokens)
        read = self.dropout(self.token(x[..., : 2 * WIDTH])) + self.letters(x[..., 2 * WIDTH :])
        read = read + self.place[:tokens]
        vectors, asked, given, cues = self._questions(pages, most, tokens)
        state = self.done(
            self.layers(
                torch.cat([read, asked], dim=1), src_key_padding_mask=~torch.cat([real, given], dim=1)
            )
        )
        text, question = state[:, :tokens], state[:, tokens:]
        scale = INNER**0.5
        near = self.near(torch.cat([_nearness(x[..., WIDTH : 2 * WIDTH], real, vectors), cues], dim=3))
        first = question @ self.first(text).transpose(1, 2) / scale + near[..., 0]
        last = question @ self.last(text).transpose(1, 2) / scale + near[..., 1]
        agree = self.opening(text) @ self.closing(text).transpose(1, 2) / AGREEMENT**0.5
        spans = first[..., :, None] + last[..., None, :] + agree[:, None]
        spans = spans.masked_fill(~allowed[:, None], TOO_UNLIKELY).flatten(2)
        return torch.log_softmax(torch.cat([spans, self.none(question)], dim=2), dim=2)

    def _questions(
        self, pages: Sequence[Page], most: int, tokens: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        vectors = np.zeros((2, len(pages), most, WIDTH), dtype=np.float32)
        marks = np.zeros((3, len(pages), most), dtype=np.int64)
        given = np.zeros((len(pages), most), dtype=bool)
        cues = np.zeros((len(pages), most, tokens, CUES), dtype=np.float32)
        for row, page in enumerate(pages):
            for place, one in enumerate(page.questions):
                vectors[0, row, place], vectors[1, row, place] = one.vector, one.tool
                kind = KINDS.index(one.kind) if one.kind in KINDS else 0
                marks[:, row, place] = kind, one.required, min(one.call, MOST_CALLS - 1)
                given[row, place] = True
                cues[row, place, : len(one.cues)] = one.cues
        parameter, tool = both = torch.from_numpy(vectors)
        kinds, required, calls = torch.from_numpy(marks)
        asked = self.parameter(parameter) * 4.0 + self.tool(tool) * 4.0
        asked = asked + self.kind(kinds) + self.required(required) + self.call(calls)
        return both, self.dropout(asked), torch.from_numpy(given), torch.from_numpy(cues)

    def loss(self, pages: Sequence[Page]) -> Tensor:
        """The mean of -log P of any right span, or of none where the call does without the parameter."""
        spread = self(pages)
        tokens = max(len(page.states) for page in pages)
        right: list[list[int]] = []
        for row, page in enumerate(pages):
            for place, one in enumerate(page.questions):
                if one.spans is not None:
                    base = (row * spread.shape[1] + place) * spread.shape[2]
                    right.append([base + i * tokens + j for i, j in one.spans] or [base + tokens * tokens])
        if not right:
            return spread.sum() * 0.0
        # One gather for all: the gradient of each is as large as the whole.
        most = max(map(len, right))
        index = torch.tensor([[*places, *[-1] * (most - len(places))] for places in right])
        chosen = spread.flatten()[index.clamp(min=0)].masked_fill(index < 0, TOO_UNLIKELY)
        return -torch.logsumexp(chosen, dim=1).mean()


@dataclass(frozen=True, slots=True)
class Answer:
    """The likeliest span of a question (first and last token), its probability, and that of none."""

    span: tuple[int, int]
    likely: float
    none: float


def read_answers(reader: SpanReader, pages: Sequence[Page], most: int = 8) -> list[list[list[Answer]]]:
    """For each page and question the likeliest spans, best first."""
    reader.eval()
    found = []
    for start in range(0, len(pages), 16):
        part = pages[start : start + 16]
        with torch.no_grad():
            spread = reader(part).exp()
        tokens = max(len(page.states) for page in part)
        for row, page in enumerate(part):
            answers = []
            for place in range(len(page.questions)):
                none = float(spread[row, place, -1])
                best = spread[row, place, :-1].topk(min(most, tokens * tokens))
                answers.append(
                    [
                        Answer((int(k) // tokens, int(k) % tokens), float(p), none)
                        for p, k in zip(best.values, best.indices, strict=True)
                    ]
                )
            found.append(answers)
    return found


def _nearness(states: Tensor, real: Tensor, vectors: Tensor) -> Tensor:
    """How near each token is in meaning to each question, `[pages, questions, tokens, NEAR]`.

    The states of the last layer and sentence vectors lie in one space. To the parameter and to the tool,
    of the token itself and of what stands around it: a value stands in the clause of its call.
    """
    unit = nn.functional.normalize(states, dim=-1)
    alike = torch.einsum("btw,kbqw->kbqt", unit, vectors).masked_fill(~real[None, :, None, :], 0.0)
    kinds, pages, questions, tokens = alike.shape
    flat = alike.reshape(-1, 1, tokens)
    wide = nn.functional.avg_pool1d(flat, 15, stride=1, padding=7).view(kinds, pages, questions, tokens)
    close = nn.functional.avg_pool1d(flat, 5, stride=1, padding=2).view(kinds, pages, questions, tokens)
    best = wide - wide.amax(dim=-1, keepdim=True)
    return 4.0 * torch.cat([alike, close, wide, best]).permute(1, 2, 3, 0)


def _tokens_of(pages: Sequence[Page], tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """States with letters, which tokens are real, and which spans are allowed `[pages, tokens, tokens]`."""
    x = np.zeros((len(pages), tokens, 2 * WIDTH + LETTERS), dtype=np.float32)
    real = np.zeros((len(pages), tokens), dtype=bool)
    allowed = np.zeros((len(pages), tokens, tokens), dtype=bool)
    band = np.triu(np.ones((tokens, tokens), dtype=bool)) & ~np.triu(
        np.ones((tokens, tokens), dtype=bool), LONGEST_SPAN
    )
    for row, page in enumerate(pages):
        n = len(page.states)
        x[row, :n, : 2 * WIDTH], x[row, :n, 2 * WIDTH :], real[row, :n] = page.states, page.letters, True
        allowed[row, :n, :n] = page.starts[:, None] & page.ends[None, :] & band[:n, :n]
    return torch.from_numpy(x), torch.from_numpy(real), torch.from_numpy(allowed)
