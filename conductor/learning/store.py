"""The replay buffer on the disk: compositions with their decisions, and how the runs that played them ended."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from conductor.context import Composition
from conductor.gloss import language_of
from conductor.learning.labels import right_actions
from conductor.learning.replay import CAPACITY, Decision, Ending, ReplayBuffer
from conductor.learning.seen import Seen
from conductor.past import Request
from conductor.policy import BASIS, MATCH
from symphony.errors import EnvironmentLacks

Json = dict[str, Any]
Array = np.ndarray[Any, np.dtype[np.float32]]

UNPLAYED = 1_000
"""Compositions that nobody has played yet are kept so far; most previews are never played."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS compositions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, prompt TEXT NOT NULL, policy TEXT NOT NULL, encoder TEXT NOT NULL,
    predicted REAL NOT NULL, players TEXT NOT NULL, corrected TEXT);
CREATE TABLE IF NOT EXISTS decisions (
    composition TEXT NOT NULL REFERENCES compositions(id) ON DELETE CASCADE, place INTEGER NOT NULL,
    candidates TEXT NOT NULL, allowed BLOB NOT NULL, chosen INTEGER NOT NULL, probability REAL NOT NULL,
    state BLOB, vectors BLOB, matches BLOB, stop BLOB, PRIMARY KEY (composition, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, numbers BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, composition TEXT NOT NULL REFERENCES compositions(id) ON DELETE CASCADE,
    created REAL NOT NULL, players TEXT NOT NULL, size INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'running',
    seconds REAL NOT NULL DEFAULT 0, quality REAL NOT NULL DEFAULT 1,
    rating INTEGER NOT NULL DEFAULT 0, undone INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS runs_by_composition ON runs (composition);
"""

_RUNS = (
    "SELECT r.*, c.prompt, c.policy, c.encoder, c.predicted, c.players AS made, c.corrected"
    " FROM runs r JOIN compositions c ON c.id = r.composition"
)

LEAST_LONGEST, TIMES_PREDICTED = 60.0, 4.0
"""A run that takes so many seconds, or so many times what was predicted, is as late as can be."""


class ReplayDamaged(EnvironmentLacks):
    """The file of the replay buffer cannot be read or written."""

    code = "replay_damaged"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a network needs of a logged decision; shapes as in `Seen`."""

    state: Array
    vectors: Array
    matches: Array
    stop: Array
    allowed: np.ndarray[Any, np.dtype[np.bool_]]
    chosen: int


class ReplayStore:
    """One SQLite file in a folder of the home, readable while the host writes. Any thread may call it.

    At most `capacity` decisions of runs are kept: the oldest runs go first. Prompts are kept beside them, so that
    whoever looks can see what it is about, and nothing leaves the folder but through `export`.
    """

    def __init__(self, file: Path, capacity: int = CAPACITY) -> None:
        """Raises ReplayDamaged when the file is no such store."""
        self._capacity = capacity
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._base = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10.0)
            self._base.row_factory = sqlite3.Row
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute("PRAGMA foreign_keys = ON")
            self._base.execute("PRAGMA secure_delete = ON")
            self._base.executescript(_SCHEMA)
            file.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise ReplayDamaged(
                f"{file} cannot be used ({error})",
                remedy="remove it: what was learnt stays, the log begins anew",
            ) from error

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._base.close()

    # --- what the host writes --------------------------------------------------------------------
    def keep(self, prompt: str, composition: Composition, *, corrects: str = "") -> str:
        """Logs a composition with its decisions; answers the id by which a run names it.

        `corrects` is the composition that this one was made from, by a second prompt. Where that took something
        out, this is what the first should have been; where it only added, it was another wish.
        """
        name = uuid.uuid4().hex
        players = _players_of(composition.melody or {})
        with self._changing() as base:
            base.execute(
                "INSERT INTO compositions VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (name, time.time(), prompt, composition.policy, composition.encoder,
                 composition.predicted_seconds, json.dumps(players)),
            )  # fmt: skip
            for place, seen in enumerate(composition.seen):
                base.execute(
                    "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (name, place, *_row(base, seen)),
                )
            before = base.execute("SELECT players FROM compositions WHERE id = ?", (corrects,)).fetchone()
            if before is not None and set(json.loads(before["players"])) - set(players):
                base.execute(
                    "UPDATE compositions SET corrected = ? WHERE id = ?", (json.dumps(players), corrects)
                )
            base.execute(
                "DELETE FROM compositions WHERE id IN (SELECT c.id FROM compositions c LEFT JOIN runs r"
                " ON r.composition = c.id WHERE r.run IS NULL ORDER BY c.created DESC LIMIT -1 OFFSET ?)",
                (UNPLAYED,),
            )
        return name

    def begin(self, run: str, composition: str, melody: Json) -> bool:
        """A run of a composition has begun, of its Melody as it stands by now; whether the composition is known."""
        with self._changing() as base:
            if base.execute("SELECT 1 FROM compositions WHERE id = ?", (composition,)).fetchone() is None:
                return False
            size = base.execute(
                "SELECT count(*) FROM decisions WHERE composition = ?", (composition,)
            ).fetchone()
            base.execute(
                "INSERT INTO runs (run, composition, created, players, size) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (run) DO UPDATE SET players = excluded.players, status = 'running'",
                (run, composition, time.time(), json.dumps(_players_of(melody)), size[0]),
            )
        return True

    def end(self, run: str, status: str, seconds: float, quality: float) -> bool:
        """How a run ended; whether it is one that is logged."""
        with self._changing() as base:
            done = base.execute(
                "UPDATE runs SET status = ?, seconds = ?, quality = ? WHERE run = ?",
                (status, seconds, quality, run),
            )
            self._trim(base)
        return done.rowcount > 0

    def rate(self, run: str, rating: int) -> bool:
        """What the user says of a run: 1 good, -1 bad, 0 takes it back; whether the run is logged."""
        with self._changing() as base:
            return base.execute("UPDATE runs SET rating = ? WHERE run = ?", (rating, run)).rowcount > 0

    def undone(self, run: str, is_undone: bool) -> bool:
        """Whether the user has taken back what the run changed; whether the run is logged."""
        with self._changing() as base:
            return base.execute("UPDATE runs SET undone = ? WHERE run = ?", (is_undone, run)).rowcount > 0

    def forget(self, run: str | None = None) -> int:
        """Drops a run with the composition that nothing else played, or everything; how many runs went."""
        with self._changing() as base:
            if run is None:
                count = base.execute("SELECT count(*) FROM runs").fetchone()[0]
                base.execute("DELETE FROM compositions")
            else:
                found = base.execute("SELECT composition FROM runs WHERE run = ?", (run,)).fetchone()
                count = base.execute("DELETE FROM runs WHERE run = ?", (run,)).rowcount
                if found is not None:
                    self._drop_unplayed(base, [found[0]])
            base.execute("DELETE FROM vectors WHERE NOT EXISTS (SELECT 1 FROM decisions)")
        with self._lock:
            # What was deleted must not stay behind in the log of the database.
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(count)

    def _trim(self, base: sqlite3.Connection) -> None:
        """Keeps to the capacity: the oldest runs go, the last one stays."""
        total = base.execute("SELECT coalesce(sum(size), 0) FROM runs").fetchone()[0]
        late: list[str] = []
        if total > self._capacity:
            oldest = base.execute("SELECT run, size FROM runs ORDER BY created, rowid").fetchall()
            for run, size in oldest[:-1]:
                if total <= self._capacity:
                    break
                total -= size
                late.append(run)
        for run in late:
            composition = base.execute("SELECT composition FROM runs WHERE run = ?", (run,)).fetchone()[0]
            base.execute("DELETE FROM runs WHERE run = ?", (run,))
            self._drop_unplayed(base, [composition])

    @staticmethod
    def _drop_unplayed(base: sqlite3.Connection, compositions: Iterable[str]) -> None:
        for composition in compositions:
            base.execute(
                "DELETE FROM compositions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE composition = ?)",
                (composition, composition),
            )

    # --- what is read ----------------------------------------------------------------------------
    def counts(self) -> Json:
        """`{"decisions", "runs", "ended", "labelled", "compositions", "capacity"}`."""
        with self._reading() as base:

            def one(query: str) -> int:
                return int(base.execute(query).fetchone()[0])

            return {
                "compositions": one("SELECT count(*) FROM compositions"),
                "decisions": one("SELECT coalesce(sum(size), 0) FROM runs"),
                "runs": one("SELECT count(*) FROM runs"),
                "ended": one("SELECT count(*) FROM runs WHERE status IN ('succeeded', 'failed')"),
                "labelled": one(
                    "SELECT count(*) FROM runs r JOIN compositions c ON c.id = r.composition"
                    " WHERE r.rating != 0 OR r.undone != 0 OR c.corrected IS NOT NULL OR r.players != c.players"
                ),
                "capacity": self._capacity,
            }

    def ended_since(self, at: float) -> int:
        """Decisions of runs that began after `at` (seconds since the epoch) and have told how they ended."""
        query = (
            "SELECT coalesce(sum(size), 0) FROM runs WHERE created > ? AND status IN ('succeeded', 'failed')"
        )
        with self._reading() as base:
            return int(base.execute(query, (at,)).fetchone()[0])

    def run(self, run: str) -> Json | None:
        """What is kept of a run, without the numbers; None when it is not logged."""
        return next(iter(self._exported("WHERE r.run = ?", (run,), numbers=False)), None)

    def newest(self, limit: int) -> list[Json]:
        """The last runs that are logged, without the numbers."""
        return self._exported("ORDER BY r.created DESC LIMIT ?", (limit,), numbers=False)

    def export(self) -> list[Json]:
        """All that is kept of runs, for whoever it is about; arrays as 16-bit numbers in base64."""
        return self._exported("ORDER BY r.created", (), numbers=True)

    def _exported(self, order: str, values: Sequence[Any], *, numbers: bool) -> list[Json]:
        with self._reading() as base:
            found = base.execute(f"{_RUNS} {order}", values).fetchall()
            return [
                {
                    "run": row["run"],
                    "created": row["created"],
                    "prompt": row["prompt"],
                    "composed": json.loads(row["made"]),
                    "players": json.loads(row["players"]),
                    "corrected": json.loads(row["corrected"]) if row["corrected"] else None,
                    "status": row["status"],
                    "seconds": row["seconds"],
                    "quality": row["quality"],
                    "rating": row["rating"],
                    "undone": bool(row["undone"]),
                    "reward": _ending(row).reward,
                    "policy": row["policy"],
                    "encoder": row["encoder"],
                    "decisions": [_shown(d, numbers) for d in _decisions(base, row["composition"])],
                }
                for row in found
            ]

    def served(self, limit: int) -> list[Request]:
        """The last prompts that runs served, with the Players that did, as they were corrected; none twice.

        Runs that failed, that were taken back or that were rated bad served nobody.
        """
        query = (
            "SELECT c.prompt, coalesce(c.corrected, r.players) AS players FROM runs r"
            " JOIN compositions c ON c.id = r.composition"
            " WHERE r.status = 'succeeded' AND r.rating >= 0 AND r.undone = 0 ORDER BY r.created DESC LIMIT ?"
        )
        with self._reading() as base:
            rows = base.execute(query, (limit,)).fetchall()
        found: dict[str, Request] = {}
        for row in rows:
            players = tuple(dict.fromkeys(json.loads(row["players"])))
            prompt = row["prompt"]
            found.setdefault(prompt, Request(prompt, language_of(prompt), players))
        return list(found.values())

    def buffer(self, knows: Callable[[str], bool] = lambda policy: True) -> ReplayBuffer:
        """All runs that have ended, as the learner draws from them; a decision's `state` is `COMPOSITION/PLACE`.

        `knows` tells of the version of a policy whether its numbers mean what they mean to the learner.
        """
        buffer = ReplayBuffer(self._capacity)
        with self._reading() as base:
            for row in base.execute(
                f"{_RUNS} WHERE r.status != 'running' ORDER BY r.created, r.run"
            ).fetchall():
                if not knows(row["policy"]):
                    continue
                decisions = [_decision(d, row) for d in _decisions(base, row["composition"])]
                wanted = json.loads(row["corrected"] or row["players"])
                buffer.add(decisions, _ending(row, _labels(decisions, json.loads(row["made"]), wanted)))
        return buffer

    def numbers(self, states: Iterable[str]) -> dict[str, Numbers]:
        """The arrays of decisions, by `COMPOSITION/PLACE`; one that has none is left out."""
        found: dict[str, Numbers] = {}
        known: dict[bytes, Array] = {}
        with self._reading() as base:
            for state in dict.fromkeys(states):
                name, _, place = state.rpartition("/")
                row = base.execute(
                    "SELECT * FROM decisions WHERE composition = ? AND place = ?", (name, int(place))
                ).fetchone()
                if row is None or row["state"] is None:
                    continue
                keys = [row["vectors"][at : at + 16] for at in range(0, len(row["vectors"]), 16)]
                for key in keys:
                    if key not in known:
                        stored = base.execute("SELECT numbers FROM vectors WHERE key = ?", (key,)).fetchone()
                        known[key] = _floats(stored["numbers"])
                vectors = (
                    np.stack([known[k] for k in keys]) if keys else np.zeros((0, BASIS), dtype=np.float32)
                )
                matches = _floats(row["matches"]).reshape(len(keys), MATCH)
                allowed = np.unpackbits(np.frombuffer(row["allowed"], np.uint8), count=len(keys) + 1).astype(
                    bool
                )
                found[state] = Numbers(
                    _floats(row["state"]), vectors, matches, _floats(row["stop"]), allowed, int(row["chosen"])
                )
        return found

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._base
            except sqlite3.Error as error:
                raise ReplayDamaged(
                    f"The replay buffer cannot be used ({error})",
                    remedy="run `symphony learning forget --all`",
                ) from error


