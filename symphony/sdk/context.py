"""What a function can ask of the host while it runs: each capability one method."""

from __future__ import annotations

import time

from symphony.sdk.failures import Cancelled, PermissionDenied, PlayerFailure
from symphony.sdk.values import Artifact, Completion, ExecResult, HttpResponse, check_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from symphony.sdk.topics import Subscription

    class Host(Protocol):
        """Where a context's requests go: the connection, or a harness."""

        def request(
            self,
            call: Call | None,
            method: str,
            body: dict[str, Any],
            on_piece: Callable[[Any], None] | None = None,
        ) -> dict[str, Any]:
            """Asks and waits for the answer; raises what the host refused with, or `Cancelled`."""

        def notify(self, call: Call | None, kind: str, method: str, body: dict[str, Any]) -> None:
            """Tells without waiting."""

        def next_event(self, call: Call | None) -> dict[str, Any]:
            """Waits for the next event of what the call shows; raises `Cancelled` when the call ended."""


# Inside `Context` the name `list` is a method.
Vectors = list[list[float]]

# Events that wait to be taken; then the oldest goes.
MOST_EVENTS = 256

# A function may report progress in a tight loop; the page needs no more than this.
PROGRESS_INTERVAL = 0.02


class Call:
    """One call of the host that this process is answering."""

    __slots__ = ("cancelled", "events", "id", "is_over", "waiters")

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.cancelled = False
        self.is_over = False
        # What the user did to the tree that it shows, and nobody has taken yet; few calls show one.
        self.events: deque[dict[str, Any]] | None = None
        # What its threads wait for, so that a cancellation wakes them.
        self.waiters: set[Any] = set()


class WebSocket:
    """A WebSocket that the host holds open for this call."""

    def __init__(self, context: Context, id: str, protocol: str) -> None:
        self._context = context
        self._id = id
        self.protocol = protocol
        """The subprotocol that the server chose; empty when none."""

    def send(self, message: str | bytes) -> None:
        """Sends a text or bytes."""
        self._context._ask("websocket.send", {"id": self._id, "message": message})

    def close(self) -> None:
        """Ends it; `Context.websocket` then returns."""
        self._context._ask("websocket.send", {"id": self._id, "close": True})


