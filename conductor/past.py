"""Requests that were asked before, and the Players that served them: who asks in like words likely means the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conductor.gloss import glossed, language_of
from conductor.params.mentions import plain_request
from conductor.retrieval import Embed, cached_vectors
from symphony.types.players import FunctionSpec

Array = np.ndarray[Any, np.dtype[np.float32]]

FILE_NAME = "requests.jsonl"
"""In the folder of the bundled extensions."""
NEAREST = 10
"""So many of the past requests have a say."""
SHARP = 16.0
"""How much more a nearer one has to say."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked, and the Players that served it in the order of the data; none for what nobody serves."""

    prompt: str
    language: str
    players: tuple[str, ...]
    missing: str = ""
    """The words of the half that nobody serves."""
    is_own: bool = False
    """Whether it was asked on this machine: nothing of it is kept on the disk here."""


def read_requests(file: Path) -> list[Request]:
    """The requests of a file of JSON lines with `prompt`, `language`, `players`. Raises OSError, ValueError."""
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return [
        Request(str(one["prompt"]), str(one["language"]), tuple(one["players"]), str(one.get("missing", "")))
        for one in lines
    ]


def shipped_requests(extensions: Path) -> list[Request]:
    """Those that lie in a folder of extensions; none where it has no such file. Raises as `read_requests`."""
    file = extensions / FILE_NAME
    return read_requests(file) if file.is_file() else []


@dataclass(frozen=True, slots=True)
class Said:
    """What the past says of some texts, a row each: how likely each Player serves it, how likely nobody does,
    and how near the nearest request was.
    """

    votes: Array
    unserved: Array
    nearest: Array


class Past:
    """Past requests over a table's Players; those that Players served which are not there are left out.

    Args:
        requests: what was asked.
        functions: the Players, in the order of every vote.
        embed: the sentence encoder.
        cache_dir: where vectors are kept between starts.
        version: of the encoder.
        before: the past until now, whose vectors need not be made again.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        functions: Sequence[FunctionSpec],
        embed: Embed,
        cache_dir: Path | None = None,
        version: str = "",
        before: Past | None = None,
    ) -> None:
        places = {spec.player: place for place, spec in enumerate(functions)}
        kept = [one for one in requests if all(player in places for player in one.players)]
        self._places = {one.prompt: place for place, one in enumerate(kept)}
        known = {} if before is None else {p: before._vectors[row] for p, row in before._places.items()}
        for is_own, folder in ((False, cache_dir), (True, None)):
            new = [one for one in kept if one.is_own is is_own and one.prompt not in known]
            made = cached_vectors([_understood(one) for one in new], embed, folder, version)
            known |= {one.prompt: vector for one, vector in zip(new, made, strict=True)}
        self._vectors: Array = np.stack([known[one.prompt] for one in kept]) if kept else embed([])
        # Only the Players that served something: the registry may offer ten thousand others.
        used = sorted({places[player] for one in kept for player in one.players})
        self._used, self._players = np.array(used, dtype=np.intp), len(functions)
        columns = {place: column for column, place in enumerate(used)}
        self._served: Array = np.zeros((len(kept), len(used)), dtype=np.float32)
        for row, one in enumerate(kept):
            self._served[row, [columns[places[player]] for player in one.players]] = 1.0
        self._refused = np.array([not one.players for one in kept], dtype=np.float32)
        self._several = self._served.sum(axis=1) > 1

    def about(self, vectors: Array, hidden: str = "", *, parts: bool = False) -> Said:
        """What it says of texts with these sentence vectors, `[rows, 384]`.

        `hidden` is a request that must not count, as in training on it. With `parts` the rows from the second on are
        parts of the first: what took several Players says nothing of them.
        """
        votes: Array = np.zeros((len(vectors), self._players), dtype=np.float32)
        if not len(self._vectors):
            empty = np.zeros(len(vectors), dtype=np.float32)
            return Said(votes, empty, empty)
        alike: Array = vectors @ self._vectors.T
        if hidden in self._places:
            alike[:, self._places[hidden]] = -1.0
        if parts:
            alike[1:, self._several] = -1.0
        count = min(NEAREST, alike.shape[1])
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(alike, nearest, axis=1)
        weights = np.exp(SHARP * (near - near.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        votes[:, self._used] = np.matmul(weights[:, None, :], self._served[nearest])[:, 0]
        unserved: Array = (weights * self._refused[nearest]).sum(axis=1).astype(np.float32)
        return Said(votes, unserved, near.max(axis=1))


def _understood(request: Request) -> str:
    """A request as the encoder understands it."""
    language = (
        request.language if request.language in ("en", "de", "fr", "es") else language_of(request.prompt)
    )
    return plain_request(request.prompt if language == "en" else glossed(request.prompt, language))
