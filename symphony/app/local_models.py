"""Local models as entries of the Pool Manager: loaded when used or expected, unloaded when idle or for room."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from symphony.config.orchestration import LocalModel
from symphony.errors import SymphonyError

if TYPE_CHECKING:
    from conductor.encoder.runtime import Encoder, Vectors

ENCODER = "sentence encoder"
"""The entry of the Conductor's encoder, which also answers the Players' `model.embed`."""


class ModelPool(Protocol):
    """What is needed of `pit_native.Runtime`."""

    def register_model(self, id: str, loader: Any, *, memory: int = 0, idle: float | None = None) -> None: ...

    def hold_model(self, id: str, timeout: float | None = None) -> AbstractContextManager[Any]: ...


class LocalModels:
    """Makes the models known that live in the host. `idle`: a model unused for so many seconds is unloaded, unless
    its entry in `models.yaml`, which `rules` gives by name, says otherwise.
    """

    def __init__(
        self, pool: ModelPool, idle: float, rules: Callable[[], Mapping[str, LocalModel]] = dict
    ) -> None:
        self._pool = pool
        self._idle = idle
        self._rules = rules

    def encoder(self, folder: Path) -> PooledEncoder:
        """The sentence encoder of a folder, loaded unless `models.yaml` says otherwise. Raises SymphonyError when it
        cannot be.
        """
        from conductor.encoder.runtime import encoder_files, encoder_version

        declared = sum(file.stat().st_size for file in encoder_files(folder))
        rule = self._rules().get(ENCODER, LocalModel())
        self._pool.register_model(
            ENCODER, lambda _: _LoadedEncoder(folder, declared), memory=declared, idle=rule.idle or self._idle
        )
        encoder = PooledEncoder(self._pool, encoder_version(folder))
        if rule.prewarm:
            encoder.load()
        return encoder


class PooledEncoder:
    """A sentence encoder that is held while it embeds, and else may go."""

    def __init__(self, pool: ModelPool, version: str) -> None:
        self._pool = pool
        self.version = version

    def load(self) -> None:
        """Has it loaded before it is needed."""
        with self._hold():
            pass

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.embed`."""
        with self._hold() as encoder:
            return encoder.embed(texts)

    def embed_all(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.embed_all`."""
        with self._hold() as encoder:
            return encoder.embed_all(texts)

    def tokens(self, text: str) -> tuple[Vectors, list[tuple[int, int]]]:
        """As `Encoder.tokens`."""
        with self._hold() as encoder:
            return encoder.tokens(text)

    def knows(self, word: str) -> bool:
        """As `Encoder.knows`."""
        with self._hold() as encoder:
            return encoder.knows(word)

    def _hold(self) -> AbstractContextManager[Encoder]:
        try:
            return self._pool.hold_model(ENCODER)
        except SymphonyError as error:
            error.remedy = error.remedy or "run `make build` to write the encoder anew"
            raise


class _LoadedEncoder:
    """What the pool loads, warms and measures."""

    def __init__(self, folder: Path, declared: int) -> None:
        # `conductor` first, for it keeps the runtime from sending what it does; the libraries before the model, for
        # they stay when it goes.
        from conductor.encoder.runtime import Encoder  # isort: skip
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401

        self._least = declared
        self._before = _resident()
        self._encoder = Encoder(folder)
        self.embed, self.embed_all = self._encoder.embed, self._encoder.embed_all
        self.tokens, self.knows = self._encoder.tokens, self._encoder.knows

    def warm(self) -> None:
        """The first sentence allocates what all others use."""
        self._encoder.embed_all(["a first sentence"])

    def memory_in_use(self) -> int:
        """Bytes by which the process has grown; no less than the files, for others free memory meanwhile."""
        return max(_resident() - self._before, self._least)


def _resident() -> int:
    """Bytes of this process in main memory; 0 where that cannot be known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
