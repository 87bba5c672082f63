"""A Player that writes what it is told to its session's socket, past the SDK."""

import os
import socket
import threading

from symphony.sdk import player
from symphony.sdk.wire import Encoder


@player.function
def work(ctx, value=None):
    return {"value": value}


@player.function
def write(ctx, content, size=0, times=1, then="wait"):
    """Writes `content` in pieces of `size` bytes (0: whole), `times` times, and then waits, ends or answers."""
    socket = ctx._host._socket
    pieces = [content] if not size else [content[at : at + size] for at in range(0, len(content), size)]
    for _ in range(times):
        for piece in pieces:
            socket.sendall(piece)
    if then == "end":
        os._exit(0)
    if then == "wait":
        threading.Event().wait()
    return {"value": "written"}


@player.function
def progress(ctx):
    """Says how far it is, over and over, as part of this call."""
    encoder = Encoder("symphony/test")
    once = encoder.frame(encoder.next_id(), "event", ctx._call.id, "progress", {"fraction": 0.5, "note": ""})
    while True:
        ctx._host._socket.sendall(once * 1000)


@player.function
def pass_on(ctx, content):
    """Sends descriptors of all kinds beside a message that names none."""
    kept = [*os.pipe(), os.open("/dev/zero", os.O_RDONLY), os.open("/tmp", os.O_RDONLY)]
    kept += [os.memfd_create("attack"), *(end.detach() for end in socket.socketpair())]
    passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join(fd.to_bytes(4, "little") for fd in kept))
    ctx._host._socket.sendmsg([content], [passed])
    threading.Event().wait()


player.serve()
