"""The native modules that run in the host's process. This file is their manual.

Errors are exceptions of `symphony.errors`; a method says which ones it raises beyond the usual.
"""

import builtins
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, Self, final

# --- Pool Manager -----------------------------------------------------------------------------------

@final
class PoolHandle:
    """The right to use a pool's entry, from `PoolManager.allocate`.

    Used after its release it raises. As a context manager it yields the value and is released at the
    end; a handle that is dropped is released too.
    """

    @property
    def value(self) -> Any:
        """The loader's object."""
    @property
    def id(self) -> str:
        """The entry's id."""
    def __enter__(self) -> Any: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

@final
class PoolManager:
    """Hands out things that are costly to load: Players and local models.

    An entry goes unloaded → loading → warming → ready ⇄ active; ready → cooling when nobody held it for
    `idle` seconds (None: never), then back to ready if asked for within `cooling` seconds, else unloaded. At most
    `capacity` entries are loaded; the one that was used longest ago and is not held makes room.
    `loaders` loads run at once. After a failed load the next allocation waits `backoff` seconds, doubled with
    each further failure, and tries again. `unload(id, value)` is called with each value that leaves.
    """

    def __new__(
        cls,
        capacity: int = 128,
        *,
        idle: float | None = 300.0,
        cooling: float = 2.0,
        loaders: int = 8,
        backoff: float = 0.05,
        unload: Callable[[str, Any], object] | None = None,
    ) -> PoolManager: ...
    def register(self, id: str, loader: Callable[[str], Any]) -> None:
        """Makes `id` known. `loader(id)` runs on a worker thread when it is first asked for; if its
        result has a method `warm`, that is called before the entry is ready. A known id gets the new
        loader and loses what it had loaded."""
    def unregister(self, id: str) -> bool:
        """Forgets `id`; handles that are out stay good. False when it was not known."""
    def allocate(self, id: str, priority: int = 5, timeout: float | None = None) -> PoolHandle:
        """A handle of `id`; an entry may be held several times. A loaded entry is handed out without a
        lock and with the GIL held. Otherwise the GIL is released until it is ready, at most for
        `timeout` seconds; room goes to the highest priority (0 to 9), then to who came first.

        Raises NotFound for an unknown id, SymphonyError with code `timeout`, or with code `load_failed`
        and the loader's exception as its cause."""
    def release(self, handle: PoolHandle) -> None:
        """Gives a handle back. Raises BadInput (code `released`) the second time."""
    def discard(self, id: str) -> bool:
        """Drops what `id` has loaded, because it was found dead: the next allocation loads it anew.
        False when nothing was loaded."""
    def prewarm(self, ids: list[str]) -> int:
        """Starts to load those that are not loaded, as far as there is room; idle entries that are not
        among them make room. Returns the number of loads started, at once."""
    def state(self, id: str) -> str:
        """`unloaded`, `loading`, `warming`, `ready`, `active` or `cooling`."""
    def stats(self) -> dict[str, Any]:
        """capacity, entries, loaded, states (word → count), held, allocations, waits, loads, failures,
        evictions, idle_unloads, discards."""
    def close(self) -> None:
        """Unloads everything that is not held and refuses further allocations."""

# --- Artifact Store ---------------------------------------------------------------------------------

