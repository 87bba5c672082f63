"""The lock of a home: one host at a time. It is the kernel's, so that one left by a killed host is no obstacle."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from symphony.config.home import Home
from symphony.errors import HostBusy

PATIENCE = 30.0
"""Seconds for which a host that is starting is waited for."""
PAGE = "page"
"""Written behind the process id by a host that serves a page."""


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, *, page: bool = False) -> bool:
        """Takes the lock, or answers False when another host has it. `page` says that this one will serve a page."""
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
            os.write(file, f"{os.getpid()} {PAGE}".encode() if page else str(os.getpid()).encode())
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> int | None:
        """The process id that the holder wrote, for messages."""
        try:
            return int(self._path.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def is_for_page(self) -> bool:
        """Whether the holder serves a page, or will once it has started."""
        try:
            return self._path.read_text().endswith(PAGE)
        except OSError:
            return False


def page_of_other(home: Home, lock: HomeLock) -> str | None:
    """Takes the lock of a home to serve a page, answering None, or the address of the page that its host serves. One
    that is just starting is waited for. Raises HostBusy when the host of this home serves none.
    """
    deadline = time.monotonic() + PATIENCE
    while not lock.acquire(page=True):
        address = home.address()
        if address is not None:
            return address
        if not lock.is_for_page() or time.monotonic() > deadline:
            raise HostBusy(
                f"A host without a page (process {lock.holder()}) works on {home.path}",
                remedy="wait until its run has ended",
            )
        time.sleep(0.02)
    home.write_address(None)  # of a host that was killed: nobody may be sent there while this one starts
    return None
