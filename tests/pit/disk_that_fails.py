"""System calls of this process that fail from a moment on: a filter of the kernel answers them with an error."""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Sequence
from pathlib import Path

NUMBERS = {
    "x86_64": {"seccomp": 317, "write": 1, "fdatasync": 75},
    "aarch64": {"seccomp": 277, "write": 64, "fdatasync": 83},
}.get(platform.machine(), {})
"""Of the calls that can fail here; empty on a machine that is not known."""

NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
CALL, FIRST_ARGUMENT = 0, 16
ALLOW, REFUSE = 0x7FFF0000, 0x50000


def descriptors(file: Path) -> list[int]:
    """Those under which this process has `file` open."""
    return [int(one.name) for one in Path("/proc/self/fd").iterdir() if leads_to(one) == str(file)]


def leads_to(link: Path) -> str:
    """Where a link leads; nowhere when it has gone since."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def fail(call: str, files: Sequence[int], number: int) -> None:
    """Lets `call` on these descriptors fail with the error `number`, in all threads and for good."""
    steps = [(LOAD, 0, 0, CALL), (EQUAL, 0, len(files) + 1, NUMBERS[call]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    for at, file in enumerate(files):
        steps.append((EQUAL, len(files) - at, 0, file))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | number)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.syscall(NUMBERS["seccomp"], SET_FILTER, ALL_THREADS, program) == 0, ctypes.get_errno()
