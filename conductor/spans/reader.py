"""The span reader in plain numpy: weights that training wrote, run in the host on the encoder's states of tokens."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conductor.params.values import is_one_piece, typed_value
from conductor.spans.cues import CUES, Wording, cues_of
from conductor.spans.tokens import LETTERS, LONGEST_SPAN, MOST_TOKENS, token_letters
from symphony.errors import EnvironmentLacks

Array = np.ndarray[Any, Any]

FORMAT = "symphony.spans/1"

WIDTH = 384
INNER = 128
HEADS = 4
WIDE = 3 * INNER
AGREEMENT = 32
NEAR = 8
"""Numbers about how near a token is to a question."""
NEARNESS = 32
"""Hidden units of what weighs them and the cues."""
KINDS = ("str", "int", "float", "bool")
MOST_CALLS = 8
BROKEN = 1e-3
"""A span that runs over a quote or the end of a sentence counts for so little."""
LIKELIEST = 8
"""Spans of a question that are looked at."""
MOST_QUESTIONS = 16
TOO_UNLIKELY = -1e4


class SpansInvalid(EnvironmentLacks):
    """The span reader's weights are missing, damaged or of another shape."""

    code = "span_weights"


@dataclass(frozen=True, slots=True)
class Asked:
    """One parameter: its name in words, its description, its kind (`str`, `int`, `float`, `bool`) and whether a call
    needs it. `vector` is the sentence vector of `question_text`.
    """

    name: str
    description: str
    kind: str
    required: bool
    vector: Array


@dataclass(frozen=True, slots=True)
class Read:
    """A value that stands in the prompt from `start` to `end`; `sure` is how often such a reading is right."""

    value: Any
    sure: float
    start: int
    end: int


def question_text(name: str, description: str) -> str:
    """The text that stands for a parameter."""
    return f"{name}: {description}"


