"""The server over streamable HTTP on loopback: for the holder of its token, at its exact host and origin."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from symphony.errors import HostBusy

LOOPBACK = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost", "[::1]")


async def serve_http(server: Server[Any], port: int, listening: Callable[[str, str], None]) -> None:
    """Serves until the process is told to end. `listening(address, token)` is called once it answers.

    The token stands in the address, for clients that cannot send headers; at `/mcp` it is expected as a
    bearer. Raises HostBusy when the port is taken.
    """
    listener = _listen(port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(32)
    application = server.streamable_http_app(
        streamable_http_path="/mcp",
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[f"{name}:{port}" for name in NAMES],
            allowed_origins=[f"http://{name}:{port}" for name in NAMES],
        ),
    )
    config = uvicorn.Config(
        _ForTheHolder(application, token),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    listening(f"http://{LOOPBACK}:{port}/mcp", token)
    await uvicorn.Server(config).serve(sockets=[listener])


class _ForTheHolder:
    """Lets requests through that carry the token, and takes it out of their path."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        path = scope["path"]
        if path.startswith("/mcp/"):
            kind, given, path = "bearer", path.removeprefix("/mcp/"), "/mcp"
        if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), self._token.encode()):
            refusal = PlainTextResponse(
                "the token is missing or wrong\n", status_code=401, headers={"WWW-Authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
            return
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise HostBusy(
            f"Port {port} cannot be used ({error.strerror})", remedy="choose another, or 0 for any"
        ) from error
    # Listening from now on, so that who is told the address may come at once.
    listener.listen(128)
    listener.setblocking(False)
    return listener
