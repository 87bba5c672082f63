"""The history of actions on the disk: one row an action, in SQLite, the newest kept."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Json = dict[str, Any]

KEPT = 2000
"""Actions that are kept."""
KEPT_STATES = 100
"""The newest actions of those that can be undone: what they replaced is kept, files of extensions too."""
LARGEST_STATE = 4 << 20
"""Characters of the states of an action. What is larger is listed and cannot be undone."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    by TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    said TEXT NOT NULL,
    error TEXT NOT NULL,
    before TEXT,
    after TEXT,
    undone INTEGER NOT NULL DEFAULT 0
) STRICT
"""
_COLUMNS = "id, at, by, kind, subject, said, error, before, after, undone"


@dataclass(slots=True)
class Action:
    """Something that was done. `before` and `after` are what it made different, None where it cannot be undone."""

    kind: str
    subject: str
    said: str
    by: str = "you"
    error: str = ""
    """Why it failed; empty when it did not."""
    before: Json | None = None
    after: Json | None = None
    undone: bool = False
    id: int = 0
    at: float = field(default_factory=time.time)

    @property
    def can(self) -> str:
        """What can be done about it: `undo`, `redo` or nothing."""
        if self.before is None:
            return ""
        return "redo" if self.undone else "undo"

    def to_json(self) -> Json:
        """As commands and the page show it."""
        shown = {name: getattr(self, name) for name in ("id", "at", "by", "kind", "subject", "said", "error")}
        return {**shown, "undone": self.undone, "can": self.can}


class ActionLog:
    """Keeps actions. What cannot be written costs the history a line, never the user the action."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, *actions: Action, turned: Action | None = None) -> None:
        """Keeps actions, on the disk when it returns; in the same transaction `turned`, which was undone or done
        again.
        """
        try:
            with self._transaction() as database:
                for action in actions:
                    action.id = _insert(database, action)
                if turned is not None:
                    database.execute("UPDATE actions SET undone = ? WHERE id = ?", (turned.undone, turned.id))
                _prune(database)
        except sqlite3.Error as error:
            log.warning("what was done cannot be noted in %s: %s", self._path, error)

    def newest(self, limit: int, before: int | None = None) -> list[Action]:
        """The newest actions first, those below the id `before`."""
        return self._read("id < ? ORDER BY id DESC LIMIT ?", before or 1 << 62, limit)

    def find(self, id: int) -> Action | None:
        """The action with this id."""
        return next(iter(self._read("id = ?", id)), None)

    def latest(self, *, undone: bool) -> Action | None:
        """The newest action that can be undone, or, of those that were undone, the one to be done again first."""
        order = "ASC" if undone else "DESC"
        found = self._read(f"before IS NOT NULL AND undone = ? ORDER BY id {order} LIMIT 1", undone)
        return next(iter(found), None)

    def later(self, action: Action) -> list[Action]:
        """Those of the same kind that came after it and hold, the newest first."""
        where = "kind = ? AND id > ? AND before IS NOT NULL AND undone = 0 ORDER BY id DESC"
        return self._read(where, action.kind, action.id)

    def states(self, kind: str) -> list[Json]:
        """What the actions of a kind replaced or made, as far as it is kept."""
        found = self._read("kind = ? AND before IS NOT NULL", kind)
        return [state for action in found for state in (action.before, action.after) if state]

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read(self, where: str, *values: Any) -> list[Action]:
        if self._connection is None and not self._path.exists():
            return []
        try:
            with self._transaction() as database:
                rows = database.execute(f"SELECT {_COLUMNS} FROM actions WHERE {where}", values).fetchall()
        except sqlite3.Error as error:
            log.warning("%s cannot be read: %s", self._path, error)
            return []
        return [_action(row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            database = self._connection = self._connection or self._open()
            with database:
                yield database

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:  # damaged: it is put aside, and a new one begun
            aside = self._path.with_suffix(".damaged")
            log.warning("%s is damaged, and is kept as %s: %s", self._path, aside.name, error)
            self._path.replace(aside)
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
        try:
            self._path.chmod(0o600)
            database.execute("PRAGMA synchronous = FULL")
            database.execute(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database


def _insert(database: sqlite3.Connection, action: Action) -> int:
    before, after = (None if s is None else json.dumps(s) for s in (action.before, action.after))
    if len(before or "") + len(after or "") > LARGEST_STATE:
        before = after = action.before = action.after = None
    values = (action.at, action.by, action.kind, action.subject, action.said, action.error, before, after)
    made = database.execute(
        "INSERT INTO actions (at, by, kind, subject, said, error, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    return int(made.lastrowid or 0)


def _prune(database: sqlite3.Connection) -> None:
    database.execute(
        "DELETE FROM actions WHERE id <= (SELECT id FROM actions ORDER BY id DESC LIMIT 1 OFFSET ?)", (KEPT,)
    )
    database.execute(
        "UPDATE actions SET before = NULL, after = NULL WHERE before IS NOT NULL AND id <= (SELECT id FROM actions"
        " WHERE before IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (KEPT_STATES,),
    )


def _action(row: tuple[Any, ...]) -> Action:
    id, at, by, kind, subject, said, error, before, after, undone = row
    return Action(
        kind,
        subject,
        said,
        by,
        error,
        json.loads(before) if before is not None else None,
        json.loads(after) if after is not None else None,
        bool(undone),
        id,
        at,
    )
