"""The form of an object: what goes in comes out, and nothing else does."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.errors import DamagedArtifact
from symphony.tiers.envelope import HEADER, decode, encode
from symphony.tiers.tier import PIECE

SECRET = bytes(range(32))
secrets = st.sampled_from([None, SECRET])


def packed_of(content: bytes, secret: bytes | None = None) -> bytes:
    return b"".join(encode([content], len(content), secret))


def opened(packed: bytes, size: int, secret: bytes | None = None) -> bytes:
    return b"".join(decode([packed], size, secret))


@given(st.binary(max_size=5000), secrets, st.integers(1, 900))
def test_a_content_comes_back_however_it_is_cut(content: bytes, secret: bytes | None, cut: int) -> None:
    packed = packed_of(content, secret)
    pieces = (packed[at : at + cut] for at in range(0, len(packed), cut))
    assert b"".join(decode(pieces, len(content), secret)) == content


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("content", [os.urandom(3 * PIECE + 5), b"a" * (5 * PIECE), b""], ids=len)
def test_large_contents_come_back_and_text_shrinks(content: bytes, secret: bytes | None) -> None:
    packed = packed_of(content, secret)
    assert opened(packed, len(content), secret) == content
    assert len(packed) < len(content) + 4096
    if content.startswith(b"aa"):
        assert len(packed) < len(content) // 100


@given(st.binary(min_size=1, max_size=300), st.data())
def test_no_changed_bit_of_an_encrypted_object_goes_unseen(content: bytes, data: st.DataObject) -> None:
    packed = bytearray(packed_of(content, SECRET))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedArtifact):
        opened(bytes(packed), len(content), SECRET)


@given(st.binary(min_size=1, max_size=300), secrets, st.data())
def test_a_cut_or_lengthened_object_is_found(
    content: bytes, secret: bytes | None, data: st.DataObject
) -> None:
    packed = packed_of(content, secret)
    cut = data.draw(st.integers(0, len(packed) - 1))
    for wrong in (packed[:cut], packed + b"\0"):
        with pytest.raises(DamagedArtifact):
            opened(wrong, len(content), secret)


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_in_words(noise: bytes) -> None:
    real = packed_of(b"x" * 50)
    for wrong in (noise, real[:HEADER] + noise):
        with pytest.raises(DamagedArtifact):
            opened(wrong, 50)


def test_frames_cannot_be_swapped_left_out_or_taken_from_elsewhere() -> None:
    content = os.urandom(3 * PIECE)
    packed = list(encode([content], len(content), SECRET))
    assert len(packed) > 3
    other = list(encode([content], len(content), SECRET))
    swapped = [packed[0], packed[2], packed[1], *packed[3:]]
    for wrong in (swapped, [packed[0], *packed[2:]], packed[:-1], [*packed[:2], other[2], *packed[3:]]):
        with pytest.raises(DamagedArtifact):
            list(decode(wrong, len(content), SECRET))


def test_keys_are_needed_and_nothing_shows_without_them() -> None:
    content = b"the words of a secret " * 100
    packed = packed_of(content, SECRET)
    assert b"words" not in packed and b"secret" not in packed
    with pytest.raises(DamagedArtifact, match="its key is not here"):
        opened(packed, len(content))
    with pytest.raises(DamagedArtifact, match="another key"):
        opened(packed, len(content), bytes(32))
    assert packed != packed_of(content, SECRET), "the same content never looks the same"


def test_an_object_cannot_unpack_to_more_than_it_should() -> None:
    packed = packed_of(bytes(64 << 20))
    assert len(packed) < 100_000
    pieces = decode([packed], 1000)
    with pytest.raises(DamagedArtifact, match="more than 1000 bytes"):
        next(pieces)
