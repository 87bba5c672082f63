"""The sentence encoder gives unit vectors that do not depend on what was embedded beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from conductor.encoder import Encoder, EncoderMissing
from conductor.retrieval import cached_vectors

from .conftest import ENCODER


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(ENCODER)


def test_vectors_have_length_one_and_meaning(encoder: Encoder) -> None:
    vectors = encoder.embed(["The new movie is awesome", "The new film is so great", "A cat sits outside"])
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.7 and abs(similar[0, 2]) < 0.2


def test_a_text_has_one_vector_alone_or_in_company(encoder: Encoder) -> None:
    alone = Encoder(ENCODER).embed(["find dead code"])[0]
    company = encoder.embed(["a much longer text about something else entirely, " * 8, "find dead code"])[1]
    assert np.array_equal(alone, company)
    assert np.array_equal(encoder.embed(["find dead code"])[0], company), "from the cache"


def test_texts_that_are_embedded_at_once_have_the_vectors_that_they_have_alone() -> None:
    texts = [f"list the {what} of the last {n} weeks" for n in range(6) for what in ("commits", "open TODOs")]
    both, alone = Encoder(ENCODER), Encoder(ENCODER)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(both.embed, [texts, texts[::-1], [*texts[3:], texts[0], texts[0]]]))
    wanted = np.concatenate([alone.embed([text]) for text in texts])
    assert np.array_equal(found[0], wanted) and np.array_equal(found[1], wanted[::-1])
    assert np.array_equal(found[2], wanted[[*range(3, 12), 0, 0]])
    assert both.embed([]).shape == (0, 384)


def test_what_becomes_of_the_tokens_makes_up_the_vector(encoder: Encoder) -> None:
    text = "Close the release branch"
    states, places = encoder.tokens(text)
    assert states.shape == (len(places), 768) and states.dtype == np.float32
    assert [text[a:b] for a, b in places] == ["", "Close", "the", "release", "branch", ""]
    mean = states[:, 384:].mean(axis=0)
    assert np.allclose(mean / np.linalg.norm(mean), encoder.embed([text])[0], atol=1e-5)
    assert not np.allclose(states[:, :384], states[:, 384:], atol=0.1), "half of the layers are another thing"


def test_the_states_that_embedding_left_are_those_of_their_text(encoder: Encoder) -> None:
    texts = [f"close the release branch of version {n}" for n in range(12)]
    encoder.embed(texts)
    alone = Encoder(ENCODER)
    for text in texts:
        states, places = encoder.tokens(text)
        anew, there = alone.tokens(text)
        assert np.array_equal(states, anew) and places == there, text


def test_long_and_odd_texts_are_embedded(encoder: Encoder) -> None:
    vectors = encoder.embed(["word " * 5000, "", "日本語のテキスト", "\x00\ufffd"])
    assert np.isfinite(vectors).all()


def test_missing_or_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderMissing, match="missing"):
        Encoder(tmp_path)
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderMissing, match="cannot be read"):
        Encoder(tmp_path)


def test_only_new_texts_are_embedded_again(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        asked.append(list(texts))
        return np.array([[len(t)] * 384 for t in texts], dtype=np.float32)

    first = cached_vectors(["a", "bb"], embed, tmp_path, "v1")
    second = cached_vectors(["bb", "ccc", "a"], embed, tmp_path, "v1")
    assert asked == [["a", "bb"], ["ccc"]]
    assert np.array_equal(second[[2, 0]], first)
    cached_vectors(["a"], embed, tmp_path, "v2")
    assert asked[-1] == ["a"], "another encoder, other vectors"
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    cached_vectors(["a"], embed, tmp_path, "v1")
    assert asked[-1] == ["a"]


def test_the_encoder_tells_nobody_what_it_does(tmp_path: Path) -> None:
    """ONNX Runtime would keep a device's number and events to send, in the folders of the user."""
    code = (
        "import pathlib, sys; from conductor.encoder import Encoder; "
        "Encoder(pathlib.Path(sys.argv[1])).embed(['a text'])"
    )
    told = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG")}
    subprocess.run(
        [sys.executable, "-c", code, str(ENCODER.absolute())],
        cwd=Path(__file__).parents[2],
        env={**kept, **told},
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []
