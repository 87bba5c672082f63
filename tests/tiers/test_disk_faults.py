"""A disk that fails in the middle of a move, a recall or a deletion: it is told, and nothing is lost or left.

A filter on the system calls of one thread answers some of them with an error, while the threads of the store go on:
so the failure is real, and it passes with the thread.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import pit_native
from symphony.errors import NotFound, SymphonyError
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.catalogue import Catalogue
from tests.tiers.test_tiering import Switched, World

NUMBERS = {
    "x86_64": {
        "seccomp": 317,
        "write": 1,
        "pwrite64": 18,
        "read": 0,
        "pread64": 17,
        "fsync": 74,
        "fdatasync": 75,
        "rename": 82,
        "renameat": 264,
        "unlink": 87,
        "unlinkat": 263,
        "openat": 257,
        "pwritev": 296,
    },
    "aarch64": {
        "seccomp": 277,
        "write": 64,
        "pwrite64": 68,
        "read": 63,
        "pread64": 67,
        "fsync": 82,
        "fdatasync": 83,
        "renameat": 38,
        "unlinkat": 35,
        "openat": 56,
        "pwritev": 70,
    },
}.get(platform.machine(), {})

WRITING, READING, ALL = "archive cloud", "archive cloud active", "archive cloud active delete"
FAULTS = [
    ("write", errno.ENOSPC, WRITING),
    ("write", errno.EIO, WRITING),
    ("fsync", errno.EIO, WRITING),
    ("fsync", errno.ENOSPC, WRITING),
    ("rename renameat", errno.EIO, WRITING),
    ("unlink unlinkat", errno.EIO, ""),
    ("read", errno.EIO, READING),
    ("openat", errno.EIO, READING),
    ("pread64", errno.EIO, READING),
    ("pwrite64", errno.ENOSPC, ALL),
    ("pwrite64", errno.EIO, ALL),
    ("pwritev", errno.ENOSPC, ALL),
    ("pwritev", errno.EIO, ALL),
    ("fdatasync", errno.EIO, ALL),
]
"""Calls, the error, and the steps that cannot be done without them. What is left of other steps is done later."""

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x50000


def failing(calls: Sequence[str], number: int, work: Callable[[], object]) -> BaseException | None:
    """Runs `work` on a thread whose `calls` fail with the error `number`; what it raised."""
    numbers = [NUMBERS[call] for call in calls if call in NUMBERS]
    steps = [(LOAD, 0, 0, 0)]
    for at, call in enumerate(numbers):
        steps.append((EQUAL, len(numbers) - at, 0, call))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | number)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    raised: list[BaseException] = []

    def filtered() -> None:
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.syscall(NUMBERS["seccomp"], 1, 0, program) == 0
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=filtered)
    thread.start()
    thread.join()
    return raised[0] if raised else None


class Reopened(World):
    """A world that an earlier host has left."""

    def __init__(self, folder: Path) -> None:
        self.store = pit_native.ArtifactStore(folder / "store")
        self.catalogue = Catalogue(folder / "tiers.sqlite")
        self.archive = ArchiveTier(folder / "archive", is_new=False)
        self.cloud = Switched(folder / "cloud", is_new=False)
        self.cloud.name = "cloud"
        self.secret = None
        self.tiering = self.made()


def opened(folder: Path) -> World:
    store = pit_native.ArtifactStore(folder / "store")
    return World(store, Catalogue(folder / "tiers.sqlite"), folder)


def close(world: World) -> None:
    world.catalogue.close()
    world.store.close()


@pytest.mark.skipif(not NUMBERS, reason="the numbers of this machine's system calls are not known here")
@pytest.mark.parametrize("step", ["archive", "cloud", "active", "delete"])
@pytest.mark.parametrize(
    ("calls", "number", "told"),
    FAULTS,
    ids=[f"{calls.split()[0]}-{errno.errorcode[number]}" for calls, number, _ in FAULTS],
)
def test_what_fails_on_the_disk_costs_nothing(
    tmp_path: Path, step: str, calls: str, number: int, told: str
) -> None:
    world = opened(tmp_path)
    id, content = world.put("zebras graze at dawn" * 5000)
    if step != "archive":
        world.tiering.move(id, "archive")

    def work() -> None:
        if step == "delete":
            world.tiering.delete(id)
        else:
            world.tiering.move(id, step)

    error = failing(calls.split(), number, work)
    assert (error is not None) == (step in told.split()), error
    if error is not None:
        assert isinstance(error, SymphonyError) and "\n" not in error.message
    close(world)
    # A host that starts afterwards, on a disk that works.
    world = Reopened(tmp_path)
    world.tiering.recover()
    try:
        world.store.info(id)
    except NotFound:
        assert step == "delete"
        assert world.objects() == (0, 0), "nothing is left of what was deleted"
    else:
        assert error is not None or step != "delete"
        assert world.tiering.read(id) == content
        world.tiering.move(id, "cloud")
        assert world.objects() == (0, 1)
        assert world.tiering.read(id) == content
    assert world.store.verify() == []
    close(world)
