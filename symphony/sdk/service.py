"""A Player process at work: hello, activation, calls, the end."""

from __future__ import annotations

import _socket
import os
import sys

from symphony.sdk.connection import Connection
from symphony.sdk.context import Call, Context
from symphony.sdk.declared import DeclaredOutputs
from symphony.sdk.failures import Cancelled, error_body
from symphony.sdk.manifest import Manifest
from symphony.sdk.wire import PROTOCOL_VERSION, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symphony.sdk.player import Player

SDK_NAME = "symphony.sdk/python"
WRITES = "write:project/**"
"""With this grant a Player writes over the project, in a private layer that the host looks at."""


class NotStartedByHost(Exception):
    """The process was not started by the host, so that there is nobody to serve."""


class Service:
    """Joins a `Player` to a `Connection`."""

    def __init__(self, player: Player, entry: str, broken: BaseException | None = None) -> None:
        self._player = player
        self._broken = broken
        self._manifest = Manifest(entry)
        self._configuration: dict[str, Any] = {}
        self._told: dict[str, DeclaredOutputs] = {}
        self._writes = False
        self._connection: Connection

    def run(self, path: str) -> None:
        """Serves the host that listens at `path` until it ends the session."""
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        socket.connect(path)
        name, version = os.environ.get("SYMPHONY_EXTENSION"), os.environ.get("SYMPHONY_EXTENSION_VERSION")
        if name is None or version is None:
            name, version = self._manifest.identity()
        self._connection = Connection(socket, name, self._answer)
        welcome = self._connection.hello(
            {"versions": [PROTOCOL_VERSION], "extension": name, "version": version, "sdk": SDK_NAME}
        )
        grants = welcome.get("grants") or {}
        self._writes = WRITES in (grants.get("capabilities") or ())
        self._connection.run()
        if self._connection.failure is not None:
            raise self._connection.failure

    def _answer(self, message: dict[str, Any], call: Call) -> None:
        method, body = message["method"], message["body"]
        try:
            if call.cancelled:
                raise Cancelled
            if method == "call":
                answer = self._call(call, body)
            elif method == "activate":
                answer = self._activate(body)
            elif method == "shutdown":
                answer = {}
            else:
                raise ProtocolError(f"this Player does not know the request {method!r}")
            self._connection.reply(call, "response", method, answer)
        except BaseException as error:
            self._connection.reply(call, "error", method, error_body(error))
        if method == "shutdown":
            self._connection.close()

    def _activate(self, body: dict[str, Any]) -> dict[str, Any]:
        if self._broken is not None:
            raise self._broken
        self._configuration = body.get("configuration") or {}
        self._player.activate(self._configuration)
        return {"functions": self._player.functions}

    def _call(self, call: Call, body: dict[str, Any]) -> dict[str, Any]:
        if self._broken is not None:
            raise self._broken
        context = Context(self._connection, call, body.get("context") or {}, self._configuration)
        function, told = body["function"], body.get("outputs")
        outputs, artifacts = self._player.invoke(
            function,
            context,
            body.get("inputs") or {},
            body.get("params") or {},
            lambda: self._outputs(function, told),
        )
        if self._writes:
            # Before the answer: the steps that follow it shall see what was written.
            self._connection.request(call, "changes.keep", {})
        return {"outputs": outputs, "artifacts": artifacts}

    def _outputs(self, function: str, told: dict[str, str] | None) -> DeclaredOutputs | None:
        """The outputs that the host told, which are the same in most calls, or else those of the manifest."""
        if told is None:
            return self._manifest.outputs(function)
        known = self._told.get(function)
        if known is None or known.types != told:
            known = self._told[function] = DeclaredOutputs(told)
        return known


def serve(player: Player, broken: BaseException | None = None) -> None:
    """Serves the host named by the environment, then ends the process.

    `broken` is what the entry file raised; the host is told when it activates or calls.
    """
    if _is_held:
        return
    path = os.environ.get("SYMPHONY_SOCKET")
    if not path:
        raise NotStartedByHost(
            "SYMPHONY_SOCKET is not set: a Player is started by the host; "
            "to try its functions use `symphony.sdk.testing.Harness`"
        )
    status = 0
    try:
        Service(player, os.environ.get("SYMPHONY_ENTRY", ""), broken).run(path)
    except (ProtocolError, OSError) as error:
        sys.stderr.write(f"the session with the host failed: {error}\n")
        status = 1
    # Functions may still run in other threads; the session is over, and with it this process.
    sys.stderr.flush()
    os._exit(status)


# True while a harness loads entry files, whose last line is `player.serve()`.
_is_held = False


def hold(is_held: bool) -> None:
    """Makes `serve` return at once, for harnesses that load entry files."""
    global _is_held
    _is_held = is_held