def _row(base: sqlite3.Connection, seen: Seen) -> tuple[Any, ...]:
    """A decision's columns behind its key; each Player's vector is kept once."""
    keys = None
    if seen.vectors is not None:
        halves = [vector.astype(np.float16).tobytes() for vector in seen.vectors]
        names = [blake2b(half, digest_size=16).digest() for half in halves]
        base.executemany(
            "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
            [(name, zlib.compress(half, 1)) for name, half in zip(names, halves, strict=True)],
        )
        keys = b"".join(names)
    allowed = np.packbits(seen.allowed).tobytes()
    return (
        json.dumps(seen.candidates), allowed, seen.chosen, seen.probability, _packed(seen.state), keys,
        _packed(seen.matches), _packed(seen.stop),
    )  # fmt: skip


def _packed(array: Array | None) -> bytes | None:
    return None if array is None else zlib.compress(array.astype(np.float16).tobytes(), 1)


def _floats(packed: bytes) -> Array:
    return np.frombuffer(zlib.decompress(packed), dtype=np.float16).astype(np.float32)


def _decisions(base: sqlite3.Connection, composition: str) -> list[sqlite3.Row]:
    return base.execute(
        "SELECT * FROM decisions WHERE composition = ? ORDER BY place", (composition,)
    ).fetchall()


