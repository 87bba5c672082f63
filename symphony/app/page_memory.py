"""Where pages are kept between two starts of the host: one row a page, in SQLite."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

logger = logging.getLogger(__name__)

KEPT = 32
"""How many pages are kept; the one used least lately goes first."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS pages (name TEXT PRIMARY KEY, used REAL NOT NULL, state TEXT NOT NULL) STRICT"
)


class SqlitePageMemory:
    """Keeps pages in a file. What cannot be read or written costs the page its memory, never the host its work."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.patience = 5.0
        """Seconds to wait for a file that another process holds."""

    def read(self, name: str, or_latest: bool) -> str | None:
        """What was kept of that page, else with `or_latest` of the page used last; None when there is nothing."""
        if not self._path.exists():
            return None
        try:
            with self._open() as database:
                found = database.execute(
                    "SELECT state FROM pages WHERE name = ? OR ? ORDER BY name = ? DESC, used DESC LIMIT 1",
                    (name, or_latest, name),
                ).fetchone()
        except sqlite3.Error as error:
            logger.warning("the kept pages cannot be read, so the page begins anew: %s", error)
            return None
        return str(found[0]) if found else None

    def write(self, name: str, text: str) -> None:
        """Keeps what there is to keep of a page."""
        try:
            with self._open() as database:
                database.execute("REPLACE INTO pages VALUES (?, ?, ?)", (name, time.time(), text))
                database.execute(
                    "DELETE FROM pages WHERE name NOT IN (SELECT name FROM pages ORDER BY used DESC LIMIT ?)",
                    (KEPT,),
                )
        except sqlite3.DatabaseError as error:
            logger.warning("the page cannot be kept for the next start: %s", error)
            if not isinstance(
                error, sqlite3.OperationalError
            ):  # damaged: it holds nothing that is worth a repair
                self._path.unlink(missing_ok=True)

    def _open(self) -> _Transaction:
        return _Transaction(self._path, self.patience)


class _Transaction:
    """A connection for one transaction, closed behind it: pages are kept rarely."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path, self._patience = path, patience

    def __enter__(self) -> sqlite3.Connection:
        self._database = sqlite3.connect(self._path, timeout=self._patience)
        try:
            self._path.chmod(0o600)
            self._database.execute(_SCHEMA)
        except BaseException:
            self._database.close()
            raise
        return self._database

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._database.commit()
        finally:
            self._database.close()
