"""Runs the sentence encoder: texts in, unit vectors out, with a small cache."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from symphony.errors import EnvironmentLacks

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

WIDTH = 384
"""Length of a sentence vector."""
RECENT = 8
"""Texts whose tokens' states are kept (up to 0.8 MB each): who asks for them has just had the text embedded."""


class EncoderMissing(EnvironmentLacks):
    """The encoder's files are not there or cannot be read."""

    code = "encoder_missing"


class Embedder(Protocol):
    """What the Conductor needs of a sentence encoder."""

    @property
    def version(self) -> str:
        """Changes with the vectors: part of the name under which they are kept."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors `[len(texts), 384]`, float32, in the order of `texts`."""
        ...

    def embed_all(self, texts: Sequence[str]) -> Vectors:
        """Like `embed`, for a catalogue."""
        ...


@runtime_checkable
class TokenReader(Protocol):
    """An encoder that also tells what it makes of each token."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As of `Embedder`."""
        ...

    def tokens(self, text: str) -> tuple[Vectors, list[tuple[int, int]]]:
        """States of a text's tokens `[tokens, 768]`, float32, and where each stands in the text."""
        ...

    def knows(self, word: str) -> bool:
        """Whether its vocabulary has a word whole."""
        ...


class Encoder:
    """all-MiniLM-L6-v2 under ONNX Runtime, one thread a text, and two texts of a prompt at a time.

    Safe to use from several threads at once.

    Args:
        folder: holds `encoder.onnx` and `tokenizer.json`, as written by `conductor.encoder.build`.
        cache: how many texts' vectors are kept (1.5 KB each).
    """

    def __init__(self, folder: Path, cache: int = 2048) -> None:
        # Imported here: the host's import stays free of these (87 ms).
        from concurrent.futures import ThreadPoolExecutor

        import onnxruntime
        from tokenizers import Tokenizer

        graph, vocabulary = encoder_files(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        if not _has_vnni():
            # Such processors overflow in u8 x s8 products; the kernels for u8 x u8 do not, and are slower.
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(vocabulary))
        except Exception as error:  # both libraries raise their own, undeclared kinds
            raise EncoderMissing(
                f"The sentence encoder in {folder} cannot be read ({error})",
                remedy="run `make build` to write it anew",
            ) from error
        self._cache: OrderedDict[str, Vectors] = OrderedDict()
        self._capacity = cache
        self._has_states = any(one.name == "states" for one in self._session.get_outputs())
        self._states: OrderedDict[str, tuple[Vectors, list[tuple[int, int]]]] = OrderedDict()
        self._lock = threading.Lock()
        # Its thread starts with the first prompt that has several texts.
        self._helper = ThreadPoolExecutor(1, "encoder") if _cores() > 1 else None
        self.version = encoder_version(folder)

    def knows(self, word: str) -> bool:
        """Whether its vocabulary has a word whole."""
        return self._tokenizer.token_to_id(word.lower()) is not None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors `[len(texts), 384]`, float32, in the order of `texts`.

        Each text runs alone: activations are quantized by tensor, so that in a batch a vector would
        depend on its neighbours, and one thread gains next to nothing from batches.
        """
        import numpy as np

        found: dict[str, Vectors] = {}
        with self._lock:
            for text in texts:
                if text in self._cache:
                    self._cache.move_to_end(text)
                    found[text] = self._cache[text]
        made = self._made([text for text in dict.fromkeys(texts) if text not in found])
        for text, vector in made.items():
            self._remember(text, vector)
        found |= made
        return np.stack([found[text] for text in texts]) if texts else np.empty((0, WIDTH), np.float32)

    def _made(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of different texts, made by this thread and, where there are several, one that helps."""
        made: dict[str, Vectors] = {}
        # The longest first, so that both end at about the same time.
        waiting = deque(sorted(texts, key=len, reverse=True))

        def work() -> None:
            while True:
                try:
                    text = waiting.popleft()
                except IndexError:
                    return
                made[text] = self._read(text)[0] if self._has_states else self._run(text)

        helped = self._helper.submit(work) if self._helper is not None and len(texts) > 1 else None
        work()
        if helped is not None and not helped.cancel():
            helped.result()
        return made

    def embed_all(self, texts: Sequence[str]) -> Vectors:
        """Like `embed`, for a catalogue: nothing stays in the cache of prompts."""
        import numpy as np

        return np.stack([self._run(text) for text in texts]) if texts else np.empty((0, WIDTH), np.float32)

    def tokens(self, text: str) -> tuple[Vectors, list[tuple[int, int]]]:
        """States of a text's tokens `[tokens, 768]`, float32, and where each stands in the text.

        Those after half of the layers, then those after all. Raises EncoderMissing when the encoder was written
        before it told them.
        """
        if not self._has_states:
            raise EncoderMissing("The sentence encoder tells nothing of tokens", remedy="run `make build`")
        with self._lock:
            known = self._states.get(text)
        return self._read(text)[1] if known is None else known

    def _run(self, text: str) -> Vectors:
        import numpy as np

        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        vector: Vectors = self._session.run(["vectors"], {"ids": ids, "mask": np.ones_like(ids)})[0][0]
        return vector

    def _read(self, text: str) -> tuple[Vectors, tuple[Vectors, list[tuple[int, int]]]]:
        """The vector of a text, with the states that its tokens take on the way, which are kept for a while."""
        import numpy as np

        encoded = self._tokenizer.encode(text)
        ids = np.array([encoded.ids], dtype=np.int64)
        vectors, states = self._session.run(["vectors", "states"], {"ids": ids, "mask": np.ones_like(ids)})
        tokens = states[0], list(encoded.offsets)
        with self._lock:
            self._states[text] = tokens
            while len(self._states) > RECENT:
                self._states.popitem(last=False)
        return vectors[0], tokens

    def _remember(self, text: str, vector: Vectors) -> None:
        with self._lock:
            self._cache[text] = vector
            while len(self._cache) > self._capacity:
                self._cache.popitem(last=False)


def encoder_files(folder: Path) -> tuple[Path, Path]:
    """Graph and vocabulary of the encoder in `folder`. Raises EncoderMissing."""
    graph, vocabulary = folder / "encoder.onnx", folder / "tokenizer.json"
    for file in (graph, vocabulary):
        if not file.is_file():
            raise EncoderMissing(f"The sentence encoder {file} is missing", remedy="run `make build`")
    return graph, vocabulary


def encoder_version(folder: Path) -> str:
    """Tells one build of an encoder from another, without loading it. Raises EncoderMissing."""
    graph, _ = encoder_files(folder)
    return hashlib.sha256(f"{graph.stat().st_size}:{_tail(graph)}".encode()).hexdigest()[:16]


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_vnni() -> bool:
    """Whether the processor multiplies 8-bit numbers without overflow; false when that cannot be known."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def _tail(file: Path) -> str:
    """The end of a file as hexadecimal digits: enough to tell one build of the encoder from another."""
    with file.open("rb") as opened:
        opened.seek(-min(4096, file.stat().st_size), 2)
        return opened.read().hex()