@final
class ArtifactStore:
    """A content-addressed store in the folder `path`; an id is `sha256:` and the content's digest.

    One process writes a store at a time; a second is told so (HostBusy). With `key` (32 bytes) all that
    is on the disk is under AES-256-GCM, and the same key must be given each time (else BadInput, code
    `wrong_key`). The folder may be moved; `index/` in it can be deleted, it is built anew. All methods release
    the GIL and may be called from many threads. After a failed sync the store refuses to write until it is opened again
    (EnvironmentLacks, code `storage_failed`).
    """

    def __new__(cls, path: str | PathLike[str], key: bytes | None = None) -> ArtifactStore: ...
    def put(
        self,
        content: bytes | bytearray | memoryview,
        name: str,
        type: str = "application/octet-stream",
        meta: dict[str, Any] | None = None,
    ) -> str:
        """Stores a content and returns its id, durably: both are on the disk. Concurrent callers share
        one sync. Equal contents are stored once; under one name the same content keeps its version,
        another makes the next. `meta` is JSON; its `run` and `node` can be filtered by.

        Raises StorageFull when the disk is full, and then nothing is lost."""
    def get(self, id: str) -> bytes:
        """The content. Raises NotFound, or DamagedArtifact when it does not match its digest."""
    def info(self, id: str) -> dict[str, Any]:
        """The newest entry of a content: id, name, type, bytes, quality (0 to 1), reasons (of the
        quality), created (seconds since the epoch), run, node, version, meta."""
    def list(
        self,
        limit: int = 100,
        offset: int = 0,
        *,
        type: str | None = None,
        run: str | None = None,
        name: str | None = None,
    ) -> builtins.list[dict[str, Any]]:
        """Entries as from `info`, newest first. One that another run has repeated is listed only for
        its own `run`."""
    def versions(self, name: str) -> builtins.list[dict[str, Any]]:
        """The versions of a name as from `info`, oldest first."""
    def search(self, words: str, limit: int = 10) -> builtins.list[dict[str, Any]]:
        """The best matches: id, name, type, score, snippet. Words match contents and names, `"…"` a
        phrase, `-word` excludes; `type:`, `name:`, `run:` and `node:` must match. Any text is a valid
        query. What was put is found within a second."""
    def flush_search(self) -> None:
        """Waits until `search` finds all that was put before."""
    def stats(self) -> dict[str, int]:
        """artifacts, versions, bytes, stored_bytes, segments, syncs, puts, unindexed."""
    def verify(self) -> builtins.list[dict[str, Any]]:
        """Reads every stored byte. One finding for each place that does not check out: code, file,
        offset, id (or None), message."""
    def remove(self, id: str) -> bool:
        """Removes a content with all its entries. False when it is not there."""
    def gc(self, keep: Iterable[str], before: float | None = None) -> dict[str, int]:
        """Removes every content that is not in `keep` and was last put before `before` (seconds since
        the epoch; at the latest before this call), and gives the space back: removed, bytes, freed,
        segments. A put that runs meanwhile is never lost."""
    def close(self) -> None:
        """Waits for running calls and gives the folder free. Later calls raise (code `closed`)."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

# --- Stale Manager ----------------------------------------------------------------------------------

@final
class StaleManager:
    """Plans which artifacts move to a colder tier or go. Pure: it reads no clock and moves nothing.

    `policy`: active_days (7), archive_days (30), cloud (False: old artifacts stay archived),
    delete_days (None: never), disk_budget (bytes of the active tier, None: no limit), keep_value (0.9:
    what is worth as much is never deleted). Raises InvalidConfig for a policy that makes no sense.
    After a restart, register what the store lists.
    """

    def __new__(cls, policy: dict[str, Any] | None = None) -> StaleManager: ...
    def register(self, id: str, size: int, created: float, value: float) -> None:
        """Adds an artifact of `size` bytes, created at `created` (seconds since the epoch), worth
        `value` (0 to 1); of a known one tier and pin stay, and the later time counts."""
    def pin(self, id: str) -> None:
        """Keeps an artifact where it is. Raises NotFound."""
    def unpin(self, id: str) -> None:
        """Lets the policy decide again. Raises NotFound."""
    def moved(self, id: str, tier: str) -> None:
        """Notes that an action was executed: the artifact is in `active`, `archive` or `cloud`."""
    def forget(self, id: str) -> bool:
        """Drops an artifact that is gone. False when it was not registered."""
    def item(self, id: str) -> dict[str, Any] | None:
        """size, created, value, tier, is_pinned."""
    def plan(self, now: float) -> list[dict[str, str]]:
        """What is due at `now`, oldest first: action (`archive`, `cloud` or `delete`), id, reason."""
    def policy(self) -> dict[str, Any]:
        """The policy with its defaults."""
    def __len__(self) -> int: ...
