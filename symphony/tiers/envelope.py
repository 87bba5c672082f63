"""The form in which a content is kept in a colder tier: compressed, and encrypted when its store is.

```text
"SyTier\\x01" 7 | flags 1 | salt 16 | frames: length 4, its top bit set on the last, then as many bytes
```

The frames' bytes in a row are one zstd stream. With a secret each frame is under AES-256-GCM with a key of
this object alone, HKDF-SHA256 of secret and salt, and a nonce that counts frames and marks the last; so no
frame can be left out, moved or put in from another object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from symphony.errors import DamagedArtifact
from symphony.tiers.tier import PIECE

MAGIC = b"SyTier\x01"
HEADER = len(MAGIC) + 1 + 16
SEALED = 1
_LAST = 1 << 31
_LEVEL = 9  # written once, read seldom
_TAG = 16


def encode(pieces: Iterable[bytes], size: int, secret: bytes | None = None) -> Iterator[bytes]:
    """The object of a content of `size` bytes, in pieces. `secret` has 32 bytes. Raises DamagedArtifact when
    `pieces` are not as many bytes.
    """
    import zstandard

    salt = os.urandom(16) if secret else bytes(16)
    header = MAGIC + bytes([SEALED if secret else 0]) + salt
    seal = _seal(secret, header) if secret else None
    yield header
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).chunker(size=size, chunk_size=PIECE)
    frame: bytes | None = None
    number = 0
    for packed in _packed(packer, pieces):
        if frame is not None:
            yield _frame(frame, number, False, seal)
            number += 1
        frame = packed
    yield _frame(frame or b"", number, True, seal)


def _packed(packer: Any, pieces: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    try:
        for piece in pieces:
            yield from packer.compress(piece)
        yield from packer.finish()
    except zstandard.ZstdError as error:
        raise DamagedArtifact(f"The content has not the length that is known of it: {error}") from None


def _frame(
    body: bytes, number: int, is_last: bool, seal: Callable[[bytes, int, bool], bytes] | None
) -> bytes:
    if seal is not None:
        body = seal(body, number, is_last)
    return (len(body) | (_LAST if is_last else 0)).to_bytes(4, "little") + body


def decode(pieces: Iterable[bytes], size: int, secret: bytes | None = None) -> Iterator[bytes]:
    """The content of an object, in pieces. Raises DamagedArtifact for what `encode` has not made so, and as
    soon as there is more than `size` bytes, so that no object can fill the memory.
    """
    import zstandard

    packed = _Reader(_frames(pieces, secret))
    left = size
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as unpacked:  # type: ignore[arg-type]
            while plain := unpacked.read(PIECE):
                left -= len(plain)
                if left < 0:
                    raise DamagedArtifact(f"The object holds more than {size} bytes")
                yield plain
    except zstandard.ZstdError as error:
        raise DamagedArtifact(f"The object cannot be unpacked: {error}") from None
    if left:
        raise DamagedArtifact("The object is cut short")
    if packed.is_more():
        raise DamagedArtifact("The object goes on behind its end")


def _frames(pieces: Iterable[bytes], secret: bytes | None) -> Iterator[bytes]:
    reader = _Reader(iter(pieces))
    header = reader.take(HEADER)
    if not header.startswith(MAGIC):
        raise DamagedArtifact("The object has not the form that this version writes")
    is_sealed = bool(header[len(MAGIC)] & SEALED)
    if is_sealed and secret is None:
        raise DamagedArtifact("The object is encrypted, and its key is not here")
    open_frame = _open(secret, header) if is_sealed and secret else None
    number = 0
    while True:
        word = int.from_bytes(reader.take(4), "little")
        is_last, length = bool(word & _LAST), word & (_LAST - 1)
        if length > 2 * PIECE:
            raise DamagedArtifact("The object has a frame that is too large")
        body = reader.take(length)
        yield open_frame(body, number, is_last) if open_frame else body
        number += 1
        if is_last:
            break
    if reader.is_more():
        raise DamagedArtifact("The object goes on behind its end")


class _Reader:
    """Takes numbers of bytes off pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end."""
        if not self._held:
            self._held += next((piece for piece in self._pieces if piece), b"")
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self._held) < count:
            piece = next(self._pieces, None)
            if piece is None:
                raise DamagedArtifact("The object is cut short")
            self._held += piece
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def is_more(self) -> bool:
        return bool(self._held) or any(self._pieces)


def _key(secret: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, b"symphony tier object").derive(secret)


def _nonce(number: int, is_last: bool) -> bytes:
    return bytes(7) + number.to_bytes(4, "big") + bytes([is_last])


def _seal(secret: bytes, header: bytes) -> Callable[[bytes, int, bool], bytes]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(_key(secret, header[-16:]))
    return lambda body, number, is_last: cipher.encrypt(_nonce(number, is_last), body, header)


def _open(secret: bytes, header: bytes) -> Callable[[bytes, int, bool], bytes]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(_key(secret, header[-16:]))

    def open_frame(body: bytes, number: int, is_last: bool) -> bytes:
        try:
            return cipher.decrypt(_nonce(number, is_last), body, header)
        except InvalidTag:
            raise DamagedArtifact("The object was changed, or encrypted with another key") from None

    return open_frame
