"""Which tier holds what: a durable table of copies, pins and last uses.

Objects are known by the names under which tiers keep them, so that this table tells no more of an encrypted
store than the tiers do. A copy is `writing` until it was read back and found right, then `held`, and
`leaving` once its bytes may go. SQLite writes each change through to the disk before it returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from symphony.errors import EnvironmentLacks, StorageFull

State = Literal["writing", "held", "leaving"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
    object TEXT NOT NULL, tier TEXT NOT NULL, state TEXT NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (object, tier)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pins (object TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uses (object TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """An object in a tier; `bytes` are those that it takes there."""

    object: str
    tier: str
    state: State
    bytes: int


class Catalogue:
    """The table in the file `path`. May be used from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._told():
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            path.chmod(0o600)
            self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO facts VALUES ('home', ?)", (uuid.uuid4().hex,))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            kind = StorageFull if "full" in str(error) else EnvironmentLacks
            raise kind(
                f"The catalogue of tiers {self._path} cannot be used: {error}", remedy="check the disk"
            ) from error
        except sqlite3.DatabaseError as error:
            raise EnvironmentLacks(
                f"The catalogue of tiers {self._path} is damaged: {error}",
                remedy="restore it from a copy; without it what other tiers hold is not known",
                code="damaged_catalogue",
            ) from error

    def _do(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock, self._told():
            return self._database.execute(statement, values).fetchall()

    @property
    def home(self) -> str:
        """A name for this home, so that two homes can share a bucket."""
        return str(self._do("SELECT value FROM facts WHERE key = 'home'")[0][0])

    # --- copies ------------------------------------------------------------------------------------
    def copies(self, objects: Sequence[str] = ()) -> list[Copy]:
        """The copies of these objects, or all, in the order of tier and object."""
        where = f" WHERE object IN ({','.join('?' * len(objects))})" if objects else ""
        rows = self._do(
            f"SELECT object, tier, state, bytes FROM copies{where} ORDER BY tier, object", objects
        )
        return [Copy(*row) for row in rows]  # type: ignore[arg-type]

    def set_copy(self, object: str, tier: str, state: State, size: int = 0) -> None:
        """Notes a copy; when this returns, the note is on the disk."""
        self._do("INSERT OR REPLACE INTO copies VALUES (?, ?, ?, ?)", (object, tier, state, size))

    def set_states(self, objects: Sequence[str], state: State, of: State) -> None:
        """Changes the state of all copies of these objects that are in the state `of`, at once."""
        marks = ",".join("?" * len(objects))
        self._do(
            f"UPDATE copies SET state = ? WHERE state = ? AND object IN ({marks})", (state, of, *objects)
        )

    def drop_copy(self, object: str, tier: str) -> None:
        """Forgets a copy."""
        self._do("DELETE FROM copies WHERE object = ? AND tier = ?", (object, tier))

    def totals(self) -> dict[str, tuple[int, int]]:
        """For each tier the number of its objects and their bytes."""
        rows = self._do("SELECT tier, COUNT(*), SUM(bytes) FROM copies WHERE state = 'held' GROUP BY tier")
        return {str(tier): (int(count), int(size)) for tier, count, size in rows}  # type: ignore[call-overload]

    # --- pins and uses -----------------------------------------------------------------------------
    def pin(self, object: str, pinned: bool) -> None:
        """Pins an object, or lets it go."""
        statement = "INSERT OR IGNORE INTO pins VALUES (?)" if pinned else "DELETE FROM pins WHERE object = ?"
        self._do(statement, (object,))

    def pins(self) -> set[str]:
        """The objects that are pinned."""
        return {str(row[0]) for row in self._do("SELECT object FROM pins")}

    def note_use(self, object: str, at: float) -> None:
        """Notes when an object was last read, in seconds since the epoch."""
        self._do("INSERT OR REPLACE INTO uses VALUES (?, ?)", (object, at))

    def uses(self) -> dict[str, float]:
        """When objects were last read."""
        return {str(key): float(at) for key, at in self._do("SELECT object, at FROM uses")}  # type: ignore[arg-type]

    def forget(self, objects: Sequence[str]) -> None:
        """Drops pins and uses of objects that are gone."""
        for object in objects:
            self._do("DELETE FROM pins WHERE object = ?", (object,))
            self._do("DELETE FROM uses WHERE object = ?", (object,))

    def close(self) -> None:
        """Gives the file free."""
        with self._lock:
            self._database.close()
