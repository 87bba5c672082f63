"""What past requests say of a new one: those that ship, as they were fitted, and those that were asked here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from conductor.past.requests import Request
from conductor.past.words import words_of
from conductor.retrieval import Embed
from pit_native import ChoiceRecall
from symphony.errors import EnvironmentLacks
from symphony.types.players import FunctionSpec

Array = np.ndarray[Any, np.dtype[np.float32]]

FILE_NAME = "past.npz"
"""Beside the encoder with whose vectors it was fitted."""
FORMAT = "symphony.past/1"
OWN_SHARPNESS = 16.0
"""What was asked here speaks for what is nearly the same alone: it was said once, and how is not known."""
OWN_RIDGE = 0.05
TWINS = 0.9
"""From this cosine of their texts on two Players do the same."""
_ARRAYS = ("vectors", "scales", "weights", "rarity", "by_word", "usual")


class PastInvalid(EnvironmentLacks):
    """The past that Symphony comes with is missing, damaged or of another kind."""

    code = "past"


@dataclass(frozen=True, slots=True)
class Said:
    """What the past says of some texts, a row each: how likely each Player takes part, how likely nobody serves it,
    and how near the nearest request was.
    """

    votes: Array
    unserved: Array
    nearest: Array
    speaks: np.ndarray[Any, np.dtype[np.bool_]]
    """Whether it is asked at all: a text may be for a Player of whom the past knows nothing."""

    def but_for(self, strange: np.ndarray[Any, np.dtype[np.bool_]]) -> Said:
        """The same without a word on the texts that are for strange Players."""
        return replace(self, unserved=np.where(strange, 0.0, self.unserved), speaks=self.speaks & ~strange)


class Recollection:
    """What `fitting.fit` learnt of requests: how likely each of `players`, and nobody, serves a text.

    Args:
        arrays: `vectors`, `scales`, `weights`, `rarity`, `by_word` and `usual`, as of `pit_native.ChoiceRecall`.
        words: those of `rarity` and `by_word`.
        players: the outcomes but the last, which is that nobody does.
        facts: `version`, `encoder`, `requests`, `sharpness`.

    Raises ValueError for numbers that are damaged or do not fit together.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray[Any, Any]],
        words: Sequence[str],
        players: Sequence[str],
        facts: Mapping[str, Any],
    ) -> None:
        self.players = tuple(players)
        self.facts = dict(facts)
        self.version = str(facts["version"])
        whole = all(np.isfinite(array).all() for array in arrays.values())
        if not whole or len(arrays["usual"]) != len(players) + 1:
            raise ValueError("its numbers are damaged")
        self._recall = ChoiceRecall(
            arrays["vectors"],
            arrays["scales"],
            arrays["weights"],
            words,
            arrays["rarity"],
            arrays["by_word"],
            arrays["usual"],
            float(facts["sharpness"]),
        )

    @classmethod
    def load(cls, folder: Path, encoder: str) -> Recollection:
        """Reads the `past.npz` of an encoder's folder. Raises PastInvalid."""
        file = folder / FILE_NAME
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                facts = json.loads(bytes(stored["facts"]).decode("utf-8"))
                words, players = (bytes(stored[n]).decode("utf-8").split("\n") for n in ("words", "players"))
                if facts["format"] != FORMAT or facts["encoder"] != encoder:
                    raise ValueError(f"it is of {facts['format']} and the encoder {facts['encoder']}")
                arrays = {name: stored[name] for name in _ARRAYS}
                # Written as 16-bit numbers.
                wide = {name: arrays[name].astype(np.float32) for name in _ARRAYS if name != "vectors"}
                return cls(arrays | wide, words, players, facts)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise PastInvalid(
                f"What past requests teach cannot be read from {file} ({error})", remedy="run `make build`"
            ) from error

    def about(self, vectors: Array, texts: Sequence[str]) -> tuple[Array, Array]:
        """How likely each Player and last nobody serves each text, `[texts, players + 1]` about 0 to 1, and the cosine
        of the nearest request `[texts]`. `texts` are English, `vectors` `[texts, 384]` theirs as plain requests.
        """
        likely: Array = np.empty((len(texts), len(self.players) + 1), dtype=np.float32)
        nearest: Array = np.empty(len(texts), dtype=np.float32)
        asked = np.ascontiguousarray(vectors, dtype=np.float32)
        self._recall.about(asked, [words_of(text) for text in texts], likely, nearest)
        return likely, nearest