class Page:
    """A prompt as the reader sees it, the same for all that is asked about it.

    Args:
        text: the prompt.
        states: of its tokens, `[tokens, 768]`, after three layers of the encoder and after the last.
        places: where each token stands in the text; those of no length stand for nothing.
    """

    def __init__(self, text: str, states: Array, places: Sequence[tuple[int, int]]) -> None:
        self.text = text
        self.places = list(places)[:MOST_TOKENS]
        self.states = np.asarray(states[:MOST_TOKENS], dtype=np.float32)
        last = self.states[:, WIDTH:]
        self.unit = last / np.maximum(np.linalg.norm(last, axis=1, keepdims=True), 1e-12)
        self.letters, self.starts, self.ends = token_letters(text, self.places)
        self.wording = Wording(text, self.places)
        band = np.triu(np.ones((len(self.places), len(self.places)), dtype=bool))
        self.allowed = self.starts[:, None] & self.ends[None, :] & band & ~np.triu(band, LONGEST_SPAN)

    def within(self, start: int, end: int) -> Array:
        """Which tokens stand there, `[tokens]`."""
        return np.array([float(start <= a < end) for a, _ in self.places], dtype=np.float32)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Every array of the weights file with its shape, by its name in `conductor.training.spans.SpanReader`."""
    block = "layers.layers.0."
    shapes: dict[str, tuple[int, ...]] = {
        "place": (MOST_TOKENS, INNER),
        "kind.weight": (len(KINDS), INNER),
        "required.weight": (2, INNER),
        "call.weight": (MOST_CALLS, INNER),
        block + "self_attn.in_proj_weight": (3 * INNER, INNER),
        block + "self_attn.in_proj_bias": (3 * INNER,),
    }
    linear = {
        "token": (2 * WIDTH, INNER), "letters": (LETTERS, INNER), "parameter": (WIDTH, INNER), "tool": (WIDTH, INNER),
        block + "self_attn.out_proj": (INNER, INNER), block + "linear1": (INNER, WIDE),
        block + "linear2": (WIDE, INNER), "first": (INNER, INNER), "last": (INNER, INNER),
        "opening": (INNER, AGREEMENT), "closing": (INNER, AGREEMENT), "near.0": (NEAR + CUES, NEARNESS),
        "near.2": (NEARNESS, 2), "none": (INNER, 1),
    }  # fmt: skip
    for name, (a, b) in linear.items():
        shapes[name + ".weight"], shapes[name + ".bias"] = (b, a), (b,)
    for name in (block + "norm1", block + "norm2", "done"):
        shapes[name + ".weight"], shapes[name + ".bias"] = (INNER,), (INNER,)
    return shapes


class SpanReader:
    """Where the values of a call's parameters stand in a prompt, and how sure that is.

    `facts` is what training wrote down; its `calibration` turns probabilities into how often they are right.
    """

    def __init__(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        for name, shape in expected_shapes().items():
            found = arrays.get(name)
            if found is None or found.shape != shape or not np.isfinite(found).all():
                raise SpansInvalid(
                    f"The span reader's weights {name} are missing or damaged", remedy="reinstall Symphony"
                )
        self._arrays: dict[str, Array] = {n: arrays[n].astype(np.float32) for n in expected_shapes()}
        try:
            self._slope, self._offset = (float(number) for number in facts["calibration"])
        except (KeyError, TypeError, ValueError) as error:
            raise SpansInvalid(
                "The span reader's weights do not say how sure it is", remedy="reinstall Symphony"
            ) from error
        self.version = str(facts.get("version", "unnamed"))

    @classmethod
    def load(cls, file: Path) -> SpanReader:
        """Reads `spans.npz`. Raises SpansInvalid."""
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            facts = json.loads(bytes(arrays.pop("facts")).decode("utf-8"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SpansInvalid(
                f"The span reader's weights {file} cannot be read ({error})", remedy="reinstall Symphony"
            ) from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise SpansInvalid(f"{file} is no {FORMAT} file", remedy="reinstall Symphony")
        return cls(arrays, facts)

    def read(self, page: Page, asked: Sequence[Asked], tool: Array, own: Array) -> list[Read | None]:
        """For each parameter of one call the likeliest value, None where no span is one.

        `tool` is the sentence vector of what the call does, `own` `[tokens]` marks what of the prompt speaks
        of it. A span that is taken by a surer parameter is nobody else's.
        """
        asked = list(asked)[:MOST_QUESTIONS]
        if not asked or len(page.places) < 2:
            return [None] * len(asked)
        spread = self.spread(page, asked, tool, own)
        ranked = [self._readings(page, one, row) for one, row in zip(asked, spread, strict=True)]
        taken: list[Read] = []
        found: list[Read | None] = [None] * len(asked)
        for place in sorted(range(len(asked)), key=lambda k: -(ranked[k][0].sure if ranked[k] else 0.0)):
            free = (r for r in ranked[place] if all(r.end <= t.start or t.end <= r.start for t in taken))
            if (chosen := next(free, None)) is not None:
                found[place] = chosen
                taken.append(chosen)
        return found

    def _readings(self, page: Page, asked: Asked, spread: Array) -> list[Read]:
        """The values of a question, surest first; one that stands at several places is as likely as these together."""
        tokens = len(page.places)
        best = np.argpartition(-spread[:-1], min(LIKELIEST, len(spread) - 2))[:LIKELIEST]
        found: dict[str, list[tuple[float, Any, int, int]]] = {}
        for flat in best[np.argsort(-spread[best], kind="stable")]:
            start, end = page.places[int(flat) // tokens][0], page.places[int(flat) % tokens][1]
            text = page.text[start:end]
            value = typed_value(text, asked.kind, asked.name, asked.description)
            if value is None or not page.allowed.flat[int(flat)]:
                continue
            opened = page.text[max(0, start - 1) : start]
            whole = is_one_piece(text) and not (opened in ('"', "`") and opened in text)
            likely = float(spread[flat]) * (1.0 if whole else BROKEN)
            found.setdefault(str(value).lower(), []).append((likely, value, start, end))
        reads = []
        for places in found.values():
            likely = min(1.0 - 1e-6, max(1e-6, sum(one[0] for one in places)))
            _, value, start, end = max(places, key=lambda one: one[0])
            reads.append(Read(value, self.sure_of(likely), start, end))
        return sorted(reads, key=lambda read: -read.sure)

    def sure_of(self, likely: float) -> float:
        """How often a reading that the network holds so likely is right."""
        score = self._slope * float(np.log(likely / (1.0 - likely))) + self._offset
        return float(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))))

    def spread(self, page: Page, asked: Sequence[Asked], tool: Array, own: Array) -> Array:
        """P of each span and, last, of none: `[asked, tokens * tokens + 1]`; a span is at `first * tokens + last`."""
        tokens = len(page.places)
        vectors = np.stack([one.vector for one in asked])
        kinds = [KINDS.index(one.kind) if one.kind in KINDS else 0 for one in asked]
        text = self._linear("token", page.states) + self._linear("letters", page.letters)
        text = text + self._arrays["place"][:tokens]
        questions = 4.0 * self._linear("parameter", vectors) + 4.0 * self._linear("tool", tool)
        questions = questions + self._arrays["kind.weight"][kinds] + self._arrays["call.weight"][0]
        questions = questions + self._arrays["required.weight"][[int(one.required) for one in asked]]
        state = self._norm("done", self._attend(np.concatenate([text, questions])))
        text, questions = state[:tokens], state[tokens:]
        cues = np.stack(
            cues_of(page.wording, [(one.name, one.description, one.kind) for one in asked], 0, 1, own)
        )
        near = _nearness(page.unit, vectors, tool)
        hidden = np.maximum(self._linear("near.0", np.concatenate([near, cues], axis=2)), 0.0)
        borders = self._linear("near.2", hidden)
        first = questions @ self._linear("first", text).T / np.sqrt(INNER) + borders[..., 0]
        last = questions @ self._linear("last", text).T / np.sqrt(INNER) + borders[..., 1]
        agree = self._linear("opening", text) @ self._linear("closing", text).T / np.sqrt(AGREEMENT)
        spans = first[:, :, None] + last[:, None, :] + agree
        spans = np.where(page.allowed, spans, TOO_UNLIKELY).reshape(len(asked), -1)
        logits = np.concatenate([spans, self._linear("none", questions)], axis=1)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def _attend(self, x: Array) -> Array:
        """One layer of a transformer that norms first, over tokens and questions `[rows, INNER]`."""
        block, size = "layers.layers.0.", INNER // HEADS
        normed = self._norm(block + "norm1", x)
        joined = normed @ self._arrays[block + "self_attn.in_proj_weight"].T
        joined = joined + self._arrays[block + "self_attn.in_proj_bias"]
        query, key, value = joined.reshape(len(x), 3, HEADS, size).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(size)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = (weights / weights.sum(axis=2, keepdims=True)) @ value
        x = x + self._linear(block + "self_attn.out_proj", mixed.transpose(1, 0, 2).reshape(len(x), INNER))
        wide = np.maximum(self._linear(block + "linear1", self._norm(block + "norm2", x)), 0.0)
        return np.asarray(x + self._linear(block + "linear2", wide))

    def _linear(self, name: str, x: Array) -> Array:
        # As one matrix: numpy multiplies a stack of them without BLAS.
        weight = self._arrays[name + ".weight"]
        product = x.reshape(-1, x.shape[-1]) @ weight.T + self._arrays[name + ".bias"]
        return np.asarray(product.reshape(*x.shape[:-1], len(weight)))

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-5)
        return np.asarray(centred / spread * self._arrays[name + ".weight"] + self._arrays[name + ".bias"])


def _nearness(unit: Array, vectors: Array, tool: Array) -> Array:
    """How near each token, and what stands around it, is in meaning to each question `[asked, tokens, NEAR]`."""
    alike = np.stack([vectors @ unit.T, np.broadcast_to(tool @ unit.T, (len(vectors), len(unit)))])
    wide, close = _around(alike, 7), _around(alike, 2)
    best = wide - wide.max(axis=2, keepdims=True)
    return np.asarray(4.0 * np.concatenate([alike, close, wide, best]).transpose(1, 2, 0), dtype=np.float32)


def _around(rows: Array, reach: int) -> Array:
    """The mean over so many neighbours on each side; nothing stands beyond the ends, and counts as 0."""
    padded = np.pad(rows, ((0, 0), (0, 0), (reach + 1, reach)))
    summed = padded.cumsum(axis=2)
    size = 2 * reach + 1
    return np.asarray((summed[..., size:] - summed[..., :-size]) / size)
