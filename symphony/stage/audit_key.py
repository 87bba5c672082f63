"""The key of the audit log and its pinned head, in a folder of their own beside the log."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from symphony.config.files import write_atomically
from symphony.errors import EnvironmentLacks

KEY_BYTES = 32
START = "0" * 64
"""What the first line of a log follows from."""
Source = Callable[[Path, bool], bytes | None]
"""The key of the log whose folder this is; made where there is none and the second argument wants it."""


@dataclass(frozen=True, slots=True)
class Head:
    """How many lines a log had, and the seal of the last."""

    count: int
    last: str


@dataclass(frozen=True, slots=True)
class AuditKey:
    """Seals lines and heads, so that only who has the key can make them. Nothing that it does shows the key."""

    secret: bytes
    folder: Path

    def seal(self, *parts: str) -> str:
        """HMAC-SHA-256 over the parts, each with its length before it, in hexadecimal."""
        text = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode() for part in parts))
        return hmac.digest(self.secret, text, hashlib.sha256).hex()

    def pin(self, head: Head) -> None:
        """Keeps the head. Raises StorageFull."""
        sealed = self.seal("head", str(head.count), head.last)
        write_atomically(self._head, f"{head.count} {head.last} {sealed}\n".encode())

    def pinned(self) -> Head | None:
        """The head that was kept; None when there is none, or none that this key has sealed."""
        try:
            count, last, sealed = self._head.read_text("ascii").split()
            head = Head(int(count), last)
        except (OSError, ValueError):
            return None
        return head if hmac.compare_digest(sealed, self.seal("head", str(head.count), last)) else None

    @property
    def _head(self) -> Path:
        return self.folder / "head"


def key_in_file(folder: Path, make: bool) -> bytes | None:
    """The key from the file `key` of the folder, which only its owner may read.

    Raises EnvironmentLacks when it is there and cannot be used: a key that others may read is none.
    """
    file = folder / "key"
    try:
        mode = file.stat().st_mode
        key = file.read_bytes()
    except FileNotFoundError:
        return _new_file(folder) if make else None
    except OSError as error:
        raise EnvironmentLacks(
            f"The audit log's key cannot be read from {file}: {error.strerror}",
            remedy="let its owner read it",
        ) from error
    if mode & 0o077:
        raise EnvironmentLacks(
            f"Others may read the audit log's key {file}", remedy=f"chmod 600 {file}, and look who did it"
        )
    if len(key) != KEY_BYTES:
        raise EnvironmentLacks(
            f"{file} holds no key of an audit log",
            remedy=f"restore it from a copy, or move {folder} and the log away to begin a new one",
        )
    return key


def audit_key(folder: Path, *, source: Source = key_in_file, make: bool = True) -> AuditKey | None:
    """The key whose folder this is. None when there is none and it is not to be made."""
    if make:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = source(folder, make)
    return AuditKey(secret, folder) if secret is not None else None


def new_key(folder: Path) -> bytes:
    """A key that is yet to be kept, with the head of an empty log sealed by it: so a key that is found without a head
    has lost one."""
    key = secrets.token_bytes(KEY_BYTES)
    AuditKey(key, folder).pin(Head(0, START))
    return key


def _new_file(folder: Path) -> bytes:
    """A new key, whole on the disk before the first line is sealed with it."""
    key = new_key(folder)
    file = folder / "key"
    begun = folder / "key.new"
    with contextlib.suppress(FileNotFoundError):
        begun.unlink()
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    begun.rename(file)
    return key
