"""Serves the built page on the host in memory, for tests: `python -m tests.browser.serve_fake [PORT [SECONDS]]`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from symphony.ui import Pages, PageSession
from tests.ui.fake_host import FakeHost

DIST = Path(__file__).parents[2] / "frontend" / "dist"
TOKEN = "token-of-the-test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Page(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]  # type: ignore[misc]
            await send(message)

        await super().__call__(scope, receive, with_policy)  # type: ignore[arg-type]


def application(host: FakeHost) -> Starlette:
    """The page and its WebSocket, with the same token and policy as the real server."""
    pages = Pages(host)
    sockets: set[WebSocket] = set()

    async def drop() -> None:
        for socket in list(sockets):
            await socket.close(1012)

    async def connect(socket: WebSocket) -> None:
        await socket.accept()
        first = json.loads(await socket.receive_text())
        if first.get("method") != "authenticate" or first["params"].get("token") != TOKEN:
            await socket.close(4401)
            return
        await socket.send_text(json.dumps({"jsonrpc": "2.0", "id": first["id"], "result": {"ok": True}}))
        session = PageSession(pages, socket.send_text)
        await session.start(first["params"])
        sockets.add(socket)
        try:
            while True:
                await session.handle(await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):
            pass  # RuntimeError: the connection was dropped on this side
        finally:
            sockets.discard(socket)
            await session.close()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await pages.close()
        await host.close()

    app = Starlette(
        routes=[WebSocketRoute("/ws", connect), Mount("/", _Page(directory=DIST, html=True))],
        lifespan=lifespan,
    )
    app.state.drop = drop
    return app


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    print(f"http://127.0.0.1:{port}/#token={TOKEN}", flush=True)
    uvicorn.run(
        application(FakeHost(step=float(sys.argv[2]) if len(sys.argv) > 2 else 0.6)),
        port=port,
        log_level="warning",
    )
