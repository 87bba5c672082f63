"""WebSockets through the host: under the same grants and checks as HTTP, messages both ways."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput, NotFound, PlayerError
from symphony.stage.broker import Caller, Capability
from symphony.stage.capabilities.addresses import Resolve, Target, system_resolve, target_of
from symphony.stage.capabilities.http import TOKEN, checked_headers
from symphony.stage.capabilities.tls import trusted

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_OF_THE_HOST = ("sec-websocket-",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one message and of all that come, seconds until it is open and until it must end."""

    message: int = 4 << 20
    stream: int = 64 << 20
    open: float = 30.0
    stream_time: float = 3600.0


def capabilities(resolve: Resolve = system_resolve, limits: Limits | None = None) -> dict[str, Capability]:
    """`websocket.open`, whose answer comes when the socket closes, and `websocket.send` beside it."""
    broker = _Sockets(resolve, limits or Limits())
    return {
        "websocket.open": Capability(broker.open, lambda body: str(body.get("url"))),
        "websocket.send": Capability(broker.send, lambda body: str(body.get("id"))),
    }


class _Sockets:
    def __init__(self, resolve: Resolve, limits: Limits) -> None:
        self._resolve = resolve
        self._limits = limits
        self._open: dict[str, tuple[str, ClientConnection]] = {}

    async def open(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake

        target = await target_of(caller, str(body.get("url") or ""), self._resolve, ("ws", "wss"))
        headers = {
            name: value
            for name, value in checked_headers(body.get("headers")).items()
            if not name.lower().startswith(_OF_THE_HOST)
        }
        protocols = _checked_protocols(body.get("protocols"))
        caller.note()
        try:
            async with asyncio.timeout(self._limits.open):
                connection = await self._connect(target, headers, protocols)
        except (OSError, InvalidHandshake, ValueError) as error:
            raise PlayerError(
                f"{target.host} did not open a WebSocket: {error or type(error).__name__}", code="unavailable"
            ) from error
        identity = secrets.token_hex(16)
        self._open[identity] = caller.member.name, connection
        try:
            caller.piece({"id": identity, "protocol": connection.subprotocol or ""})
            async with asyncio.timeout(self._limits.stream_time):
                await self._listen(caller, connection)
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code == 1009 and not error.rcvd_then_sent:
                raise PlayerError(
                    f"A message was larger than {self._limits.message} bytes", code="failed"
                ) from error
        except TimeoutError:
            raise PlayerError(
                f"The WebSocket to {target.host} was open for {self._limits.stream_time:g} s", code="timeout"
            ) from None
        finally:
            del self._open[identity]
            await connection.close()
        return {"code": connection.close_code or 1006, "reason": connection.close_reason or ""}

    async def send(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """A text or bytes as `message`; `close` true closes it instead."""
        from websockets.exceptions import ConnectionClosed

        owner, connection = self._open.get(str(body.get("id")), ("", None))
        if connection is None or owner != caller.member.name:
            raise NotFound("This WebSocket is not open", remedy="open it again")
        caller.note()
        message = body.get("message")
        try:
            if body.get("close"):
                await connection.close()
            elif isinstance(message, str | bytes):
                await connection.send(message)
            else:
                raise BadInput("websocket.send needs `message` as text or bytes, or `close`")
        except ConnectionClosed as error:
            raise PlayerError("The WebSocket was closed", code="unavailable") from error
        return {}

    async def _listen(self, caller: Caller, connection: ClientConnection) -> None:
        size = 0
        while True:
            message = await connection.recv()
            size += len(message)
            if size > self._limits.stream:
                raise PlayerError(f"More than {self._limits.stream} bytes came", code="failed")
            if not caller.piece({"message": message}):
                return  # nobody listens any more

    async def _connect(
        self, target: Target, headers: dict[str, str], protocols: list[Any] | None
    ) -> ClientConnection:
        from websockets.asyncio.client import connect

        secure: dict[str, Any] = (
            {"ssl": trusted(), "server_hostname": target.host} if target.is_secure else {}
        )
        # Over a socket of our own: nothing is looked up again, and a redirect has nowhere to go.
        opened = await _connected(target)
        try:
            return await connect(
                target.url,
                sock=opened,
                additional_headers=headers,
                subprotocols=protocols or None,
                compression=None,
                proxy=None,
                open_timeout=None,
                close_timeout=5,
                max_size=self._limits.message,
                max_queue=4,
                **secure,
            )
        except BaseException:
            opened.close()
            raise


def _checked_protocols(given: Any) -> list[Any] | None:
    """They travel in one header, whose line none of them may end."""
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(p, str) and TOKEN.fullmatch(p) for p in given):
        raise BadInput("The protocols of a WebSocket must be a list of names, such as chat.v2")
    return given


async def _connected(target: Target) -> socket.socket:
    """A connection to the first of the addresses that answers."""
    loop, problem = asyncio.get_running_loop(), OSError("no address")
    for address in target.addresses:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, (str(address), target.port))
        except OSError as error:
            opened.close()
            problem = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise problem
