"""A client of an MCP server that is a child of this process: JSON-RPC 2.0, one message a line."""

from __future__ import annotations

import json
import os
import subprocess
import threading

from symphony.sdk.failures import Cancelled, PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Message = dict[str, Any]
    Notice = Callable[[str, Message], None]

VERSION = "2025-06-18"
PATIENCE = 60.0
"""Seconds within which a server must have started and have answered what is not the call of a tool."""

PROGRAMS = "SYMPHONY_PROGRAMS"
"""Names in the environment where programs are asked for; only where the extension was granted one."""

# How long a cancelled call may wait before it is seen.
_LOOK = 0.05

# A line longer than this is no message but an attempt to fill the memory.
_LONGEST_LINE = 64 << 20


class _Pending:
    __slots__ = ("answer", "done", "notice")

    def __init__(self, notice: Notice | None) -> None:
        self.done = threading.Event()
        self.answer: Message | None = None
        self.notice = notice


class Client:
    """One running server. Safe to use from several threads."""

    def __init__(
        self, command: Sequence[str], *, cwd: str, env: Mapping[str, str], roots: Sequence[str] = ()
    ) -> None:
        self._roots = list(roots)
        self._pending: dict[int, _Pending] = {}
        self._state = threading.Lock()
        self._sending = threading.Lock()
        self._count = 0
        self._is_over = False
        reading, writing = os.pipe()
        # A program that the server starts inherits its input, and must not take it for its own.
        around = {**env, "SYMPHONY_SERVER_INPUT": str(os.fstat(reading).st_ino)} if PROGRAMS in env else env
        self._input = os.fdopen(writing, "wb")
        try:
            self._process = subprocess.Popen(
                list(command), cwd=cwd, env=dict(around), stdin=reading, stdout=subprocess.PIPE
            )
        except OSError as error:
            self._input.close()
            raise PlayerFailure(
                f"the server {command[0]} cannot be started: {error.strerror or error}",
                remedy="check [mcp] command of the manifest",
                code="unavailable",
            ) from error
        finally:
            os.close(reading)
        threading.Thread(target=self._read, daemon=True).start()
        hello = {
            "protocolVersion": VERSION,
            "capabilities": {"roots": {}},
            "clientInfo": {"name": "symphony", "version": "1"},
        }
        self.server = self.request("initialize", hello, patience=PATIENCE).get("serverInfo", {})
        """What the server says of itself: name and version."""
        self._send({"method": "notifications/initialized"})

    @property
    def is_over(self) -> bool:
        """Whether the server has ended, or does not speak the protocol."""
        return self._is_over

    def tools(self) -> list[Message]:
        """All tools, of all pages."""
        found: list[Message] = []
        cursor: str | None = None
        while True:
            page = self.request("tools/list", {"cursor": cursor} if cursor else {}, patience=PATIENCE)
            found += page.get("tools") or []
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def request(
        self,
        method: str,
        params: Message,
        *,
        patience: float | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        notice: Notice | None = None,
    ) -> Message:
        """Asks and waits. `notice(method, params)` hears of progress and logs while it waits.

        Raises PlayerFailure for errors of the server and its end, and Cancelled after telling the server.
        """
        pending = _Pending(notice)
        with self._state:
            self._count += 1
            number = self._count
            self._pending[number] = pending
        if notice is not None:
            params = {**params, "_meta": {"progressToken": number}}
        try:
            self._send({"id": number, "method": method, "params": params})
            waited = 0.0
            while not pending.done.wait(_LOOK):
                waited += _LOOK
                if is_cancelled is not None and is_cancelled():
                    self._send({"method": "notifications/cancelled", "params": {"requestId": number}})
                    raise Cancelled
                if self._is_over:
                    raise self._end()
                if patience is not None and waited > patience:
                    self.close()
                    raise PlayerFailure(
                        f"the server did not answer {method} within {patience:.0f} s", code="unavailable"
                    )
        finally:
            with self._state:
                self._pending.pop(number, None)
        answer = pending.answer
        if answer is None:
            raise self._end()
        if "error" in answer:
            error = answer["error"] if isinstance(answer["error"], dict) else {}
            code = "bad_input" if error.get("code") == -32602 else "failed"
            raise PlayerFailure(str(error.get("message", "the server gave no reason")), code=code)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise PlayerFailure(f"the server answered {method} with no object", code="failed")
        return result

    def close(self) -> None:
        """Ends the server."""
        self._is_over = True
        self._process.kill()
        self._process.wait()
        for stream in (self._input, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue

    def _end(self) -> PlayerFailure:
        code = self._process.poll()
        ended = f" with exit code {code}" if code is not None else ""
        return PlayerFailure(f"the server ended{ended} before it answered", code="unavailable")

    def _send(self, message: Message) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode("utf-8", "replace")
        with self._sending:
            try:
                self._input.write(line + b"\n")
                self._input.flush()
            except (OSError, ValueError):
                self._is_over = True

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := self._process.stdout.readline(_LONGEST_LINE):
                if not line.endswith(b"\n"):
                    break
                self._take(line)
        except (OSError, ValueError):
            pass
        self._is_over = True
        with self._state:
            for pending in self._pending.values():
                pending.done.set()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return  # a server that prints what is no message: the protocol says that it must not
        if not isinstance(message, dict):
            return
        if "method" not in message:
            with self._state:
                pending = self._pending.get(message.get("id", -1))
            if pending is not None:
                pending.answer = message
                pending.done.set()
        elif "id" in message:
            self._answer(message)
        else:
            self._notice(str(message["method"]), message.get("params") or {})

    def _answer(self, message: Message) -> None:
        """Answers what servers ask of clients: what Symphony has not, a server must do without."""
        answer: Message
        if message["method"] == "ping":
            answer = {"result": {}}
        elif message["method"] == "roots/list":
            answer = {"result": {"roots": [{"uri": f"file://{root}"} for root in self._roots]}}
        else:
            answer = {"error": {"code": -32601, "message": f"{message['method']} is not offered"}}
        self._send({"id": message["id"], **answer})

    def _notice(self, method: str, params: Message) -> None:
        with self._state:
            if method == "notifications/progress":
                token = params.get("progressToken")
                told = [p for n, p in self._pending.items() if n == token]
            else:
                told = list(self._pending.values())
        for pending in told:
            if pending.notice is not None:
                pending.notice(method, params)
