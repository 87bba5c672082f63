"""The Polyphony Store: saved melodies with all their versions, in SQLite."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from symphony.errors import BadInput, NotFound, StorageFull, SymphonyError
from symphony.melody.formats import from_document
from symphony.melody.model import Melody
from symphony.types.identity import new_id
from symphony.types.versions import version as parse_version

_SCHEMA = """
CREATE TABLE IF NOT EXISTS polyphony_melodies (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS polyphony_versions (
    id TEXT NOT NULL REFERENCES polyphony_melodies (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    version TEXT NOT NULL,
    saved REAL NOT NULL,
    document TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (id, revision),
    UNIQUE (id, version)
) STRICT;
"""

_NEWEST = """
SELECT m.id, m.name, v.version, v.saved, v.document, v.words FROM polyphony_melodies AS m
JOIN polyphony_versions AS v ON v.id = m.id AND v.revision = m.revision
"""

_VERSION = "rowid, revision, version, saved, document, words"
"""What `kept` has of a version."""

Rows = list[dict[str, Any]]


class PolyphonyStore:
    """Saved melodies. What `save` answered for is on the disk; methods may be called from any thread."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def save(self, melody: Melody) -> Melody:
        """Keeps the melody as the newest version of its name; answers with it, its id and version set.

        Saving what is already the newest version changes nothing. A version that has been used is
        followed by the next patch version. Raises BadInput when the id belongs to another name that
        is taken.
        """
        with self._transaction() as database:
            found = database.execute(
                "SELECT id, revision FROM polyphony_melodies WHERE name = ?", (melody.name,)
            ).fetchone()
            known = database.execute(
                "SELECT id, revision FROM polyphony_melodies WHERE id = ?", (melody.id or "",)
            ).fetchone()
            if found and known and found[0] != known[0]:
                raise BadInput(f"Another melody is called {melody.name}", remedy="choose another name")
            melody_id, revision = found or known or (melody.id or new_id(), 0)
            melody = melody.model_copy(update={"id": melody_id})
            if revision:
                newest = _read(database, melody_id, revision)
                if _content(newest) == _content(melody):
                    return newest
                melody = melody.model_copy(update={"version": _free_version(database, melody)})
            database.execute(
                "INSERT INTO polyphony_melodies VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, revision = excluded.revision",
                (melody_id, melody.name, revision + 1),
            )
            document = json.dumps(melody.to_document(), ensure_ascii=False, allow_nan=False)
            database.execute(
                "INSERT INTO polyphony_versions VALUES (?, ?, ?, ?, ?, ?)",
                (melody_id, revision + 1, melody.version, time.time(), document, _words(melody)),
            )
            return melody

    def list(self) -> Rows:
        """A row for each melody, the latest saved first."""
        with self._transaction() as database:
            rows = database.execute(f"{_NEWEST} ORDER BY v.rowid DESC").fetchall()
        return [_row(row) for row in rows]

    def search(self, query: str) -> Rows:
        """The melodies that have every word of `query` in name, description, tags or Players; best first."""
        words = query.lower().split()
        with self._transaction() as database:
            rows = database.execute(f"{_NEWEST} ORDER BY v.rowid DESC").fetchall()
        hits = [row for row in rows if all(word in row[5] for word in words)]
        in_name = [sum(word in row[1].lower() for word in words) for row in hits]
        best = sorted(zip(in_name, hits, strict=True), key=lambda pair: -pair[0])
        return [_row(row) for _, row in best]

    def show(self, melody: str, version: str | None = None) -> Melody:
        """The melody of that id, name, or beginning of an id; its newest version unless one is named.

        Raises NotFound.
        """
        with self._transaction() as database:
            melody_id, revision = _find(database, melody)
            if version is not None:
                row = database.execute(
                    "SELECT revision FROM polyphony_versions WHERE id = ? AND version = ?",
                    (melody_id, version),
                ).fetchone()
                if row is None:
                    raise NotFound(f"The melody {melody} has no version {version}", remedy="see its versions")
                revision = row[0]
            return _read(database, melody_id, revision)

    def versions(self, melody: str) -> Rows:
        """`{"version", "saved"}` of each version, newest first. Raises NotFound."""
        with self._transaction() as database:
            melody_id, _ = _find(database, melody)
            rows = database.execute(
                "SELECT version, saved FROM polyphony_versions WHERE id = ? ORDER BY revision DESC",
                (melody_id,),
            ).fetchall()
        return [{"version": version, "saved": saved} for version, saved in rows]

    def delete(self, melody: str) -> str:
        """Removes the melody with all its versions; answers with its id. Raises NotFound."""
        with self._transaction() as database:
            melody_id, _ = _find(database, melody)
            database.execute("DELETE FROM polyphony_melodies WHERE id = ?", (melody_id,))
        return melody_id

    def kept(self, melody: str) -> dict[str, Any]:
        """All that is kept of the melody with this id or name: `{"id", "name", "revision", "versions": {revision:
        row}}`; empty when there is none. `put_back` takes it.
        """
        with self._transaction() as database:
            known = database.execute(
                "SELECT id, name, revision FROM polyphony_melodies WHERE name = ? OR id = ? ORDER BY name = ? DESC",
                (melody, melody, melody),
            ).fetchone()
            if known is None:
                return {}
            rows = database.execute(
                f"SELECT {_VERSION} FROM polyphony_versions WHERE id = ?", (known[0],)
            ).fetchall()
        id, name, revision = known
        versions = {str(row[1]): list(row) for row in rows}
        return {"id": id, "name": name, "revision": revision, "versions": versions}

    def put_back(self, melody_id: str, kept: dict[str, Any]) -> None:
        """Makes this all that is kept of a melody; an empty one removes it. Raises BadInput when another melody has
        its name by now.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM polyphony_melodies WHERE id = ?", (melody_id,))
            if not kept:
                return
            taken = database.execute(
                "SELECT 1 FROM polyphony_melodies WHERE name = ?", (kept["name"],)
            ).fetchone()
            if taken:
                raise BadInput(f"Another melody is called {kept['name']}", remedy="delete that one first")
            database.execute(
                "INSERT INTO polyphony_melodies VALUES (?, ?, ?)",
                (melody_id, kept["name"], kept["revision"]),
            )
            for place, *row in sorted(kept["versions"].values(), key=lambda row: int(row[1])):
                if database.execute("SELECT 1 FROM polyphony_versions WHERE rowid = ?", (place,)).fetchone():
                    place = None  # another version has taken its place in the order
                database.execute(
                    f"INSERT INTO polyphony_versions ({_VERSION}, id) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (place, *row, melody_id),
                )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk when it ends."""
        with self._lock:
            try:
                database = self._connection = self._connection or self._open()
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
            except sqlite3.Error as error:
                raise _explained(error, self._path) from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database


def _find(database: sqlite3.Connection, melody: str) -> tuple[str, int]:
    rows: list[tuple[str, int]] = database.execute(
        "SELECT id, revision FROM polyphony_melodies WHERE id = ? OR name = ?", (melody, melody)
    ).fetchall()
    if not rows and len(melody) >= 8:
        rows = database.execute(
            "SELECT id, revision FROM polyphony_melodies WHERE substr(id, 1, ?) = ?", (len(melody), melody)
        ).fetchall()
    if not rows:
        raise NotFound(f"No melody {melody} is saved", remedy="`symphony melody list` shows the saved ones")
    if len(rows) > 1:
        raise BadInput(f"{melody} fits {len(rows)} melodies", remedy="give the whole id")
    return rows[0]


def _read(database: sqlite3.Connection, melody_id: str, revision: int) -> Melody:
    row = database.execute(
        "SELECT document FROM polyphony_versions WHERE id = ? AND revision = ?", (melody_id, revision)
    ).fetchone()
    return from_document(json.loads(row[0]))


def _content(melody: Melody) -> dict[str, Any]:
    document = melody.to_document()
    return {key: value for key, value in document.items() if key not in ("id", "version")}


def _free_version(database: sqlite3.Connection, melody: Melody) -> str:
    used = [
        row[0]
        for row in database.execute("SELECT version FROM polyphony_versions WHERE id = ?", (melody.id,))
    ]
    if melody.version not in used:
        return melody.version
    highest = max(used, key=parse_version)
    return str(parse_version(highest).bump_patch())


def _words(melody: Melody) -> str:
    tags = melody.metadata.get("tags", ())
    parts = [melody.name, melody.description, *(node.player for node in melody.nodes)]
    parts += [str(tag) for tag in tags] if isinstance(tags, (list, tuple)) else []
    return "\n".join(parts).lower()


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    document = json.loads(row[4])
    tags = document.get("metadata", {}).get("tags", [])
    return {
        "id": row[0],
        "name": row[1],
        "version": row[2],
        "description": document.get("description", ""),
        "nodes": len(document["nodes"]),
        "updated": row[3],
        "tags": tags if isinstance(tags, list) else [],
    }


def _explained(error: sqlite3.Error, path: Path) -> SymphonyError:
    text = str(error)
    if "disk is full" in text or "disk I/O" in text:
        return StorageFull(f"{path}: {text}", remedy="free some space and try again")
    if "locked" in text:
        return SymphonyError(f"{path} is in use", remedy="try again", code="busy")
    return SymphonyError(f"{path}: {text}", remedy="restore it from a copy or move it away", code="damaged")
