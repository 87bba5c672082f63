"""The catalogue of Players as vectors, and how well each fits a text."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conductor.encoder.runtime import WIDTH
from conductor.lexical import LexicalIndex
from conductor.params.mentions import plain_request
from conductor.words import content_words, denies, fold
from symphony.types.players import FunctionSpec

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Embed = Callable[[Sequence[str]], Vectors]

MOST_CACHED = 100_000
"""Texts whose vectors are kept between starts, as 16-bit numbers (75 MB)."""
WORDS_ALONE = 0.8
"""What the likeness of words counts where that of meaning is not known yet."""
OFFERED_EXAMPLES = 3
"""Examples of a Player that is only offered which count: it is named where it would help, never composed with."""
FIRST_OFFERS = 256
"""So many texts of Players that are only offered are embedded with the others: the registry that ships is no larger."""
AT_ONCE = 1_000
"""Texts that are embedded between two writes of the kept vectors, where nobody waits for them."""

DENIED = 0.3
"""What a text that says `nobody` or `not` loses against one that does not: to the encoder both mean nearly the same."""

BEST, MEAN, LEXICAL = 0.75, 0.25, 0.30
"""Weights of the best text, the mean of the best three, and the likeness of words, in a score."""


def key_texts(spec: FunctionSpec) -> list[str]:
    """The texts that stand for a Player: its description, its name in words, and its examples."""
    named = spec.function.replace("_", " ").replace("-", " ")
    extension = spec.extension.partition("/")[2].replace("-", " ")
    examples = spec.examples if spec.available else spec.examples[:OFFERED_EXAMPLES]
    return [spec.description, f"{extension} {named}", *map(plain_request, examples)]


class Catalogue:
    """Players with the vectors of their texts.

    Args:
        functions: the Players; the order is that of every score vector.
        embed: the sentence encoder, or None: then words alone decide.
        cache_dir: where vectors are kept between starts, by a hash of each text and of the encoder.
        encoder_version: part of that hash.

    Texts of Players that are only offered are not embedded here, for there may be ten thousand: those that no
    earlier start has embedded are compared by their words until `go_on` has come to them.
    """

    def __init__(
        self,
        functions: Sequence[FunctionSpec],
        embed: Embed | None,
        *,
        cache_dir: Path | None = None,
        encoder_version: str = "",
    ) -> None:
        self.functions = list(functions)
        texts = [key_texts(spec) for spec in self.functions]
        self.texts = [text for part in texts for text in part]
        self._denied = np.array([denies(text) for text in self.texts], dtype=bool)
        counts = [len(part) for part in texts]
        self.starts = np.cumsum([0, *counts[:-1]]) if counts else np.zeros(0, dtype=np.int64)
        self.counts = np.array(counts, dtype=np.int64)
        self._widest = max(counts, default=0)
        self._places = np.array(
            [f * self._widest + k for f, n in enumerate(counts) for k in range(n)], np.intp
        )
        """Where each text stands when each Player has room for as many as the one that has most."""
        self.lexical = LexicalIndex(self.texts)
        self.vectors: Vectors | None = None
        self._embed, self._kept = embed, Kept(cache_dir, encoder_version)
        self._open: list[int] = []
        if embed is not None and self.texts:
            needed = [spec.available for spec, part in zip(self.functions, texts, strict=True) for _ in part]
            known = self._kept.read(self.texts)
            new = [p for p, text in enumerate(self.texts) if text not in known]
            now = [p for p in new if needed[p]] + [p for p in new if not needed[p]][:FIRST_OFFERS]
            known |= self._kept.embedded([self.texts[p] for p in now], embed)
            self._open = [p for p, text in enumerate(self.texts) if text not in known]
            self.vectors = np.zeros((len(self.texts), WIDTH), dtype=np.float32)
            for place, text in enumerate(self.texts):
                if text in known:
                    self.vectors[place] = known[text]
        self.vocabulary = frozenset(w for text in self.texts for w in content_words(text))
        self._shares = self._word_shares()
        self._words: dict[int, frozenset[str]] = {}
        self.means = self._means()

    def go_on(self, most: int = AT_ONCE) -> int:
        """Embeds up to so many texts of Players that are only offered; answers with how many are left."""
        if self._embed is None or self.vectors is None:
            return 0
        now, self._open = self._open[:most], self._open[most:]
        known = self._kept.embedded([self.texts[place] for place in now], self._embed)
        for place in now:
            self.vectors[place] = known[self.texts[place]]
        return len(self._open)

    def _means(self) -> Vectors | None:
        """One unit vector for each Player: the mean of its texts."""
        if self.vectors is None:
            return None
        summed = np.add.reduceat(self.vectors, self.starts, axis=0)
        unit: Vectors = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)
        return unit

    def scores(
        self, texts: Sequence[str], vectors: Vectors | None, hidden: np.ndarray[Any, Any] | None = None
    ) -> Vectors:
        """How well each Player fits each text: `[len(texts), len(functions)]`, about 0 to 1.3.

        `vectors` are the texts' sentence vectors (None without an encoder). `hidden` marks key texts
        that must not count; training hides the example that a prompt was made from.
        """
        if not self.functions or not texts:
            return np.zeros((len(texts), len(self.functions)), dtype=np.float32)
        words = self.lexical.similarity(texts)
        if vectors is None or self.vectors is None:
            return self._pool(words, hidden)
        likeness: Vectors = vectors @ self.vectors.T
        if self._open:
            likeness[:, self._open] = WORDS_ALONE * words[:, self._open]
        said = np.array([not denies(text) for text in texts], dtype=bool)
        likeness[np.ix_(said, self._denied)] -= DENIED
        words[np.ix_(said, self._denied)] -= DENIED
        meaning = self._pool(likeness, hidden)
        return meaning + LEXICAL * self._pool(words, hidden)

    def _pool(self, similar: Vectors, hidden: np.ndarray[Any, Any] | None) -> Vectors:
        """From texts to Players: the best text and the mean of the best three."""
        if hidden is not None:
            similar = np.where(hidden[None, :], -1.0, similar)
        padded = np.full((len(similar), len(self.counts) * self._widest), -1.0, dtype=np.float32)
        padded[:, self._places] = similar
        best = np.sort(padded.reshape(len(similar), -1, self._widest), axis=2)[:, :, ::-1][:, :, :3]
        usable = np.maximum(best, -0.2)
        pooled: Vectors = BEST * usable[:, :, 0] + MEAN * usable.mean(axis=2)
        return pooled.astype(np.float32)

    def _word_shares(self) -> dict[str, dict[int, float]]:
        """For each word, how much of its use falls to each Player; only uses that are no accident count."""
        uses: dict[str, Counter[int]] = {}
        for function, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            for text in self.texts[int(start) : int(start + count)]:
                for word in set(map(stem, content_words(text))):
                    uses.setdefault(word, Counter())[function] += 1
        return {
            word: {f: (n - 0.5) / sum(by.values()) for f, n in by.items() if n > 1}
            for word, by in uses.items()
            if max(by.values()) > 1
        }

    def evidence(self, text: str) -> Vectors:
        """How far single words speak for Players: `[words, functions]`, near 1 for a word that only one uses."""
        rows = [shares for word in content_words(text) if (shares := self._shares.get(stem(word)))]
        found: Vectors = np.zeros((len(rows), len(self.functions)), dtype=np.float32)
        for row, shares in enumerate(rows):
            for function, share in shares.items():
                found[row, function] = share
        return found

    def words_of(self, function: int) -> frozenset[str]:
        """The stems of the words of a Player's texts."""
        known = self._words.get(function)
        if known is None:
            span = slice(int(self.starts[function]), int(self.starts[function] + self.counts[function]))
            known = frozenset(stem(w) for text in self.texts[span] for w in content_words(text))
            self._words[function] = known
        return known

    def closest_text(self, function: int, vector: Vectors | None, text: str) -> str:
        """The description or example of a Player that is closest to `text`."""
        span = slice(int(self.starts[function]), int(self.starts[function] + self.counts[function]))
        if vector is not None and self.vectors is not None:
            similar = self.vectors[span] @ vector
        else:
            similar = self.lexical.similarity([text])[0][span]
        return self.texts[span][int(np.argmax(similar))]

    def knows_words(self, text: str) -> float:
        """The share of a text's content words that occur somewhere in the catalogue."""
        words = content_words(text)
        known = sum(fold(w) in self.vocabulary or fold(w).rstrip("s") in self.vocabulary for w in words)
        return known / len(words) if words else 0.0


