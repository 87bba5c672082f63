"""The native modules that run in the host's process. This file is their manual.

Errors are exceptions of `symphony.errors`; a method says which ones it raises beyond the usual.
"""

import builtins
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Self, TypeAlias, TypeVar, final

from typing_extensions import Buffer

__all__ = [
    "ArbitrationEngine",
    "ArtifactReader",
    "ArtifactStore",
    "ArtifactWriter",
    "ChoiceField",
    "ChoiceNetwork",
    "ChoiceRecall",
    "DagTracker",
    "Grant",
    "ModelHandle",
    "PlanIndex",
    "PlayerTemplate",
    "PoolHandle",
    "PoolManager",
    "ReadyPlans",
    "Runtime",
    "SandboxChild",
    "StaleManager",
    "VirtualDom",
    "decode_melody",
    "encode_melody",
    "graphics_processors",
    "is_plain_document",
    "sandbox_layers",
    "sandbox_spawn",
]

_Id = TypeVar("_Id", bound=Hashable)

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
    `idle` seconds (None: never), then back to ready if asked for within `cooling` seconds, else unloaded.
    `unload(id, value)` is called with each value that leaves.

    At most `capacity` entries are loaded, and they occupy at most `memory` bytes (None: unlimited) and
    `gpu_memory` bytes of GPUs (None: what NVML says is free when the first entry that needs some is
    registered). Idle entries make room, those first that are worth least: seldom used, quick to load, large.
    One that is held never does. `loaders` loads run at once.

    After a failed load the next allocation waits `backoff` seconds, doubled with each further failure and
    lengthened by up to a quarter at random, at most 10 s, and tries again. A value that is found dead
    (`report_dead`, or `is_healthy` below) comes back by itself if it was warm, at once the first time, then
    after such pauses. After `give_up_after` failures and early deaths in a row (30 s alive is healthy and
    forgives) it does not any more, and `allocate` raises at once, but for one try every 10 seconds.

    A value may have methods, called on threads of the pool: `warm()` after its load; `memory_in_use()` →
    bytes, or (bytes, bytes of GPU memory), after its load and every `check` seconds (None: never);
    `is_healthy()` → bool every `check` seconds, which must not wait. One that is not healthy, or raises, is dead.
    """

    def __new__(
        cls,
        capacity: int = 128,
        *,
        memory: int | None = None,
        gpu_memory: int | None = None,
        idle: float | None = 300.0,
        cooling: float = 2.0,
        loaders: int = 8,
        backoff: float = 0.05,
        give_up_after: int = 6,
        check: float | None = None,
        unload: Callable[[str, Any], object] | None = None,
    ) -> PoolManager: ...
    def register(
        self,
        id: str,
        loader: Callable[[str], Any],
        *,
        kind: str = "model",
        memory: int = 0,
        gpu_memory: int = 0,
        idle: float | None = None,
    ) -> None:
        """Makes `id` known. `loader(id)` runs on a worker thread when it is first asked for. A known id gets
        the new loader and loses what it had loaded. `kind` is `player` or `model`; `memory` and
        `gpu_memory` (bytes) count as long as nothing was measured; `idle` (seconds) is its own."""
    def unregister(self, id: str) -> bool:
        """Forgets `id`; handles that are out stay good. False when it was not known."""
    def allocate(self, id: str, priority: int = 5, timeout: float | None = None) -> PoolHandle:
        """A handle of `id`; an entry may be held several times. A loaded entry is handed out without a
        lock and with the GIL held. Otherwise the GIL is released until it is ready, at most for
        `timeout` seconds; room goes to the highest priority (0 to 9), then to who came first.

        Raises NotFound for an unknown id, SymphonyError with code `timeout`, with code `load_failed`
        and the loader's exception as its cause, or with code `given_up`; EnvironmentLacks (code
        `too_large`) when it needs more memory than the pool has, or a GPU and there is none."""
    def release(self, handle: PoolHandle) -> None:
        """Gives a handle back. Raises BadInput (code `released`) the second time."""
    def discard(self, id: str) -> bool:
        """Drops what `id` has loaded; the next allocation loads it anew. False when nothing was loaded."""
    def report_dead(self, handle: PoolHandle, reason: str) -> bool:
        """Gives a handle back whose value has died, and drops that value for all: see above. False when
        the pool has another value by now. Raises BadInput for a handle that was released."""
    def prewarm(self, ids: list[str]) -> int:
        """Starts to load those that are not loaded, as far as there is room; idle entries that are not
        among them make room, but nobody who waits for room is made to wait longer. Returns the number of
        loads started, at once."""
    def state(self, id: str) -> str:
        """`unloaded`, `loading`, `warming`, `ready`, `active` or `cooling`."""
    def describe(self, id: str) -> dict[str, Any]:
        """state, kind, memory, gpu_memory (bytes), measured (bool: else as declared), load_seconds (smoothed, None
        before the first load), failures (in a row), given_up, reason (the last failure or death), pause
        (seconds until it may be loaded again, or None). NotFound."""
    def stats(self) -> dict[str, Any]:
        """capacity, entries, loaded, memory and gpu_memory (bytes booked), memory_limit, gpu_memory_limit,
        gpu_absent (why there is no GPU, or None), states (word → count), held, allocations, waits, loads,
        failures, evictions, idle_unloads, discards, deaths, restarts (by itself, after a death), given_up
        (entries now), prewarmed (loads begun before anybody asked), prewarm_hits (of these, used),
        prewarm_misses (unloaded unused)."""
    def close(self) -> None:
        """Unloads everything that is not held and refuses further allocations."""

# --- Artifact Store ---------------------------------------------------------------------------------

@final
class ArtifactStore:
    """A content-addressed store in the folder `path`; an id is `sha256:` and the content's digest.

    One process writes a store at a time; a second is told so (HostBusy). With `key` (32 bytes, or a
    passphrase as text, from which Argon2id derives one) all that is on the disk is under AES-256-GCM, and
    the same key must be given each time (else BadInput, code `wrong_key`) until `rotate_key` changes it.
    A store that is not encrypted is refused with a key, unless `encrypt` says that it becomes one, see
    `reencrypt`. The folder may be moved; `index/` in it can be deleted, it is built anew. All methods release
    the GIL and may be called from many threads. After a failed sync the store refuses to write until it is opened again
    (EnvironmentLacks, code `storage_failed`).
    """

    def __new__(
        cls, path: str | PathLike[str], key: bytes | str | None = None, *, encrypt: bool = False
    ) -> ArtifactStore: ...
    def put(
        self,
        content: bytes | bytearray | memoryview,
        name: str,
        type: str = "application/octet-stream",
        meta: dict[str, Any] | None = None,
    ) -> str:
        """Stores a content and returns its id, durably: both are on the disk. Concurrent callers share
        one sync. Equal contents are stored once; under one name the same content keeps its version,
        another makes the next. `meta` is JSON; its `run` and `node` can be filtered by. Contents over
        16 KiB are cut into chunks, and chunks that are stored already are not stored again.

        A bytes object, or a memoryview of one, is read where it is. Memory that could be written to
        meanwhile is copied: from 64 KiB on piece by piece, 256 KiB at a time, so that what is digested is
        what is stored.

        Raises StorageFull when the disk is full, and then nothing is lost."""
    def get(self, id: str, offset: int = 0, length: int | None = None) -> bytes:
        """The content, or `length` bytes of it from `offset` on, as far as there are so many. It is read
        straight into the memory of the object that is returned.

        Raises NotFound, DamagedArtifact when it does not match its digest (of a part, the chunks that it
        is in), or ArtifactRemote when its bytes were evicted."""
    def writer(
        self,
        name: str,
        type: str = "application/octet-stream",
        meta: dict[str, Any] | None = None,
    ) -> ArtifactWriter:
        """Begins a content that comes piece by piece and may be larger than memory."""
    def reader(self, id: str) -> ArtifactReader:
        """Reads a content piece by piece. Raises as `get`."""
    def evict(self, id: str, tier: str = "") -> bool:
        """Drops the bytes of a content, durably; its entries, versions and the words of it that are
        searched stay. The caller has made sure that `tier` holds the bytes; its name is noted, also of a
        content that was evicted before and is in another one now. False when the bytes were evicted
        before. The space comes back with the next `gc`."""
    def restore(self, id: str, content: bytes | bytearray | memoryview) -> bool:
        """Puts the bytes of an evicted, damaged or lost content back, durably. False when they are
        here. Raises BadInput when `content` has another SHA-256, NotFound when it was removed."""
    def restorer(self, id: str) -> ArtifactWriter:
        """As `restore`, of a content that comes piece by piece. `finish` raises BadInput when what was
        written has another SHA-256; before that nothing of it can be read. Raises NotFound."""
    def is_local(self, id: str) -> bool:
        """Whether the bytes are here, and nothing is known against them."""
    def whereabouts(self, id: str) -> tuple[str, str | None]:
        """Where the bytes are: `here`; `remote`, with the tier that `evict` was told (empty when none
        was); `damaged`, or `unknown`."""
    def remote(self) -> builtins.list[str]:
        """The contents whose bytes were evicted."""
    def ids(self, after: str = "", limit: int = 10_000) -> builtins.list[str]:
        """The ids behind `after`, in their order: for those that go through all, page by page."""
    def hold(self, id: str, reason: str) -> bool:
        """Holds a content, durably: until `lift_hold` neither `remove` nor `gc` removes it. False when
        it is held for that reason already. Raises NotFound."""
    def lift_hold(self, id: str) -> bool:
        """Lifts a hold, durably. False when there is none."""
    def held(self) -> dict[str, str]:
        """The contents that are held, each with its reason."""
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
        """artifacts, remote (those of them that were evicted), versions, bytes, stored_bytes, segments,
        syncs, puts, chunks, unindexed."""
    def verify(self) -> builtins.list[dict[str, Any]]:
        """Reads every stored byte. One finding for each place that does not check out: code, file,
        offset, id (or None), message."""
    def remove(self, id: str) -> bool:
        """Removes a content with all its entries. False when it is not there. Raises ArtifactHeld."""
    def gc(self, keep: Iterable[str], before: float | None = None) -> dict[str, int]:
        """Removes every content that is not in `keep`, is not held and was last put before `before`
        (seconds since the epoch; at the latest before this call), and gives the space back: removed,
        bytes, freed, segments. A put that runs meanwhile is never lost."""
    def set_quality(self, id: str, score: float, reasons: Sequence[str]) -> bool:
        """Gives the newest entry of a content another quality (0 to 1), durably; all else of it stays.
        False when a later content has taken its name."""
    def rotate_key(self, key: bytes | str, *, renew: bool = False) -> None:
        """Makes `key` the one that opens the store, at once and durably: a crash leaves the old or the
        new one. Nothing is moved; with `renew` what is put from now on is under a new data key, and
        `reencrypt` brings the rest under it. BadInput for a store that is not encrypted."""
    def reencrypt(self) -> dict[str, Any]:
        """Encrypts what is plain or under an older data key, while the store is used, drops the older
        keys, and answers as `encryption`. Goes on where an interrupted one ended; does nothing when
        nothing is left. It takes as long as the store is large: call it in a thread of its own."""
    def encryption(self) -> dict[str, Any]:
        """is_on, data_keys (one, and those that `reencrypt` has still to replace), segments_left."""
    def close(self) -> None:
        """Waits for running calls and gives the folder free. Later calls raise (code `closed`)."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

