"""The audit log: every use of a capability, allowed or refused, each line chained to the one before it.

Beside it stands its head: how many lines there were and the hash of the last, so that lines taken from the end are
missed, too. Whoever may write both can write another history; the log shows what was done to it, it does not prevent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from symphony.config.files import write_atomically
from symphony.errors import StorageFull
from symphony.ports.component import Status

_START = "0" * 64
_HEAD_EVERY = 5.0
"""Seconds between two writings of the head while the host runs: what a kill leaves may be so far ahead of it."""


class AuditLog:
    """An append-only file of JSON lines. Each carries the hash of the line before it, so that a line
    that was changed, moved or taken away is found by `verify`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._last = _START
        self._head_at = 0.0
        is_intact = verify_file(path) is None
        lines = _complete_lines(path)
        self._count = len(lines)
        if lines:
            self._last = _hash_of(lines[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        whole = sum(len(line) + 1 for line in lines)
        if os.fstat(self._file).st_size != whole:  # a torn last line, left by a kill
            os.ftruncate(self._file, whole)
        # What was done to the log while no host ran stays to be seen.
        self._keeps_head = is_intact
        self._write_head()

    def record(
        self,
        extension: str,
        capability: str,
        detail: str,
        *,
        allowed: bool,
        run: str = "",
        node: str = "",
    ) -> None:
        """Writes one entry at once. Raises StorageFull; then there is no part of it in the file."""
        entry: dict[str, Any] = {
            "time": time.time(),
            "extension": extension,
            "capability": capability,
            "detail": detail[:500],
            "allowed": allowed,
            "run": run,
            "node": node,
        }
        with self._lock:
            entry["hash"] = _chain(self._last, entry)
            self._append((json.dumps(entry, ensure_ascii=False) + "\n").encode())
            self._last = entry["hash"]
            self._count += 1
            if time.monotonic() - self._head_at >= _HEAD_EVERY:
                self._write_head()

    def _write_head(self) -> None:
        if not self._keeps_head:
            return
        os.fdatasync(self._file)  # a head that is ahead of its log would be a false alarm
        self._head_at = time.monotonic()
        write_atomically(_head_path(self._path), f"{self._count} {self._last}\n".encode())

    def _append(self, line: bytes) -> None:
        end = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) == len(line):
                return
            problem = "there is no space for its next line"
        except OSError as error:
            problem = error.strerror or str(error)
        os.ftruncate(self._file, end)  # half a line would damage the next one
        raise StorageFull(
            f"{self._path} cannot be written: {problem}", remedy="free some space and try again"
        )

    def entries(self, extension: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """The newest entries first, of one extension or of all."""
        found: list[dict[str, Any]] = []
        for line in reversed(_complete_lines(self._path)):
            entry = _entry(line)
            if entry is not None and (extension is None or entry["extension"] == extension):
                found.append(entry)
                if len(found) >= limit:
                    break
        return found

    def verify(self) -> int | None:
        """The number of the first line (from 1) that does not follow from the one before it, or None."""
        return verify_file(self._path)

    def look(self) -> tuple[Status, str, str]:
        """Degraded when a line was changed or taken away."""
        return examine_file(self._path)

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            with contextlib.suppress(StorageFull):
                self._write_head()
            os.close(self._file)
            self._file = -1


def verify_file(path: Path) -> int | None:
    """The number of the first line (from 1) of an audit log that was tampered with, or None."""
    lines = _complete_lines(path)
    known = _read_head(path)
    if known is None:
        return 1 if lines else None
    count, head = known
    last = _START
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None or entry.get("hash") != _chain(last, entry):
            return number
        last = entry["hash"]
        if number == count and last != head:
            return number
    return len(lines) + 1 if len(lines) < count else None


def _head_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.head")


def _read_head(path: Path) -> tuple[int, str] | None:
    """How many lines there were and the hash of the last; None when there is no head, or none that can be read."""
    try:
        count, _, head = _head_path(path).read_text("ascii").strip().partition(" ")
        return int(count), head
    except (OSError, ValueError):
        return None


def examine_file(path: Path) -> tuple[Status, str, str]:
    """Status, detail and remedy of an audit log."""
    bad = verify_file(path)
    if bad is None:
        return "ok", f"{len(_complete_lines(path))} entries", ""
    return (
        "degraded",
        f"line {bad} of {path} was changed or taken away, or one before it",
        "find out who did it; move the file away to begin a new log",
    )


def _entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a line, None when it is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "extension" in entry else None


def _hash_of(line: bytes) -> str:
    """What the next line follows from; a line that cannot be read still takes part in the chain."""
    entry = _entry(line)
    claimed = entry.get("hash") if entry is not None else None
    return claimed if isinstance(claimed, str) else hashlib.sha256(line).hexdigest()


def _chain(last: str, entry: dict[str, Any]) -> str:
    body = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True)
    return hashlib.sha256((last + body).encode()).hexdigest()


def _complete_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]
