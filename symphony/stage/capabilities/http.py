"""HTTP through the host: only to hosts and ports that were granted, resolved once, redirects checked again."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

from symphony.errors import BadInput, PlayerError
from symphony.stage.broker import Caller, Capability

BODY_LIMIT = 8 << 20
REDIRECTS = 5
_HIDDEN = {"authorization", "proxy-authorization", "cookie", "host", "content-length", "transfer-encoding"}


def capabilities() -> dict[str, Capability]:
    """The call `http.request`."""
    return {"http.request": Capability(_request, lambda body: f"{body.get('method')} {body.get('url')}")}


async def _request(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    import httpx2

    method, url = str(body.get("method") or "GET").upper(), str(body.get("url") or "")
    headers = {str(k): str(v) for k, v in (body.get("headers") or {}).items()}
    content = body.get("body")
    if content is not None and not isinstance(content, bytes | str):
        raise BadInput("The body of http.request must be bytes or text")
    for _ in range(REDIRECTS + 1):
        target, host = await _resolve(caller, url)
        sent = {**{k: v for k, v in headers.items() if k.lower() != "host"}, "Host": host}
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(30.0)) as client:
                request = client.build_request(
                    method,
                    target,
                    headers=sent,
                    content=content,
                    extensions={"sni_hostname": host.split(":")[0]},
                )
                response = await client.send(request, stream=True)
                answer = await _read(response)
        except httpx2.HTTPError as error:
            raise PlayerError(
                f"{host} did not answer: {error}", code="unavailable", remedy="try again"
            ) from error
        location = answer["headers"].get("location")
        if answer["status"] not in (301, 302, 303, 307, 308) or not location:
            return answer
        following = urljoin(url, location)
        if urlsplit(following).netloc != urlsplit(url).netloc:
            # Secrets that were meant for one host do not travel to another.
            headers = {k: v for k, v in headers.items() if k.lower() not in _HIDDEN}
        if answer["status"] == 303:
            method, content = "GET", None
        url = following
    raise PlayerError(f"{url} redirects more than {REDIRECTS} times", code="failed")


async def _read(response: Any) -> dict[str, Any]:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > BODY_LIMIT:
            await response.aclose()
            raise PlayerError(f"The answer is larger than {BODY_LIMIT} bytes", code="failed")
        pieces.append(piece)
    await response.aclose()
    return {
        "status": response.status_code,
        "headers": {k.lower(): v for k, v in response.headers.items()},
        "body": b"".join(pieces),
    }


async def _resolve(caller: Caller, url: str) -> tuple[str, str]:
    """The URL with the address in the place of the name, and the name: the name is looked up once."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise BadInput(f"{url!r} is no http or https address", remedy="give it as https://host/path")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not caller.grants.allows_host(parts.hostname, port):
        raise caller.refuse(
            "connect to", f"{parts.hostname}:{port}", f"grant it network {parts.hostname}:{port}"
        )
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PlayerError(f"{parts.hostname} was not found: {error}", code="unavailable") from error
    address = ipaddress.ip_address(found[0][4][0])
    named_itself = parts.hostname in ("localhost", str(address))
    if not address.is_global and not named_itself:
        raise caller.refuse(
            "connect to",
            f"{parts.hostname}, which is the private address {address}",
            "grant the address itself",
        )
    place = f"[{address}]" if address.version == 6 else str(address)
    target = parts._replace(netloc=f"{place}:{port}").geturl()
    return target, parts.netloc
