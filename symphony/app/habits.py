"""Keeps what the Pool Manager has learned about the use of Players: read at the start, written now and then."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.config.files import write_atomically
from symphony.errors import SymphonyError

if TYPE_CHECKING:
    from pit_native import Runtime

log = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds between two writes; what was learned since the last is lost in a crash, and nothing else."""


class Habits:
    """One file of a home. `trouble` says why it could not be read or written, "" when it could."""

    def __init__(self, file: Path, runtime: Runtime) -> None:
        self._file = file
        self._runtime = runtime
        self._kept = b""
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._write_now_and_then, name="habits", daemon=True)
        self.trouble = ""

    def open(self) -> None:
        """Takes what earlier hosts have learned. What is damaged is learned anew."""
        try:
            self._kept = self._file.read_bytes()
            self._runtime.restore_learned(self._kept)
        except FileNotFoundError:
            pass
        except (OSError, SymphonyError) as error:
            self._complain(f"{self._file} cannot be used, so the use of Players is learned anew: {error}")
        self._writer.start()

    def close(self) -> None:
        """Writes the last time."""
        self._ending.set()
        self._writer.join()
        self.save()

    def save(self) -> None:
        """Replaces the file, if there is anything new."""
        learned = self._runtime.learned()
        if learned == self._kept:
            return
        try:
            write_atomically(self._file, learned)
        except (OSError, SymphonyError) as error:
            self._complain(f"What was learned about the use of Players cannot be kept: {error}")
        else:
            self._kept = learned

    def _write_now_and_then(self) -> None:
        while not self._ending.wait(EVERY):
            self.save()

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
        log.warning(trouble)
