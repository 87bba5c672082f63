"""Runs the programs that a server starts: `program.py` stands for each on its PATH and asks here, and the host, asked
as by any Player, runs it in a sandbox of its own with the extension's grants."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading

from symphony.sdk.failures import Cancelled, PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from symphony.sdk import Context

LARGEST = 24 << 20
"""Bytes of a request."""


class Programs:
    """Listens at `path`, which only this sandbox can name, and asks in the name of a call that is open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._open: list[Context] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def during(self, ctx: Context) -> Iterator[None]:
        """While inside, programs may be run in the name of this call."""
        with self._lock:
            self._open.append(ctx)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(ctx)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as asked:
            try:
                answer = self._run(json.loads(asked.readline(LARGEST)))
            except (PlayerFailure, Cancelled, ValueError, KeyError) as error:
                answer = {"refused": str(error) or "the call was cancelled"}
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _run(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            ctx = self._open[-1] if self._open else None
        if ctx is None:
            return {"refused": "no call is open in whose name it could run"}
        project, cwd = ctx.project, asked["cwd"]
        inside = project is not None and (cwd + os.sep).startswith(project.rstrip(os.sep) + os.sep)
        result = ctx.exec(
            asked["argv"],
            cwd=os.path.relpath(cwd, project) if inside and cwd != project else None,
            check=False,
            input=base64.b64decode(asked["input"]) or None,
        )
        streams = {"stdout": result.stdout, "stderr": result.stderr}
        return {
            "exit_code": result.exit_code,
            **{name: base64.b64encode(_bytes(content)).decode() for name, content in streams.items()},
        }


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
