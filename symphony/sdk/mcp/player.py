"""The entry of an extension with `runtime = "mcp"`: starts its server in this sandbox and calls its tools."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import threading
import tomllib

from symphony.sdk import Context, PermissionDenied, PlayerFailure, player
from symphony.sdk.mcp.client import Client
from symphony.sdk.mcp.definitions import (
    BLOCKS,
    PINS,
    RESULT,
    TEXT,
    argument_names,
    defining,
    drift,
    function_name,
)
from symphony.sdk.mcp.programs import Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LEVELS = {"debug": "debug", "info": "info", "notice": "info", "warning": "warning"}


class Extension:
    """The server of one extension, started by its first call and again after its end."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        with open(os.path.join(folder, "Symphony.toml"), "rb") as file:  # noqa: PTH118, PTH123
            self._mcp = tomllib.load(file)["mcp"]
        try:
            with open(os.path.join(folder, PINS), "rb") as file:  # noqa: PTH118, PTH123
                self.pins: list[Mapping[str, Any]] = json.load(file)["tools"]
        except FileNotFoundError:
            raise PlayerFailure(
                f"{PINS} is missing, so nobody has agreed to this server's tools",
                remedy="make it with `carets mcp FOLDER`",
                code="permission_denied",
            ) from None
        self._starting = threading.Lock()
        self._client: Client | None = None
        self._drift: dict[str, str] = {}
        self._found: dict[Any, Mapping[str, Any]] = {}
        path = os.environ.get("SYMPHONY_PROGRAMS")
        self._programs = Programs(path) if path else None

    def call(self, ctx: Context, pin: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Calls one tool. Raises PermissionDenied when its definition is no longer the one that was pinned."""
        client = self._running(ctx)
        name = pin["name"]
        if self._drift[name]:
            self._ask_for(ctx, name)
        required = set((pin.get("inputSchema") or {}).get("required") or ())
        names = argument_names(pin)
        arguments = {
            names.get(key, key): _json(value)
            for key, value in given.items()
            if value is not None or names.get(key, key) in required
        }
        with self._programs.during(ctx) if self._programs is not None else contextlib.nullcontext():
            result = client.request(
                "tools/call",
                {"name": name, "arguments": arguments},
                is_cancelled=lambda: ctx.cancelled,
                notice=lambda method, params: _tell(ctx, method, params),
            )
        return _outputs(pin, result)

    def _ask_for(self, ctx: Context, name: str) -> None:
        """Whether the user has agreed to the tool as it is now, the host knows. Raises PermissionDenied when not."""
        found = self._found.get(name)
        if found is None:
            raise PermissionDenied(
                f"the tool {name} {self._drift[name]} than when you agreed to it, so it was not called",
                remedy="install a version of the extension without it",
            )
        ctx._ask("tools.agree", {"tool": defining(found)})

    def _running(self, ctx: Context) -> Client:
        with self._starting:
            if self._client is not None and not self._client.is_over:
                return self._client
            if self._client is not None:
                self._client.close()
            self._client = None
            command = [part.replace("{project}", ctx.project or "") for part in self._mcp["command"]]
            if command[0] == "python":
                command[:1] = [sys.executable, "-B"]
            elif os.path.exists(os.path.join(self._folder, command[0])):  # noqa: PTH110, PTH118
                command[0] = os.path.join(self._folder, command[0])  # noqa: PTH118
            client = Client(
                command,
                cwd=self._folder,
                env=self._environment(),
                roots=[ctx.project] if ctx.project else [],
            )
            self._found = {tool.get("name"): tool for tool in client.tools()}
            self._drift = {pin["name"]: drift(pin, self._found.get(pin["name"])) for pin in self.pins}
            self._client = client
            return client

    def _environment(self) -> dict[str, str]:
        names = ("HOME", "LANG", "PATH", "TMPDIR", "USER", "SYMPHONY_PROGRAMS")
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment["PYTHONPATH"] = os.path.join(self._folder, "vendor")  # noqa: PTH118
        environment["PYTHONUNBUFFERED"] = "1"
        environment.update(self._mcp.get("env", {}))
        return environment


def _json(value: Any) -> Any:
    """An argument as JSON has it; bytes are text, or base64 where they are none."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value


def _tell(ctx: Context, method: str, params: Mapping[str, Any]) -> None:
    if method == "notifications/progress":
        done, total = params.get("progress"), params.get("total")
        if isinstance(done, (int, float)):
            share = done / total if isinstance(total, (int, float)) and total > 0 else 0.0
            ctx.progress(min(max(share, 0.0), 1.0), str(params.get("message") or ""))
    elif method == "notifications/message":
        data = params.get("data")
        said = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        ctx.log(said, level=LEVELS.get(str(params.get("level")), "error"))


def _outputs(pin: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    content = [block for block in result.get("content") or () if isinstance(block, dict)]
    text = "\n".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
    if result.get("isError"):
        raise PlayerFailure(text or f"the tool {pin['name']} failed and gave no reason")
    others = [block for block in content if block.get("type") != "text"]
    outputs: dict[str, Any] = {TEXT: text, BLOCKS: others}
    if pin.get("outputSchema"):
        outputs[RESULT] = result.get("structuredContent") or {}
    return outputs


def register(extension: Extension) -> None:
    """Makes each pinned tool a function."""
    for pin in extension.pins:
        player.function(name=function_name(pin["name"]))(_function(extension, pin))


def _function(extension: Extension, pin: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
    def call(ctx: Context, /, **given: Any) -> dict[str, Any]:
        return extension.call(ctx, pin, given)

    return call


if __name__ == "__main__":
    register(Extension(os.environ["SYMPHONY_MCP"]))
    player.serve()
