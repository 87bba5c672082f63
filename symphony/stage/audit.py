"""The audit log: every use of a capability, allowed or refused, each line chained to the one before it by a key.

The key stands in a folder of its own, and so does the log's head: how many lines there were and the seal of the
last, so that lines taken from the end are missed, too. Without the key nobody can write a history that fits; the log
shows what was done to it, it does not prevent.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from symphony.errors import StorageFull
from symphony.ports.component import Status
from symphony.stage.audit_key import START, AuditKey, Head, Source, audit_key, key_in_file

_HEAD_EVERY = 5.0
"""Seconds between two writings of the head while the host runs: what a kill leaves may be so far ahead of it."""


class AuditLog:
    """An append-only file of JSON lines. Each carries a seal over itself and the seal of the line before it, so
    that a line that was changed, made up, moved or taken away is found by `verify`.
    """

    def __init__(self, path: Path, source: Source = key_in_file) -> None:
        """`source` gives the key. Raises EnvironmentLacks when it is there and cannot be used."""
        self._path = path
        former = _put_former_aside(path, source)
        key = audit_key(key_folder(path), source=source)
        assert key is not None
        self._key = key
        self._lock = threading.Lock()
        self._last = START
        self._head_at = 0.0
        is_intact = _first_bad(path, key) is None
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
        if former is not None:
            detail = f"the log of before seals is {former}, unsealed"
            self.record("symphony", "audit", detail, allowed=True)

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
            entry["hash"] = _chain(self._key, self._last, entry)
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
        self._key.pin(Head(self._count, self._last))

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
        return _first_bad(self._path, self._key)

    def look(self) -> tuple[Status, str, str]:
        """Degraded when a line was changed or taken away."""
        return _said(self._path, self.verify())

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            with contextlib.suppress(StorageFull):
                self._write_head()
            os.close(self._file)
            self._file = -1


def _put_former_aside(path: Path, source: Source) -> str | None:
    """Puts a log that a former Symphony wrote, whose lines fit each other and were never sealed, beside the new one;
    answers with its name and digest. One that does not fit stays, to be told of.
    """
    lines = _complete_lines(path)
    if not lines or audit_key(key_folder(path), source=source, make=False) is not None:
        return None
    last = START
    for line in lines:
        entry = _entry(line)
        if entry is None:
            return None
        body = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True)
        last = hashlib.sha256((last + body).encode()).hexdigest()
        if entry.get("hash") != last:
            return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    aside = _unsealed(path)
    if aside.exists():
        return None
    path.rename(aside)
    return f"{aside.name} with {len(lines)} lines (SHA-256 {digest})"


def _unsealed(path: Path) -> Path:
    return path.with_name(f"{path.stem}-unsealed{path.suffix}")


def key_folder(path: Path) -> Path:
    """Where the key and the head of the log at `path` are."""
    return path.with_name(f"{path.stem}-key")


def verify_file(path: Path, source: Source = key_in_file) -> int | None:
    """The number of the first line (from 1) of an audit log that was tampered with, or None."""
    return _first_bad(path, audit_key(key_folder(path), source=source, make=False))


def examine_file(path: Path, source: Source = key_in_file) -> tuple[Status, str, str]:
    """Status, detail and remedy of an audit log. Raises EnvironmentLacks when its key cannot be used."""
    return _said(path, verify_file(path, source))


def _first_bad(path: Path, key: AuditKey | None) -> int | None:
    lines = _complete_lines(path)
    if key is None:
        return 1 if lines else None
    known = key.pinned()
    if known is None:
        return 1
    last = START
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        claimed = entry.get("hash") if entry is not None else None
        if entry is None or not isinstance(claimed, str):
            return number
        if not hmac.compare_digest(claimed.encode(), _chain(key, last, entry).encode()):
            return number
        last = claimed
        if number == known.count and last != known.last:
            return number
    return len(lines) + 1 if len(lines) < known.count else None


def _said(path: Path, bad: int | None) -> tuple[Status, str, str]:
    aside = _unsealed(path)
    if bad is None and aside.exists():
        detail = f"{aside} was never sealed: whoever could write this folder could have written it"
        return "degraded", detail, "read it if you want to know what was before, and move it away"
    if bad is None:
        return "ok", f"{len(_complete_lines(path))} entries", ""
    detail = f"line {bad} of {path} was changed, made up or taken away, or one before it"
    if bad == 1:
        detail += ", or the log's key is another one than when it began"
    return (
        "degraded",
        detail,
        f"find out who did it; to begin a new log, move the file and {key_folder(path)} away, and in the platform's "
        "keyring, where the key may be, the entry of Symphony that names this folder",
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


def _chain(key: AuditKey, last: str, entry: dict[str, Any]) -> str:
    body = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True)
    return key.seal("line", last, body)


def _complete_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]
