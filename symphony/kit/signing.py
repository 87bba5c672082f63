"""Ed25519 signatures over packages and registry indexes. Keys and signatures are written in hexadecimal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symphony.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PACKAGE = b"symphony.package/1\0"
INDEX = b"symphony.registry/1\0"
"""Stand before what is signed, so that a signature of one kind is worth nothing as the other."""


def new_key() -> Ed25519PrivateKey:
    """A fresh private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def write_key(key: Ed25519PrivateKey, file: Path) -> None:
    """Keeps a private key, readable by its owner alone; an existing file is never overwritten."""
    import os

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInput(f"{file} exists already", remedy="use it, or choose another name") from None
    with os.fdopen(descriptor, "w") as stream:
        stream.write(key.private_bytes_raw().hex() + "\n")


def read_key(file: Path) -> Ed25519PrivateKey:
    """The private key in `file`. Raises BadInput when it holds none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read_text("ascii").strip()))
    except (OSError, ValueError):
        raise BadInput(f"{file} holds no private key", remedy="make one with `carets sign`") from None


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, kind: bytes, content: bytes) -> str:
    """The signature of `content` as `kind`."""
    return key.sign(kind + content).hex()


def is_signed_by(public: str, signature: str, kind: bytes, content: bytes) -> bool:
    """Whether `signature` is that of `public` over `content` as `kind`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), kind + content)
    except (InvalidSignature, ValueError):
        return False
    return True
