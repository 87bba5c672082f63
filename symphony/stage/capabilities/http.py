"""HTTP through the host: only to hosts and ports that were granted, resolved once, redirects checked again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from symphony.errors import BadInput, PlayerError
from symphony.stage.broker import Caller, Capability
from symphony.stage.capabilities.addresses import Resolve, Target, system_resolve, target_of
from symphony.stage.capabilities.tls import trusted

REDIRECTS = 5
_SECRET = {"authorization", "proxy-authorization", "cookie"}
_OF_THE_HOST = {
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
    "expect", "proxy-connection", "proxy-authorization",
}  # fmt: skip
"""Headers that say how the message travels; a Player's own could make two messages out of one."""
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds. A stream may be longer than an answer that travels in one frame, and is ended when
    nothing has come for `silence`."""

    body: int = 8 << 20
    stream: int = 64 << 20
    timeout: float = 30.0
    longest: float = 300.0
    stream_time: float = 3600.0
    silence: float = 120.0


@dataclass(slots=True)
class _Request:
    """One request on its way through redirects."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | str | None
    is_stream: bool
    timeout: float


def capabilities(resolve: Resolve = system_resolve, limits: Limits | None = None) -> dict[str, Capability]:
    """The call `http.request`."""
    broker = _Http(resolve, limits or Limits())
    return {
        "http.request": Capability(broker.request, lambda body: f"{body.get('method')} {body.get('url')}")
    }


class _Http:
    def __init__(self, resolve: Resolve, limits: Limits) -> None:
        self._resolve = resolve
        self._limits = limits

    async def request(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        request = self._checked(body)
        whole = self._limits.stream_time if request.is_stream else request.timeout
        try:
            async with asyncio.timeout(whole):
                return await self._follow(caller, request)
        except TimeoutError:
            raise PlayerError(
                f"{urlsplit(request.url).hostname} took longer than {whole:g} s", code="timeout"
            ) from None

    async def _follow(self, caller: Caller, request: _Request) -> dict[str, Any]:
        for _ in range(REDIRECTS + 1):
            target = await target_of(caller, request.url, self._resolve, ("http", "https"))
            caller.note(f"{request.method} {request.url}")
            async with self._send(target, request) as response:
                location = response.headers.get("location")
                if response.status_code not in (301, 302, 303, 307, 308) or not location:
                    return await self._answer(caller, request, response)
            try:
                following = urljoin(request.url, location)
            except ValueError:
                raise PlayerError(f"{request.url} redirects to nonsense", code="failed") from None
            if _origin(following) != _origin(request.url):
                # Secrets that were meant for one host do not travel to another, nor in the open.
                request.headers = {k: v for k, v in request.headers.items() if k.lower() not in _SECRET}
            if response.status_code == 303 or (
                response.status_code in (301, 302) and request.method == "POST"
            ):
                request.method, request.content = "GET", None
            request.url = following
        raise PlayerError(f"{request.url} redirects more than {REDIRECTS} times", code="failed")

    @asynccontextmanager
    async def _send(self, target: Target, request: _Request) -> AsyncIterator[Any]:
        import httpx2

        silence = self._limits.silence if request.is_stream else request.timeout
        timeout = httpx2.Timeout(silence, connect=min(silence, 30.0))
        headers = {**request.headers, "Host": target.authority}
        # Compressed contents are unpacked in the Player's sandbox, if at all.
        headers.setdefault("Accept-Encoding", "identity")
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=timeout, verify=trusted()) as client:
                response = None
                for number, address in enumerate(target.addresses, start=1):
                    built = client.build_request(
                        request.method,
                        target.at(address),
                        headers=headers,
                        content=request.content,
                        extensions={"sni_hostname": target.host},
                    )
                    try:
                        response = await client.send(built, stream=True, follow_redirects=False)
                        break
                    except (httpx2.ConnectError, httpx2.ConnectTimeout):
                        if number == len(target.addresses):
                            raise
                assert response is not None
                try:
                    yield response
                finally:
                    await response.aclose()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise PlayerError(
                f"{target.host} did not answer: {error or type(error).__name__}",
                code="unavailable",
                remedy="try again",
            ) from error

    async def _answer(self, caller: Caller, request: _Request, response: Any) -> dict[str, Any]:
        head = {
            "status": response.status_code,
            "headers": {k.lower(): v for k, v in response.headers.items()},
        }
        if request.is_stream:
            caller.piece(head)
        limit = self._limits.stream if request.is_stream else self._limits.body
        pieces, size = [], 0
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > limit:
                raise PlayerError(f"The answer is larger than {limit} bytes", code="failed")
            if not request.is_stream:
                pieces.append(piece)
            elif not caller.piece({"data": piece}):
                break  # nobody listens any more
        return {**head, "body": b"".join(pieces)}

    def _checked(self, body: dict[str, Any]) -> _Request:
        method = body.get("method") or "GET"
        if not isinstance(method, str) or not TOKEN.fullmatch(method) or method.upper() == "CONNECT":
            raise BadInput(f"{method!r} is no method of HTTP", remedy="give for instance GET or POST")
        content = body.get("body")
        if content is not None and not isinstance(content, bytes | str):
            raise BadInput("The body of http.request must be bytes or text")
        timeout = body.get("timeout") or self._limits.timeout
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise BadInput("The timeout of http.request must be a positive number of seconds")
        return _Request(
            method.upper(),
            str(body.get("url") or ""),
            checked_headers(body.get("headers")),
            content,
            bool(body.get("stream")),
            min(float(timeout), self._limits.longest),
        )


def checked_headers(given: Any) -> dict[str, str]:
    """The headers of a Player, without those that are the host's to set. Raises BadInput for what would end a
    header's line."""
    if given is not None and not isinstance(given, dict):
        raise BadInput("The headers of a request must be a map")
    headers: dict[str, str] = {}
    for name, value in (given or {}).items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise BadInput(f"{name!r} is no name of a header")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise BadInput(f"The value of the header {name} has characters that end its line")
        if name.lower() not in _OF_THE_HOST:
            headers[name] = value
    return headers


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
