"""The audit log: every use of a capability, allowed or refused, each line chained to the one before it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

_START = "0" * 64


class AuditLog:
    """An append-only file of JSON lines. Each carries the hash of the line before it, so that a line
    that was changed or taken away is found by `verify`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._last = _START
        lines = _complete_lines(path)
        if lines:
            self._last = json.loads(lines[-1])["hash"]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        whole = sum(len(line) + 1 for line in lines)
        if os.fstat(self._file).st_size != whole:  # a torn last line, left by a kill
            os.ftruncate(self._file, whole)

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
        """Writes one entry at once."""
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
            os.write(self._file, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
            self._last = entry["hash"]

    def entries(self, extension: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """The newest entries first, of one extension or of all."""
        found: list[dict[str, Any]] = []
        for line in reversed(_complete_lines(self._path)):
            entry = json.loads(line)
            if extension is None or entry["extension"] == extension:
                found.append(entry)
                if len(found) >= limit:
                    break
        return found

    def verify(self) -> int | None:
        """The number of the first line (from 1) that does not follow from the one before it, or None."""
        last = _START
        for number, line in enumerate(_complete_lines(self._path), start=1):
            entry = json.loads(line)
            claimed = entry.pop("hash")
            if claimed != _chain(last, entry):
                return number
            last = claimed
        return None

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _chain(last: str, entry: dict[str, Any]) -> str:
    body = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True)
    return hashlib.sha256((last + body).encode()).hexdigest()


def _complete_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]
