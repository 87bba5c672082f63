"""The page's server: static files and one WebSocket, for the holder of the token, at the exact host and origin."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from symphony.app.parts import nothing
from symphony.errors import EnvironmentLacks, HostBusy
from symphony.ports.component import HealthStatus
from symphony.ui.page import Pages
from symphony.ui.session import PageSession

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MESSAGE_LIMIT = 16 << 20
AUTHENTICATION_SECONDS = 10.0


class PageServer:
    """Serves the page on one address. The token is made anew for each start of the host."""

    name = "page"

    def __init__(
        self, pages: Pages, files: Path, *, bind: str, port: int, shown: Callable[[], None] = nothing
    ) -> None:
        """`shown` is called whenever a page has its first tree."""
        self._pages = pages
        self._files = files
        self._bind = bind
        self._wanted_port = port
        self._shown = shown
        self.token = secrets.token_urlsafe(32)
        self.port = 0
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sessions: set[WebSocket] = set()

    @property
    def address(self) -> str:
        """Where the page is, with its token, which stays out of requests and logs as a fragment."""
        host = f"[{self._bind}]" if ":" in self._bind else self._bind
        return f"http://{host}:{self.port}/#token={self.token}"

    async def start(self) -> None:
        """Listens; the page answers when this returns."""
        if not (self._files / "index.html").exists():
            raise EnvironmentLacks("The page has not been built", remedy="run `make build`")
        listener = _listen(self._bind, self._wanted_port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._application(),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=MESSAGE_LIMIT,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise EnvironmentLacks("The page's server ended at its start", remedy="see `symphony logs`")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Closes every page's connection, then the server."""
        for session in list(self._sessions):
            with contextlib.suppress(RuntimeError):
                await session.close(code=1001)
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        await self._pages.close()

    async def health_check(self) -> HealthStatus:
        """Failed when the server's task has ended."""
        if self._task is None or self._task.done():
            return HealthStatus(self.name, "failed", "the server has ended", "start the host again")
        return HealthStatus(self.name, "ok", f"port {self.port}, {len(self._sessions)} open pages", "")

    def _application(self) -> ASGIApp:
        routes = [
            Route("/health", _health),
            WebSocketRoute("/ws", self._page),
            Mount("/", StaticFiles(directory=self._files, html=True)),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Guard, allowed=self._is_ours)])

    def _is_ours(self, headers: Headers, *, needs_origin: bool) -> bool:
        """Whether a request came for this very address: a page of another site cannot make one (DNS rebinding)."""
        hosts = {f"{name}:{self.port}" for name in _names(self._bind)}
        if headers.get("host") not in hosts:
            return False
        origin = headers.get("origin")
        if origin is None:
            return not needs_origin
        return origin in {f"http://{host}" for host in hosts}

    async def _page(self, socket_: WebSocket) -> None:
        await socket_.accept()
        self._sessions.add(socket_)
        session: PageSession | None = None
        try:
            params = await self._authenticated(socket_)
            if params is None:
                await socket_.close(code=4401, reason="the token is missing or wrong")
                return
            session = PageSession(self._pages, socket_.send_text)
            await session.start(params)
            log.info("page connected")
            self._shown()
            while True:
                await session.handle(await socket_.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):
            # KeyError: a binary frame; RuntimeError: sent to a connection that has just closed.
            pass
        finally:
            self._sessions.discard(socket_)
            if session is not None:
                await session.close()

    async def _authenticated(self, socket_: WebSocket) -> dict[str, Any] | None:
        """The parameters of the first message, when it carries the token."""
        try:
            text = await asyncio.wait_for(socket_.receive_text(), AUTHENTICATION_SECONDS)
            message = json.loads(text)
        except (ValueError, TimeoutError):
            return None
        if not isinstance(message, dict):
            return None
        params = message.get("params")
        params = params if isinstance(params, dict) else message
        token = params.get("token")
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        result = {"authenticated": True, "continued": self._pages.continues(params)}
        answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": result}
        await socket_.send_text(json.dumps(answer))
        return params


class _Server(uvicorn.Server):
    """A server inside the host: signals are the host's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leaves the signal handlers as they are."""
        yield


class _Guard:
    """Refuses what did not come for this address, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, allowed: Callable[..., bool]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not self._allowed(headers, needs_origin=False):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 4403, "reason": "wrong Host or Origin"})
            else:
                await PlainTextResponse("wrong Host or Origin\n", status_code=403)(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, with_headers)


async def _health(_request: Any) -> Response:
    return PlainTextResponse("ok\n")


def _names(bind: str) -> tuple[str, ...]:
    if bind in ("127.0.0.1", "localhost", "::1"):
        return ("127.0.0.1", "localhost", "[::1]")
    return (f"[{bind}]" if ":" in bind else bind,)


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
    except OSError as error:
        listener.close()
        raise HostBusy(
            f"Port {port} of {bind} cannot be used ({error.strerror})",
            remedy="choose another with --port, or 0 for any",
        ) from error
    listener.setblocking(False)
    return listener
