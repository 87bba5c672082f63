"""The lock of a home: one host at a time. It is the kernel's, so that one left by a killed host is no obstacle."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Takes the lock, or answers False when another host has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        with contextlib.suppress(OSError):  # on a full disk: the number is only for messages
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> int | None:
        """The process id that the holder wrote, for messages."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return None