class Past:
    """The past of a table's Players.

    Args:
        recollection: what ships, if anything.
        own: what was asked and served on this machine; nothing of it is kept on the disk here. Requests for Players
            that are not there are left out.
        functions: the Players, in the order of every vote.
        embed: the sentence encoder.
        means: the Players' vectors, `[functions, 384]`, by which those are told that do the same.
        before: the past until now, whose vectors need not be made again.
    """

    def __init__(
        self,
        recollection: Recollection | None,
        own: Sequence[Request],
        functions: Sequence[FunctionSpec],
        embed: Embed,
        means: Array | None = None,
        before: Past | None = None,
    ) -> None:
        self._recollection = recollection
        self._count = len(functions)
        places = {spec.player: place for place, spec in enumerate(functions)}
        self.known = np.zeros(len(functions), dtype=bool)
        """The Players of whom what ships knows what they serve, and what they do not."""
        taught = recollection.players if recollection is not None else ()
        self._columns = np.array([c for c, player in enumerate(taught) if player in places], dtype=np.intp)
        self._places = np.array([places[player] for player in taught if player in places], dtype=np.intp)
        self.known[self._places] = True
        self._own = [one for one in own if all(player in places for player in one.players)]
        self._prompts: dict[str, Array] = before._prompts if before is not None else {}
        new = [one for one in self._own if one.prompt not in self._prompts]
        made: Sequence[Array] = list(embed([one.plain for one in new])) if new else []
        self._prompts = self._prompts | {o.prompt: v for o, v in zip(new, made, strict=True)}
        self._prompts = {one.prompt: self._prompts[one.prompt] for one in self._own}
        if self._own:
            self._learn(places)
        self.twins = np.arange(len(functions), dtype=np.intp)
        """For each Player itself, or the one that does the same and that the past knows in its place."""
        if means is not None and self.known.any():
            self._find_twins(means)
        self.is_strange: np.ndarray[Any, np.dtype[np.bool_]] = ~self.known[self.twins]
        """The Players of whom, and of whose like, it knows at most what they served here."""

    def _find_twins(self, means: Array) -> None:
        known, unknown = np.flatnonzero(self.known), np.flatnonzero(~self.known)
        unit = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        alike = unit[unknown] @ unit[known].T
        near = alike.max(axis=1, initial=-1.0) >= TWINS
        self.twins[unknown[near]] = known[alike[near].argmax(axis=1)]

    def _learn(self, places: Mapping[str, int]) -> None:
        """Fits what was asked here, on top of what ships."""
        self._vectors: Array = np.stack([self._prompts[one.prompt] for one in self._own])
        expected: Array = np.zeros((len(self._own), self._count + 1), dtype=np.float32)
        for row, one in enumerate(self._own):
            expected[row, [places[player] for player in one.players]] = 1.0
            expected[row, -1] = not one.players
        shipped, _ = self._shipped(self._vectors, [one.english for one in self._own])
        kernel = np.exp(OWN_SHARPNESS * (self._vectors @ self._vectors.T - 1.0))
        kernel[np.diag_indices(len(kernel))] += OWN_RIDGE
        found: Array = np.linalg.solve(kernel, expected - shipped).astype(np.float32)
        # Of ten thousand Players that are offered nearly all served nothing.
        self._moved = np.flatnonzero(found.any(axis=0))
        self._weights: Array = found[:, self._moved]

    def _shipped(self, vectors: Array, texts: Sequence[str]) -> tuple[Array, Array]:
        """What ships says, `[texts, Players + 1]`, and the nearest cosines."""
        all_said: Array = np.zeros((len(texts), self._count + 1), dtype=np.float32)
        if self._recollection is None:
            return all_said, np.zeros(len(texts), dtype=np.float32)
        likely, nearest = self._recollection.about(vectors, texts)
        all_said[:, self._places] = likely[:, self._columns]
        all_said[:, -1] = likely[:, -1]
        return all_said, nearest

    def about(self, vectors: Array, texts: Sequence[str]) -> Said:
        """What it says of English texts, and of their vectors as plain requests, `[texts, 384]`."""
        said, nearest = self._shipped(vectors, texts)
        if self._own:
            alike = vectors @ self._vectors.T
            said[:, self._moved] += np.exp(OWN_SHARPNESS * (alike - 1.0)) @ self._weights
            nearest = np.maximum(nearest, alike.max(axis=1))
        said = np.clip(said, 0.0, 1.0)
        return Said(said[:, :-1], said[:, -1], nearest, np.ones(len(said), dtype=bool))