def stem(word: str) -> str:
    """A word without the ending of its plural."""
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


class Kept:
    """Vectors that are kept between starts, in one file for each encoder.

    A file that is damaged or cannot be written costs the time of embedding and nothing else.
    """

    def __init__(self, folder: Path | None, version: str) -> None:
        self._file = folder / f"keys-{version}.npz" if folder is not None else None

    def read(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those of the texts that are kept, by text."""
        known = _read_cache(self._file) if self._file is not None else {}
        return {text: known[digest] for text in texts if (digest := _digest(text)) in known}

    def embedded(self, texts: Sequence[str], embed: Embed) -> dict[str, Vectors]:
        """The texts' vectors, embedded now and kept."""
        if not texts:
            return {}
        # As they are kept, so that the first start and the next compare alike.
        made = dict(zip(texts, embed(texts).astype(np.float16).astype(np.float32), strict=True))
        if self._file is not None:
            known = _read_cache(self._file) | {_digest(text): vector for text, vector in made.items()}
            _write_cache(self._file, dict(list(known.items())[-MOST_CACHED:]))
        return made


def cached_vectors(texts: Sequence[str], embed: Embed, folder: Path | None, version: str) -> Vectors:
    """The texts' vectors; those that an earlier start has embedded come from the cache file."""
    kept = Kept(folder, version)
    known = kept.read(texts)
    known |= kept.embedded([text for text in dict.fromkeys(texts) if text not in known], embed)
    return np.stack([known[text] for text in texts]).astype(np.float32) if texts else embed(texts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_cache(file: Path) -> dict[str, Vectors]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            digests, vectors = stored["digests"], stored["vectors"].astype(np.float32)
        if len(digests) == len(vectors) and np.isfinite(vectors).all():
            return dict(zip(map(str, digests), vectors, strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return {}


def _write_cache(file: Path, known: dict[str, Vectors]) -> None:
    """Through a file of this process' own: another Conductor may write at the same time."""
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as opened:
            np.savez(
                opened,
                digests=np.array(list(known)),
                vectors=np.stack(list(known.values())).astype(np.float16),
            )
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
