"""A Player that writes what it is told to its session's socket, past the SDK."""

import os
import threading

from symphony.sdk import player


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


player.serve()