@final
class ArtifactWriter:
    """A content that is put piece by piece, from `ArtifactStore.writer` or `restorer`; little more than
    one piece of it is in memory. As a context manager it is finished at the end, and aborted by an exception. A writer
    that is aborted or dropped leaves nothing but space that the next `gc` gives back.
    """

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Takes the next piece; the number of its bytes. After an error the writer is aborted. Raises
        StorageFull, and ValueError when the writer is finished or aborted."""
    def finish(self) -> str:
        """Stores what was written, as `ArtifactStore.put` or `restore` does, and returns its id. Again: the
        same id."""
    def abort(self) -> None:
        """Forgets what was written, unless it is finished."""
    @property
    def id(self) -> str | None:
        """The content's id once it is finished."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

@final
class ArtifactReader:
    """A content that is read piece by piece, from `ArtifactStore.reader`, like a binary file. One thread
    at a time.

    Each chunk is checked when it is read, and the digest of the whole when it has been read in order
    from the beginning to the end: DamagedArtifact. A content that is removed meanwhile may end with
    NotFound. Contents up to 16 KiB, and those of stores of the time before chunks, are in memory as a
    whole.
    """

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left when it is negative."""
    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Reads the next bytes into `buffer`, which nobody else may use meanwhile; their number."""
    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Goes to `offset` from the beginning (whence 0), from here (1) or from the end (2)."""
    def tell(self) -> int:
        """Where the next read begins."""
    @property
    def size(self) -> int:
        """Bytes of the whole content."""
    def readable(self) -> bool: ...
    def seekable(self) -> bool: ...
    def close(self) -> None:
        """Gives the memory free; later calls raise ValueError."""
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

# --- Stale Manager ----------------------------------------------------------------------------------

@final
class StaleManager:
    """Plans which artifacts move to a colder tier or go. Pure: it reads no clock and moves nothing.

    `policy`: active_days (7), archive_days (30), archive (True), cloud (False): which tiers there are;
    delete_days (None: never), keep_value (0.9: what is worth as much is never deleted), disk_budget
    (bytes of the active tier, None: no limit), min_free (bytes that should stay free on its disk),
    pressure_delete (False: pressure only moves), half_life_days (7: days without use after which a byte
    is worth half as much to stay near). Days count from creation or last use. Raises InvalidConfig for a
    policy that makes no sense. After a restart, register what the store lists.
    """

    def __new__(cls, policy: dict[str, Any] | None = None) -> StaleManager: ...
    def register(self, id: str, size: int, created: float, value: float) -> None:
        """Adds an artifact of `size` bytes, created at `created` (seconds since the epoch), worth
        `value` (0 to 1); of a known one all else stays, and the later time counts."""
    def register_all(
        self, store: ArtifactStore, worth: dict[str, float], share: float = 0.5
    ) -> list[tuple[str, int, float, float]]:
        """Registers every artifact that the store has the bytes of, from its index alone, as active and held or not.
        Its value is the greatest of its listed entries: what `worth` says of the run that made one (of the
        beginning of its name, up to a slash), or `share` of its quality. Answers those whose bytes are not there, as
        id, bytes, created and value: where they are is to be found out. A million take about a second."""
    def forget_others(self) -> None:
        """Drops what has not been registered since `register_all` began."""
    def pin(self, id: str) -> None:
        """Keeps an artifact where it is. Raises NotFound."""
    def unpin(self, id: str) -> None:
        """Lets the policy decide again. Raises NotFound."""
    def set_hold(self, id: str, held: bool) -> None:
        """Says whether an artifact is held: a held one may move, and is never deleted. Raises NotFound."""
    def used(self, id: str, at: float) -> None:
        """Notes that an artifact was read at `at` (seconds since the epoch). Raises NotFound."""
    def moved(self, id: str, tier: str) -> None:
        """Notes that an action was executed: the artifact is in `active`, `archive` or `cloud`."""
    def forget(self, id: str) -> bool:
        """Drops an artifact that is gone. False when it was not registered."""
    def item(self, id: str) -> dict[str, Any] | None:
        """size, created, used, value, tier, is_pinned, is_held."""
    def plan(self, now: float, free: int | None = None) -> list[dict[str, Any]]:
        """What is due at `now`: action (`archive`, `cloud` or `delete`), id, from (the tier), bytes, reason.
        What age asks for comes first, oldest first; then what disk pressure asks for, least worth for each
        byte first. `free` are the bytes free on the store's disk. Once executed, nothing is due."""
    def explain(self, id: str, now: float) -> str:
        """What age asks for, or why the artifact stays where it is. Raises NotFound."""
    @staticmethod
    def assess(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """What runs are worth to learn from: run, value (0 to 1), reasons (strongest first).

        A run is `{"run", "task", "status": "running" | "succeeded" | "failed" | "cancelled" | "interrupted",
        "created", "players": [each once], "reward": 0 to 1 | None, "corrections": n, "feedback": -1 | 0 | 1,
        "retries": n}`; those after `players` may be left out. The value is 1 − Π(1 − s) over the strengths
        of its signals: judged 0.8, corrected 0.7, failed with a later success of its task (or the first
        such success) 0.6, reward ½ r, distance of the reward from the task's others ½ d, rarest Player in
        n runs 0.4 ÷ √n, retries 0.2; divided by √k for the k-th newest of runs with the same task, status
        and Players. Raises BadInput."""
    def policy(self) -> dict[str, Any]:
        """The policy with its defaults."""
    def __len__(self) -> int: ...

def graphics_processors() -> dict[str, Any]:
    """`{"devices": how many GPUs there are, "memory": bytes of all together, "free": bytes that nobody uses now,
    "absent": why there is none, or None}`, from NVML, whose library is loaded by the first call."""

# --- DAG Tracker ------------------------------------------------------------------------------------
@final
class DagTracker(Generic[_Id]):
    """The ready set of a directed acyclic graph.

    Ids are the caller's own objects, and the lists that come back hold the same objects. Nothing
    recurses: a chain of 100,000 nodes is ordinary.
    """

    def __new__(
        cls, node_ids: Iterable[_Id] | int, edges: Iterable[Sequence[_Id]] | Buffer
    ) -> DagTracker[_Id]:
        """A tracker with nothing started.

        `node_ids` are hashable and differ; a number `n` stands for the ids 0 … n-1. `edges` are pairs
        (source, target) of ids, fastest as a list of tuples; or a flat buffer of 32- or 64-bit
        integers, source, target, source, target, …, each the *position* of a node.

        Raises CycleError (its `cycle` lists the ids in order, the first again at the end) and BadInput
        for an edge that names no node or an id that is there twice. Several edges between two nodes are
        no error.
        """
    @staticmethod
    def validate(
        node_ids: Iterable[_Id] | int, edges: Iterable[Sequence[_Id]] | Buffer
    ) -> list[dict[str, Any]]:
        """All that is wrong with a graph, arguments as of the constructor; empty when nothing is.

        Each finding is `{"code", "severity", "message", "nodes", "edges"}`: ids of the nodes and
        positions of the edges that it is about. Errors, with which no tracker can be made:
        `duplicate_node`, `malformed_edge`, `unknown_node`, `self_loop`, `cycle` (one shortest cycle for
        each knot of nodes that reach each other, the first id again at the end), `blocked` (all nodes
        behind a cycle) and `unreachable` (all nodes to which no path leads from a node without incoming
        edges). Warnings: `duplicate_edge` (the first such edge and this one) and `orphan` (all nodes
        without an edge, unless there is but one node).
        """
    @staticmethod
    def check(
        node_ids: Iterable[_Id] | int, edges: Iterable[Sequence[_Id]] | Buffer
    ) -> tuple[list[dict[str, Any]], DagTracker[_Id] | None]:
        """What `validate` answers, and the tracker when no finding is an error. The graph is read once."""
    @staticmethod
    def sortable(node_ids: Iterable[_Id] | int, edges: Iterable[Sequence[_Id]] | Buffer) -> list[_Id]:
        """The ids in an order in which each comes after its sources, without those in a cycle or behind one.
        Arguments and BadInput as of the constructor."""
    def topological_order(self) -> list[_Id]:
        """All ids, each after its sources."""
    def critical_path(self, weights: Mapping[_Id, float] | Sequence[float]) -> list[_Id]:
        """The ids of the path that takes longest. `weights` gives the seconds of every id."""
    def ready(self) -> list[_Id]:
        """All ids that are ready now, in the order in which they became so."""
    def start(self, node: _Id) -> None:
        """Marks a ready node as running. BadInput when it is not ready, NotFound when there is none."""
    def complete(self, node: _Id) -> list[_Id]:
        """Marks a node that runs or is ready as done; the ids that became ready by it."""
    def complete_many(self, nodes: Iterable[_Id]) -> list[_Id]:
        """`complete` of many nodes at once; if one cannot be completed or is named twice, none is."""
    def fail(self, node: _Id) -> list[_Id]:
        """Marks a node that runs or is ready as failed; the ids that can never run now."""
    def state(self, node: _Id) -> str:
        """pending, ready, running, succeeded, failed or skipped."""
    @property
    def finished(self) -> bool:
        """Whether every node is done, failed or skipped."""
    def __len__(self) -> int: ...
    def journal(self, path: str | PathLike[str]) -> None:
        """Begins a journal at `path`, which is replaced: the graph and where it stands, synced to disk.

        From then on each step is written at once: it survives the process, and `sync` brings it to the
        disk. Ids must be text or integers.
        """
    def sync(self) -> None:
        """Waits until all journalled steps are on the disk."""
    @classmethod
    def recover(cls, path: str | PathLike[str]) -> DagTracker[Any]:
        """The tracker whose journal is at `path`, which goes on. What was running is ready again; a
        torn last step is dropped. NotFound, or BadInput when the file is no such journal.
        """

# --- Arbitration Engine -----------------------------------------------------------------------------
@final
class Grant:
    """Resources and locks that are held until they are released."""

    @property
    def id(self) -> int: ...
    @property
    def owner(self) -> str: ...
    @property
    def resources(self) -> dict[str, float]:
        """What is held, by resource; nothing that is zero."""
    @property
    def locks(self) -> dict[str, str]:
        """`read` or `write`, by path in its normal form."""

@final
class ArbitrationEngine:
    """Grants amounts of resources and locks on paths. Who asks asks for all at once, so nobody waits while
    holding a part.

    Which waiting request goes first is the strategy's to say: `priority` (then arrival), `fair` (priority,
    then the smallest dominant share that the owner holds, then what it was served, then arrival), `lottery`
    (among owners, one ticket more for each priority, seeded) or `shortest` (predicted seconds, unknown ones
    last). A priority rises while higher ones go first. A request that was overtaken 16 times because there
    was no room for it, and an owner's oldest one that was passed over 16 times for each owner that waited
    when it came, holds back what it needs.
    """

    def __new__(
        cls, capacities: dict[str, float], strategy: str = "fair", seed: int = 0
    ) -> ArbitrationEngine:
        """`capacities` in each resource's own unit, such as cores and bytes, exact to a thousandth."""
    def request(
        self,
        owner: str,
        needs: dict[str, float],
        priority: int = 5,
        *,
        locks: dict[str, str] | None = None,
        seconds: float | None = None,
        label: str | None = None,
    ) -> Grant | None:
        """A Grant, or None: then the request is queued, and a later `release` returns its Grant.

        `priority` is 0 to 9, 9 first. `locks` maps paths to `read` (others may read too) or `write` (nobody
        else may hold it); a lock on a path is one on all below it, and the empty path is everything.
        `seconds` predicts the duration. `label` is the name in explanations, if not the owner's. BadInput
        with the code `infeasible` when there is less at all, `unknown_resource` when it has no capacity.
        Zero of anything is no need.
        """
    def release(self, grant: Grant) -> list[Grant]:
        """Gives back what is held; the grants that became possible. BadInput when it is not held."""
    def granted(self) -> list[Grant]:
        """Grants of queued requests that something other than `release` made possible (the run loop
        shares the engine, a reservation may end, another request may change the order), each once.
        """
    def withdraw(self, owner: str) -> int:
        """Takes back the queued requests of `owner`; how many there were."""
    @property
    def strategy(self) -> str: ...
    def set_strategy(self, strategy: str, seed: int = 0) -> None:
        """Another strategy from now on; who waits goes on waiting at its age. BadInput for an unknown one."""
    def reserve(
        self, owner: str, needs: dict[str, float], *, starts_in: float = 0.0, lasts: float | None = None
    ) -> int:
        """Keeps `needs` free for requests of `owner`, from `starts_in` seconds on and for `lasts` seconds
        or, if None, until it is claimed: what `owner` is granted meanwhile is taken out of it. What others
        hold when it begins is kept as they release it. BadInput, code `infeasible`, when so much is not
        there or reserved already for that time.
        """
    def unreserve(self, reservation: int) -> bool:
        """Gives a reservation up; False when it is claimed, over or unknown."""
    def fairness(self) -> dict[str, Any]:
        """`{"jain", "owners": {owner: dominant share held}, "resources": {name: {"free", "capacity"}},
        "waiting", "held"}`. `jain` is Jain's index over what owners were granted while they competed.
        """
    def explain(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Why each queued request, or the `limit` oldest, waits, by arrival: `{"owner", "label", "text", "passed_over",
        "shortages": [{"resource", "missing", "held_by"}], "reserved": [{"resource", "missing", "reserved_for"}],
        "locks": [{"path", "mode", "held", "held_by"}], "behind"}`. `text` says it all, as in "waits for
        1.2 GiB of memory held by commits"; `behind` is who holds back what this one needs, or None.
        """

# --- Run loop ---------------------------------------------------------------------------------------
@final
class ModelHandle:
    """The right to use a local model, from `Runtime.hold_model`. Used after its release it raises. As a context
    manager it yields the value and is released at the end; a handle that is dropped is released too.
    """

    @property
    def value(self) -> Any:
        """The loader's object."""
    def release(self) -> None:
        """Gives the handle back. Raises BadInput (code `released`) the second time."""
    def __enter__(self) -> Any: ...
    def __exit__(self, kind: object, value: object, traceback: object, /) -> None: ...

@final
class Runtime:
    """Plays melodies: orders their nodes, starts Players in sandboxes, calls them, stores what they make,
    journals each step and tells what happens.

    All methods return at once unless they say that they wait. What happens arrives as events: dicts with
    a key `event`, taken with `drain` when `fileno` is readable. The forms:

    - `node` {run, node, state, attempt, at, error?, reason?, artifacts?, cached?, seconds?, queue?, started?,
      cpu_seconds?, peak_memory?, gpu_share?, ran_because?, fallback?, kept?}: a node's new state. `at` and
      `started` are in seconds since this host began the run; `artifacts` is a list of {id, name, type, bytes,
      quality, port}, left out when empty, as `cached` is when false; `reason` says why it was skipped;
      `queue` is the wait for resources. `cpu_seconds` is the time of the Player's process during the call,
      shared alike among the calls that it answered at once, and of the programs that were executed for it;
      `peak_memory` the most in bytes that the process has held since it began, or one of those programs;
      `gpu_share` is None where it is not known. `ran_because` says why the node was not answered from the
      cache, such as `parameter since changed from 90d to 30d`; `fallback` names the Player that answered in
      place of its own. `kept`: it was finished in an earlier life of the run. A node that is `ready` for
      less than a moment goes to `running` without saying so.
    - `run` {run, state, seconds, error}: running, then succeeded, failed or cancelled.
    - `progress`, `log` {run, node, extension, …the Player's own keys}: `fraction`, `note`, `level`, `message`.
      Of a node's progress only the newest is told; with a log file, what is logged goes there instead.
    - `output`, `ui` {run, node, extension, piece}. Of a call's trees only the newest is told, as `{"tree"}`, or
      `{"refused": why}` for one that is too large.
    - `request` {id, run, node, extension, key, method, body}: a Player asks for a capability; answer with
      `respond` or `respond_error`. `withdrawn` {id}: nobody waits for that answer any more, for the call has
      ended or was cancelled.
    - `control` {token, run, node, player, params, inputs}: answer `decide(token, {"outputs": {…}})` or
      `{"error": {code, message, remedy}}`, and `{"waiting": True}` before when a person has to answer.
    - `condition` {token, run, from, to, when, edge, outputs}: answer `decide(token, bool)`. `edge` is the
      plan's token of the edge.
    - `recall` {token, run, id}: the content of an artifact that is in another tier will be read. Answer
      `decide(token, True)` when the store has it again, else `{"error": {"message", …}}`; its node runs then.
    - `failure` {token, run, node, attempt, error}, only for plans with `ask_failure`: answer
      `decide(token, {"action": "fail" | "retry" | "skip" | "fallback", "delay": seconds})` within 5 seconds, else the
      node's retry policy holds, which the action `default` says at once.
    - `player` {key, extension, state, pid, reason}: loading, ready, unloaded. A `reason` means that it went
      wrong.
    - `call_done` {token, outputs | error}.

    An error is {code, message, remedy, traceback?}. Errors with the codes bad_input, permission_denied,
    infeasible and not_found are not tried again; neither is `bad_output`, an output whose form is not that of
    its port's type.
    """

    def __new__(
        cls,
        store: ArtifactStore,
        stale: StaleManager,
        arbiter: ArbitrationEngine,
        *,
        launcher: str | PathLike[str],
        sockets: str | PathLike[str],
        threads: int = 2,
        capacity: int = 128,
        memory: int | None = None,
        ping: float = 10.0,
        predict: bool = True,
        log: dict[str, Any] | None = None,
        bus: dict[str, float] | None = None,
    ) -> Runtime:
        """`launcher` is the program `symphony-launcher`, `sockets` a folder with a short path, `capacity`
        the most Players that run at once, `memory` the bytes that they may use together (None: unlimited).
        A Player that nobody uses must answer a ping within `ping` seconds, and is asked that often. With
        `predict`, Players are started because they will probably be used.

        `log` is `{"folder", "level", "max_bytes", "backups"}`: what Players
        log is written to `players.jsonl` in that folder by a thread of its own. `bus` bounds what one
        Player may take of the bus, as `docs/stage-protocol.md` says: `frame` and `payload` in bytes, `depth`,
        `values`, `rate` in messages a second, `requests` and the bytes that these hold, `unanswered`;
        `buffer_size` are the bytes of a connection's buffers, 0 for the system's. What it does not name keeps
        its default; any other name raises BadInput.
        """
    def fileno(self) -> int:
        """A descriptor that is readable while there are events."""
    def drain(self, limit: int = 1024) -> list[dict[str, Any]]:
        """Takes up to `limit` events, oldest first."""
    def start(self, plan: dict[str, Any]) -> None:
        """Plays a plan.

        ``{"run": id, "dir": the run's folder ("" for none: no journal), "name", "melody": which melody it is,
        whatever its content (without it no `ran_because`), "project": path | None,
        "nodes": […], "edges": […], "meta": {stored with each artifact}, "ask_failure": bool}``

        A node: ``{"id", "kind": "pass" | "control" | any other, "key": the Player's pool entry ("" for
        control), "player": "publisher/extension#function", "function", "params": {}, "inputs": {port:
        [{"node", "port"} | {"value"}, …] | {"value"}}, "list_inputs": [ports that gather their sources
        into one list], "optional_inputs": [ports that may stay empty], "outputs": {port: type},
        "timeout": seconds | None, "retry": {"attempts", "backoff": "none" | "fixed" | "exponential",
        "delay"}, "resources": {name: amount}, "locks": [{"path",
        "mode": "read"|"write"}], "priority": 0–9, "effects": bool, "cache_key": text |
        None, "uncached": why there is none, "version": of the extension, "seconds": expected duration,
        "fallback": {"key", "player", "function", "params"} | None}``. A node of kind `pass` answers with its
        inputs, at once and in Rust. `cache_key` names all of a node's identity but its inputs, whose content is added.

        An edge: ``{"kind": "data" | "control" | "conditional", "from", "to", "when", "token"}``. Data
        edges follow from the inputs and need not be listed.

        Each output becomes an artifact: text of a text type as UTF-8, bytes as they are, all else as
        JSON. A node is skipped when a source that it needs failed or was skipped, or when a condition
        does not hold. A Player that ends under a call is started again and the node gets a second
        attempt whatever its policy, unless it has effects. After the last attempt the fallback is called once,
        with the same inputs. Every call carries the same `idempotency_key` for a node, also after a resume.
        Among ready nodes of one priority the one with the most work behind it comes first.

        Raises BadInput for a plan that cannot be read or a run that plays or was begun before (then
        `resume` it), CycleError.
        """
    def resume(self, run_dir: str, plan: dict[str, Any]) -> dict[str, Any]:
        """Goes on with the run whose journal is in `run_dir`: `{"kept": [ids], "left": n, "torn": bytes}`.

        Nodes that were finished, whose plan and sources are unchanged and whose outputs are in the
        store are kept; all others are played. The kept are told in `node` events first. Waits for the
        journal to be read.
        """
    def finished(self, run_dir: str, run: str) -> list[str]:
        """The nodes of a run that have succeeded by the journal in `run_dir`, in no order; none where there is no
        journal. Waits for it to be read. BadInput (code `damaged_journal`)."""
    def cancel(self, run: str) -> bool:
        """Stops a run in order. Players are told; one that does not answer within 2 seconds is ended.
        False when it does not play.
        """
    def decide(self, token: int, answer: Any) -> bool:
        """Answers `control`, `condition`, `recall` and `failure` events; False when nobody asks any more."""
    def outputs(self, run: str, node: str) -> dict[str, Any]:
        """The outputs of a node that is done, of a run of this host. Waits when they are read from the
        store. NotFound.
        """
    def register_player(self, key: str, launch: dict[str, Any]) -> None:
        """Makes a Player known: `{"extension", "version", "spec": the launch spec (`symphony.stage.sandbox`),
        "grants": {}, "configuration": {}, "project", "start_timeout", "memory", "idle",
        "template": the `PlayerTemplate` from which it may be copied, or None}`. The mount of its socket is
        added to the spec; the first Player that is ready warms its template. One of the same key that runs is unloaded.
        """
    def unregister_player(self, key: str) -> bool:
        """Forgets a Player and unloads it; False when it was not known."""
    def register_model(
        self, id: str, loader: Callable[[str], Any], *, memory: int = 0, idle: float | None = None
    ) -> None:
        """Makes a local model known, an entry of the same pool as the Players: `loader(id)` makes its value on a
        thread of the pool when it is first held or expected. `memory` (bytes) counts until the value has
        said by `memory_in_use()`, once, after its `warm()`; both methods may be missing. `idle` (seconds) is
        its own.
        """
    def hold_model(self, id: str, timeout: float | None = None) -> ModelHandle:
        """Holds a model, which is loaded if need be; waits without the GIL, at most `timeout` seconds. Raises as
        `PoolManager.allocate`.
        """
    def model_states(self) -> dict[str, dict[str, Any]]:
        """Id to what `PoolManager.describe` says of it."""
    def declare_types(self, supertypes: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Says which types stand directly above which, in place of what was said before. An output is refused
        (`bad_output`) when it has not the form of its type or of the nearest one above that has one.
        """
    def prewarm(self, keys: Sequence[str]) -> int:
        """Starts Players, or loads models, ahead of their first call; how many are being started."""
    def player_states(self) -> dict[str, dict[str, Any]]:
        """Key to `{"extension", "version", "state", "pid", "since", "calls", "memory", "memory_limit", "ping",
        "bus"}`; `state` is the pool's word, `since` in seconds since the epoch, `ping` the seconds that the last
        one took. `bus` counts what went over the session: `received`, `sent`, `bytes_received`, `bytes_sent`,
        `refused` (beyond a limit), `late` (about calls that had ended), `calls_waiting`, `bytes_waiting`. All else
        is as from `PoolManager.describe`. A Player that ends by itself is started again if it was warm.
        """
    def player_overlays(self, key: str) -> list[tuple[Path, int]]:
        """As `SandboxChild.overlays`, of a Player that runs; the descriptors are the caller's, who closes them.
        Empty when it does not run."""
    def learned(self) -> bytes:
        """What was learned about the use of Players, with a checksum: for `restore_learned` of a later host."""
    def wanted(self) -> list[tuple[str, float]]:
        """The Players that should be warm now and how likely they are needed, also those that are not registered.
        With `predict`, those that are registered are being warmed."""
    def restore_learned(self, learned: bytes) -> None:
        """Takes what an earlier host has learned. Raises BadInput, and changes nothing, when it is damaged."""
    def call_player(self, token: int, key: str, body: dict[str, Any], timeout: float | None = None) -> None:
        """Calls one function outside of any run; the event `call_done` answers. `body` is `{"function",
        "params", "inputs", "context"}`.
        """
    def tell_call(self, run: str, node: str, method: str, body: Any) -> bool:
        """Tells the Player that serves the call of a node something, such as `ui.event`; False when no such
        call is open. Calls outside of runs have the `run` and `node` of their `context`.
        """
    def stop_call(self, run: str, node: str) -> bool:
        """Asks a Player to end such a call: it ends with the error `cancelled`. False when none is open."""
    def respond(self, request: int, body: Any) -> bool:
        """Answers a `request` event; False when nobody waits any more."""
    def respond_piece(self, request: int, body: Any) -> bool:
        """Sends a part of the answer to a `request` event, as a `stream` frame, before `respond`; False when
        nobody waits any more."""
    def listen(self, request: int, pattern: str, queue: int) -> bool:
        """Answers a `request` event, until it is withdrawn, with what Players of the same project publish under
        `pattern`: `stream` frames `{"id"}` and then `{"topic", "value", "from"}`. At most `queue` messages wait.

        False when nobody waits any more. Raises BadInput for what is no pattern.
        """
    def announce(self, request: int, topic: str) -> bool:
        """Lets the Player of a `request` event publish under `topic` while its session lasts. False when nobody
        waits any more, or it has announced 256. Raises BadInput for what is no topic.
        """
    def respond_error(self, request: int, code: str, message: str, remedy: str = "") -> bool:
        """Refuses a `request` event; False when nobody waits any more."""
    def charge(self, request: int, cpu_seconds: float, memory: int) -> bool:
        """Counts what was executed for a `request` event as used by its node: CPU seconds, and its peak of
        memory in bytes. False when nobody waits for the answer any more.
        """
    def flush_log(self, timeout: float = 1.0) -> bool:
        """Waits until all that Players have logged is in the file; False when that takes longer."""
    def stats(self) -> dict[str, Any]:
        """`{"playing", "questions", "calls", "requests", "events_waiting", "events_dropped", "log_lines_lost",
        "players"}`. The last is as from `PoolManager.stats`, and `predicted_hits`, `predicted_misses` (Players that
        a run used and that were, or were not, expected when it began), `predicted_unused`.
        """
    def stop(self, timeout: float = 10.0) -> bool:
        """Cancels all runs, waits for their end, then ends all Players. False when runs were left."""

# --- The Conductor's choices --------------------------------------------------------------------------

_Numbers: TypeAlias = Any
"""A buffer of numbers; numpy's arrays tell a type checker that they are buffers from Python 3.12 on only."""

@final
class PlanIndex:
    """Functions of Players by the types that they want and feed; `conductor.search.TypeIndex` makes it."""

    def __new__(
        cls, wants: Sequence[Sequence[int]], feeds: Sequence[Sequence[int]], gathers: Sequence[bool]
    ) -> Self:
        """By function the types of its required inputs, and those that what it makes may feed, each once; by type
        whether it takes from several. Raises ValueError when these do not fit together."""
    def plan(
        self,
        costs: _Numbers,
        usable: _Numbers,
        ask: Callable[[int], bool],
        there: Sequence[int],
        open_inputs: Sequence[tuple[int, Sequence[int]]],
    ) -> ReadyPlans:
        """The cheapest way to every function (Knuth 1977). `costs` are float64, `usable` uint8: 0 no, 1 yes, 2 what
        `ask` says when it is first within reach. `there` are the functions in the graph, `open_inputs` those that it
        feeds with the places of the inputs that it does not. More than 2,000 functions of which none is to be asked
        for are searched without the GIL. Raises ValueError for a graph of other functions, and what `ask` raises.
        """

@final
class ReadyPlans:
    """The cheapest way to every function that can be reached, from `PlanIndex.plan`."""

    @property
    def cost(self) -> dict[int, float]:
        """What each one costs with all steps before it, the cheapest first; made anew each time."""
    @property
    def expansions(self) -> int:
        """How many the search came to."""
    def feeders(self, player: int) -> list[int]:
        """Those that must be added for its inputs, one for each that the graph does not feed."""
    def steps(self, player: int) -> list[int]:
        """Those to add before it, in order, each once."""
    def among(self, players: list[int]) -> list[int]:
        """Those of them that can be reached, in their order."""

@final
class ChoiceField:
    """What holds for a whole composition, of the n functions that it may choose among; `conductor.facts` makes it.

    Numbers are buffers of float32 where nothing else is said, row by row. ValueError is raised for numbers that are
    not of the same functions and parts of the prompt, KeyError for a candidate that is not among `players`.
    """

    def __new__(
        cls,
        players: Sequence[int],
        fixed: _Numbers,
        scores: _Numbers,
        best: _Numbers,
        second: _Numbers,
        clear_from: _Numbers,
        likeness: _Numbers,
        uses: _Numbers,
        types: _Numbers,
    ) -> Self:
        """`fixed` `[n, 32]` (places 1, 3 and 5 are reckoned here), `scores` `[parts, n]`, the best and second best of
        each part and from where on one serves it clearly `[parts]`, `likeness` float64 of every function there is,
        `uses` `[n, mentions]`, `types` uint32 `[n, ports]`."""
    def facts(
        self,
        candidates: Sequence[int],
        coverage: _Numbers,
        evidence: _Numbers,
        advised: int | None,
        there: Sequence[int],
        fresh: _Numbers,
        suits: _Numbers,
        plans: ReadyPlans,
        out: _Numbers,
    ) -> None:
        """Writes the facts about the candidates, `[len(candidates), 32]`. `coverage` is by part, `evidence` by
        function, `fresh` by mention; `suits` is float64 by type, -inf for one that nothing feeds."""
    def owed(
        self,
        candidates: Sequence[int],
        coverage: _Numbers,
        evidence: _Numbers,
        telling: float,
        unserved: float,
    ) -> list[int]:
        """The candidates that a word speaks for with at least `telling`, or that clearly serve their part while its
        coverage is below `unserved`."""
    def stop_facts(self, matches: _Numbers, coverage: _Numbers, out: _Numbers) -> None:
        """Writes the facts about stopping that come from those about the candidates and from the coverage, `[32]`."""

@final
class ChoiceNetwork:
    """Dense layers with a rectifier after each but the last, all numbers float32. Zeros among what a layer is given
    cost nothing."""

    def __new__(cls, layers: Sequence[tuple[_Numbers, _Numbers]]) -> Self:
        """Of each layer the weight `[outputs, inputs]` and the bias `[outputs]`. Raises ValueError for layers that do
        not follow on each other."""
    def run(self, x: _Numbers, out: _Numbers) -> None:
        """Writes what it makes of `x`. Raises ValueError for another number of inputs than the first layer's."""
    def weight(self, layer: int, out: _Numbers) -> None:
        """Writes the weight of a layer as it was given. Raises IndexError for a layer that there is not."""

@final
class ChoiceRecall:
    """What was learnt of n past requests by kernel ridge regression, over p outcomes; `conductor.past` fits it.

    Numbers are buffers of float32 where nothing else is said, row by row.
    """

    def __new__(
        cls,
        vectors: _Numbers,
        scales: _Numbers,
        weights: _Numbers,
        words: Sequence[str],
        rarity: _Numbers,
        by_word: _Numbers,
        usual: _Numbers,
        sharpness: float,
    ) -> Self:
        """`vectors` int8 `[n, width]` in steps of `scales` `[n]`, `weights` `[n, p]`, `rarity` of `words`, `by_word`
        `[words, p]`, `usual` `[p]`. Raises ValueError for arrays that do not fit together."""
    def about(
        self, queries: _Numbers, words: Sequence[Sequence[str]], likely: _Numbers, nearest: _Numbers
    ) -> None:
        """Writes how likely each outcome is for each text, `[texts, p]`, and the cosine of the nearest request,
        `[texts]`. `queries` are unit vectors `[texts, width]`, `words` each text's, each once. Without the GIL. Raises
        ValueError where there are not as many of one as of the other."""

# --- Virtual DOM ------------------------------------------------------------------------------------

@final
class VirtualDom:
    """The tree as the page has it. Rendering gives the patch that brings the page up to date.

    A node is a text, or `{"type": str, "key": str | None, "props": {…}, "children": [node, …]}` where all
    but `type` may be left out. Keys are unique in the tree; a keyed node keeps its identity among its
    siblings when it moves. Patches are JSON, RFC 6902, against the whole tree.

    What cannot be a tree (a key twice, deeper than 256, NaN) raises `BadInput` or `TypeError`; what was
    changed before it in the same call travels with the next patch.
    """

    def __new__(cls) -> Self: ...
    def render(self, key: str | None, node: dict[str, Any]) -> bytes | None:
        """Renders the whole tree (key None) or the subtree of a key; None when nothing changed.

        A subtree costs what it holds, not what the tree holds. An unknown key raises `NotFound`.
        """
    def update(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> bytes | None:
        """Renders several subtrees, each by its key, into one patch."""
    def snapshot(self) -> bytes:
        """The whole tree as JSON, `null` before the first rendering."""
    @property
    def seq(self) -> int:
        """The number of patches made so far."""
    def __len__(self) -> int:
        """The number of nodes in the tree, texts included."""

# --- Sandbox ----------------------------------------------------------------------------------------

@final
class SandboxChild:
    """A program in its sandbox, from `sandbox_spawn`. Everything inside is killed when the last reference goes."""

    @property
    def pid(self) -> int:
        """The sandbox's pid 1 as this host sees it; its end is the end of everything inside."""
    @property
    def player_pid(self) -> int:
        """The program itself as this host sees it: what a Unix socket's peer credentials show."""
    @property
    def memory(self) -> int | None:
        """Bytes of memory in use; None where no control group counts them."""
    @property
    def usage(self) -> tuple[float, int] | None:
        """CPU seconds of all that ran inside, and the peak memory of its largest process in bytes; None before
        its end was waited for."""
    @property
    def overlays(self) -> list[tuple[Path, int]]:
        """Of each overlay the folder as seen inside, and a descriptor of what was written over it: the upper
        folder as overlayfs keeps it, removals as character devices 0/0. The descriptors are this object's and
        stay open as long as it lives, also after the end of the program, when nobody writes there any more."""
    @property
    def cause(self) -> str | None:
        """Why the sandbox itself ended the program: "memory"; None when it did not, or still runs."""
    def fileno(self) -> int:
        """A descriptor that is readable once the sandbox has ended, for `select` and event loops."""
    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status, 128 + the number of a signal that ended it; None when it still runs after
        `timeout` seconds. Releases the GIL."""
    def signal(self, signal: int) -> None:
        """Sends a signal to the program and its process group."""
    def kill(self) -> None:
        """Ends everything inside at once; no error when it has ended already."""

@final
class PlayerTemplate:
    """Keeps a warm template process, from which Python Players are copied straight into their sandbox. Where
    there is none, or it does not fit, the launcher starts the Player: the same layers, only slower.
    """
    def __new__(
        cls, launcher: str | PathLike[str], spec: dict[str, Any], watched: Sequence[str | PathLike[str]]
    ) -> Self:
        """`spec` as `symphony.stage.sandbox.template_spec` makes it. When one of the files or folders `watched`
        changes, or this computer's mounts do, the template is replaced. Nothing is started yet.
        """
    def warm(self) -> None:
        """Starts the template in the background, unless one was asked for before. One that dies is started
        again, with growing pauses."""
    def spawn(self, spec: dict[str, Any]) -> tuple[SandboxChild, str | None]:
        """Starts a Player; as its second, None when it was copied, else why the launcher started it. `argv` and
        environment (but for `SYMPHONY_*` and `PATH`) must be the template's, its libraries be mounted. Raises as
        `sandbox_spawn`.
        """
    def status(self) -> dict[str, Any]:
        """`{"state": "cold" | "starting" | "warm" | "failed", "pid": int | None, "reason", "copied", "launched"}`:
        `reason` is why there is none or why the last one ended, the numbers are Players."""
    def fileno(self) -> int:
        """An eventfd that counts the changes of the status."""
    def close(self) -> None:
        """Ends the template; its Players go on, and from here on the launcher starts all."""

def sandbox_spawn(launcher: str | PathLike[str], spec: dict[str, Any]) -> SandboxChild:
    """Starts `spec["argv"]` in a sandbox and returns once it runs. `symphony.stage.sandbox` makes specs.

    `spec["stdio"]` is a list of three: "null" (the default), "inherit" or `{"fd": number}`, which stays open
    here. Raises EnvironmentLacks with code `sandbox_layer` when a protection cannot be applied, and BadInput
    with code `sandbox_mount`, `program_not_found` or `program_not_executable`; nothing then runs.
    """

def sandbox_layers() -> list[dict[str, Any]]:
    """Every protection: name, available, required, can_be_waived, detail, remedy. Asks the kernel for each."""

# --- Melody files -----------------------------------------------------------------------------------

def encode_melody(document: dict[str, Any]) -> bytes:
    """The binary file of a Melody's document (plain values with text as keys): postcard under a checksum,
    each text and each set of keys once. Raises BadInput for what is nested deeper than 64 levels."""

def decode_melody(data: bytes) -> dict[str, Any]:
    """The document of such a file, its keys in their order. Raises BadInput for anything else, whoever wrote
    it; no input costs more memory than its size accounts for, but for texts up to 256 MiB."""

def is_plain_document(value: object, depth: int) -> bool:
    """Whether JSON knows the value and all inside of it: exactly dicts with text as keys, lists, text, numbers that
    are finite, booleans and None, nested no deeper than `depth`, which may be a few hundred."""
