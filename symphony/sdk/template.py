"""The template that Players are copied from: an interpreter with the SDK loaded, and nothing of an extension."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import symphony.sdk.service  # noqa: F401 -- Players find it imported

TOOLS = ("ctypes", "_ctypes", "ctypes._endian", __name__)
"""Modules that only the template needs: a Player imports them anew."""


def become_player(native: str) -> None:
    """Waits as the template. Returns only in a Player, inside its sandbox and with its environment.

    `native` is the library that makes the copies, `pit_native/sandbox/template`.
    """
    serve = ctypes.PyDLL(native).symphony_template_serve
    serve.restype = ctypes.c_void_p
    length = ctypes.c_size_t()
    after_copy = ctypes.pythonapi.PyOS_AfterFork_Child
    after_copy.restype = None
    # The types of syntax trees are made by the first who compiles: here, once for all.
    compile("", "", "exec")
    # A collection in a Player need not look at, and so copy, the memory that it shares with all others.
    gc.collect()
    gc.freeze()
    place = serve(ctypes.byref(length))
    after_copy()
    environment = ctypes.string_at(place, length.value).split(b"\0")[:-1]
    # The C library has them already. What a Player touches it must copy first, so this goes straight to the end:
    # clearing and filling the mapping itself would take five times as long.
    values: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
    values.clear()
    values.update((name, value) for name, _, value in (text.partition(b"=") for text in environment))
    for name in TOOLS:
        sys.modules.pop(name, None)