def _names(row: sqlite3.Row) -> list[str]:
    return [*json.loads(row["candidates"]), "stop"]


def _allowed_names(row: sqlite3.Row) -> tuple[str, ...]:
    names = _names(row)
    allowed = np.unpackbits(np.frombuffer(row["allowed"], np.uint8), count=len(names))
    return tuple(name for name, may in zip(names, allowed, strict=True) if may)


def _action(row: sqlite3.Row) -> str:
    return str(_names(row)[row["chosen"]])


def _decision(row: sqlite3.Row, run: sqlite3.Row) -> Decision:
    state = f"{row['composition']}/{row['place']}"
    return Decision(run["run"], state, _allowed_names(row), _action(row), row["probability"], run["policy"])


def _shown(row: sqlite3.Row, numbers: bool) -> Json:
    shown: Json = {
        "candidates": json.loads(row["candidates"]),
        "allowed": list(_allowed_names(row)),
        "action": _action(row),
        "probability": row["probability"],
    }
    if numbers and row["state"] is not None:
        for name in ("state", "matches", "stop"):
            shown[name] = base64.b64encode(zlib.decompress(row[name])).decode("ascii")
    return shown


def _players_of(melody: Json) -> list[str]:
    """The Players of a Melody without versions, sorted: what a correction is seen by."""
    return sorted(
        str(node["player"]).partition("@")[0] for node in melody.get("nodes", ()) if node.get("player")
    )


def _ending(row: sqlite3.Row, labels: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Ending:
    """A run's end as a reward. One that was stopped, or whose host ended, tells nothing of what it was worth."""
    latency = row["seconds"] / max(LEAST_LONGEST, TIMES_PREDICTED * row["predicted"])
    return Ending(
        success=row["status"] == "succeeded",
        latency=min(1.0, latency),
        quality=row["quality"],
        cancelled=row["status"] not in ("succeeded", "failed"),
        labels=labels,
        rating=-1 if row["undone"] else row["rating"],
    )


def _labels(
    decisions: Sequence[Decision], made: Sequence[str], wanted: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What would have been right, where the user has changed which Players play."""
    if sorted(made) == sorted(wanted):
        return ()
    choices = [(d.candidates, d.action) for d in decisions]
    return tuple(
        (d.state, right) for d, right in zip(decisions, right_actions(choices, wanted), strict=True) if right
    )