class Context:
    """The host's side of one call. Its methods may be used from any thread of the function."""

    def __init__(
        self, host: Host, call: Call | None, about: dict[str, Any], configuration: dict[str, Any]
    ) -> None:
        self._host = host
        self._call = call
        self._progress_at = 0.0
        self.project: str | None = about.get("project")
        """The project's folder, or None."""
        self.run: str = about.get("run") or ""
        """The run's id; empty when the function is called alone."""
        self.node: str = about.get("node") or ""
        """The node's id; empty when the function is called alone."""
        self.attempt: int = about.get("attempt") or 1
        """1 for the first try."""
        self.idempotency_key: str = about.get("idempotency_key") or ""
        """Names the work of this node, the same in every attempt and after a resume: what is done once in the
        world is marked with it."""
        self.configuration = configuration
        """The extension's settings. Secrets are not among them; they stay with the host."""

    # What happens

    @property
    def cancelled(self) -> bool:
        """Whether the user stopped the run or the time is over. Long loops should look."""
        return self._call is not None and self._call.cancelled

    def raise_if_cancelled(self) -> None:
        """Raises `Cancelled` when the call was stopped."""
        if self.cancelled:
            raise Cancelled

    def progress(self, fraction: float, note: str = "") -> None:
        """Says how far the work is, 0 to 1. Reports that follow within 20 ms are left out."""
        now = time.monotonic()
        if fraction < 1 and now - self._progress_at < PROGRESS_INTERVAL:
            return
        self._progress_at = now
        self._host.notify(self._call, "event", "progress", {"fraction": float(fraction), "note": str(note)})

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """Writes to the host's log: `debug`, `info`, `warning` or `error`, with fields of plain values."""
        check_plain(fields, "log fields")
        body = {"level": level, "message": str(message), "fields": fields}
        self._host.notify(self._call, "event", "log", body)

    def output(self, piece: Any) -> None:
        """Sends a piece of the result while it is still being made."""
        check_plain(piece, "output piece")
        self._host.notify(self._call, "stream", "output", {"piece": piece})

    def ui(self, tree: dict[str, Any]) -> None:
        """Shows a tree of catalogue components in the page, in the place of the one before.

        An element is `{"type", "key", "props", "children"}`, as `symphony.sdk.ui.h` makes it. The page shows it
        for as long as the call is open.
        """
        check_plain(tree, "ui tree")
        self._host.notify(self._call, "event", "ui", {"tree": tree})

    def event(self) -> dict[str, Any]:
        """Waits for what the user does next to the tree: `{"key", "name", "value"}`, such as `press` of a button.

        Raises `Cancelled` when the user closes it, which ends the function in good order.
        """
        return self._host.next_event(self._call)

    # Files

    def read(self, path: str) -> bytes:
        """A file's content. Paths are relative to the project, or absolute."""
        content: bytes = self._ask("fs.read", {"path": str(path)})["content"]
        return content

    def read_text(self, path: str, errors: str = "replace") -> str:
        """A file's content as UTF-8 text."""
        return self.read(path).decode("utf-8", errors)

    def write(self, path: str, data: bytes | str) -> None:
        """Replaces a file's content, or creates the file."""
        content = data.encode("utf-8") if isinstance(data, str) else bytes(data)
        self._ask("fs.write", {"path": str(path), "content": content})

    def list(self, pattern: str = "**") -> list[str]:
        """The files that match a pattern such as `src/**/*.py`, relative to the project, sorted."""
        paths: list[str] = self._ask("fs.list", {"pattern": pattern})["paths"]
        return paths

    # Programs and network

    def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        timeout: float | None = None,
        check: bool = True,
        input: bytes | str | None = None,
    ) -> ExecResult:
        """Runs a granted program in a sandbox of its own, in `cwd` or the project.

        `timeout` is in seconds. With `check`, a program that ends with another exit code than 0
        raises `PlayerFailure` with the last line of what it wrote to standard error.
        """
        command = [str(word) for word in argv]
        given = input.encode("utf-8") if isinstance(input, str) else input
        body = {"argv": command, "cwd": str(cwd) if cwd else None, "timeout": timeout, "input": given}
        answer = self._ask("exec", body)
        result = ExecResult(answer["stdout"], answer["stderr"], answer["exit_code"])
        if check and result.exit_code != 0:
            raise PlayerFailure(_explain_exit(command, result))
        return result

    def http(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | str | None = None,
        timeout: float | None = None,
        stream: Callable[[bytes], None] | None = None,
    ) -> HttpResponse:
        """Sends a request to a granted host. The status is not checked.

        `timeout` is in seconds. `stream` gets the answer's body in pieces as they come, such as server-sent
        events; the body of the result is empty then.
        """
        content = body.encode("utf-8") if isinstance(body, str) else body
        asked = {
            "method": method,
            "url": url,
            "headers": headers or {},
            "body": content,
            "timeout": timeout,
            "stream": stream is not None,
        }
        on_piece = None
        if stream is not None:
            tell = stream

            def on_piece(piece: Any) -> None:
                if "data" in piece:
                    tell(piece["data"])

        answer = self._ask("http.request", asked, on_piece)
        return HttpResponse(answer["status"], answer["headers"], answer["body"])

    def websocket(
        self,
        url: str,
        on_message: Callable[[WebSocket, str | bytes], None],
        *,
        on_open: Callable[[WebSocket], None] | None = None,
        headers: dict[str, str] | None = None,
        protocols: Sequence[str] = (),
    ) -> tuple[int, str]:
        """Opens a WebSocket to a granted host, waits until it closes, and gives the closing code and reason.

        `on_open` and `on_message` get the open socket, whose `send` and `close` they and other threads may use.
        """
        opened: list[WebSocket] = []

        def on_piece(piece: Any) -> None:
            if "id" in piece:
                opened.append(WebSocket(self, piece["id"], piece["protocol"]))
                if on_open is not None:
                    on_open(opened[0])
            else:
                on_message(opened[0], piece["message"])

        asked = {"url": url, "headers": headers or {}, "protocols": list(protocols)}
        answer = self._ask("websocket.open", asked, on_piece)
        return answer["code"], answer["reason"]

    # Models

    def complete(
        self,
        messages: Sequence[dict[str, Any]] | str,
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stream: Callable[[str], None] | None = None,
    ) -> Completion:
        """Asks a language model. A text is one message of the user; `stream` gets the answer in pieces."""
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        check_plain(said, "messages")
        body = {
            "messages": said,
            "model": model,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": stream is not None,
        }
        on_piece = None
        if stream is not None:
            tell = stream

            def on_piece(piece: Any) -> None:
                tell(piece["text"] if isinstance(piece, dict) else str(piece))

        answer = self._ask("model.complete", body, on_piece)
        return Completion(answer["text"], answer.get("model") or "", answer.get("usage") or {})

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Sentence embeddings of unit length, one for each text."""
        vectors: Vectors = self._ask("model.embed", {"texts": list(texts)})["vectors"]
        return vectors

    # Artifacts and other Players

    def artifact(self, id: str) -> Artifact:
        """A stored artifact by its id; its content is bytes."""
        answer = self._ask("artifact.get", {"id": id})
        return Artifact(answer["content"], name=answer.get("name") or "", type=answer.get("type") or "")

    def store(self, content: bytes | str, *, name: str, type: str) -> str:
        """Stores an artifact beside the outputs and gives its id."""
        data = content.encode("utf-8") if isinstance(content, str) else bytes(content)
        stored: str = self._ask("artifact.put", {"name": name, "type": type, "content": data})["id"]
        return stored

    def call(
        self, player: str, *, inputs: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Calls a function of another extension, `publisher/extension#function`, and gives its outputs."""
        body = {"player": player, "inputs": inputs or {}, "params": params or {}}
        check_plain(body, "call")
        outputs: dict[str, Any] = self._ask("extension.call", body)["outputs"]
        return outputs

    def publish(self, topic: str, value: Any, *, wait: float = 0.0) -> tuple[int, int]:
        """Publishes a value under a topic below the extension's own name, such as `publisher/name/news`.

        Players of the same project hear it. Where a subscriber's queue is full, it waits at most `wait` seconds
        (60 at most); then the oldest message there goes. Gives how many subscriptions there are, and at how many
        of them a message went for it.
        """
        check_plain(value, "published value")
        told = {"topic": str(topic), "value": value, "wait": float(wait)}
        try:
            answer = self._ask("extension.publish", told)
        except PermissionDenied:
            # The first under this topic: the host is asked whether it may be.
            self._ask("extension.announce", {"topic": str(topic)})
            answer = self._ask("extension.publish", told)
        return answer["subscribers"], answer["displaced"]

    def subscribe(self, topic: str, *, queue: int = 256) -> Subscription:
        """What is published under a topic or a pattern, such as `publisher/name/*`, from now on.

        `for message in ctx.subscribe(…)` waits for each. `*` is any one part, `**` at the end any that follow. At
        most `queue` messages wait in the host while the function is busy; beyond them the oldest go, and the next
        message says how many.
        """
        # Few functions subscribe, and each Player would pay for the import.
        from symphony.sdk.topics import Subscription

        return Subscription(self, str(topic), queue)

    def _ask(
        self, method: str, body: dict[str, Any], on_piece: Callable[[Any], None] | None = None
    ) -> dict[str, Any]:
        self.raise_if_cancelled()
        return self._host.request(self._call, method, body, on_piece)

    def _tell(self, method: str, body: dict[str, Any]) -> None:
        self._host.notify(self._call, "event", method, body)


def _explain_exit(command: Sequence[str], result: ExecResult) -> str:
    lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = f": {lines[-1].strip()}" if lines else ""
    return f"{' '.join(command[:3])} ended with exit code {result.exit_code}{reason}"
