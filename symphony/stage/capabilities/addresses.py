"""Where a Player may connect: the host and port that were granted, at an address that no name may lead to in secret."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from urllib.parse import urlsplit

from symphony.errors import BadInput, PlayerError
from symphony.stage.broker import Caller

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host name and port to addresses, the best first. Raises OSError when there are none."""

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out to networks of the Internet; what lies outside of it is for other purposes."""
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names. `addresses` were looked up once; only they are connected to."""

    url: str
    is_secure: bool
    host: str
    port: int
    authority: str
    """The host as the URL writes it, for the `Host` header."""
    addresses: tuple[Address, ...]

    def at(self, address: Address) -> str:
        """The URL with the address in the place of the name."""
        place = f"[{address}]" if address.version == 6 else str(address)
        return urlsplit(self.url)._replace(netloc=f"{place}:{self.port}").geturl()


@cache
def _lookups() -> ThreadPoolExecutor:
    """Threads of their own: who is granted a name can have its server keep silent for as long as a resolver waits."""
    return ThreadPoolExecutor(8, thread_name_prefix="lookup")


async def system_resolve(host: str, port: int) -> list[str]:
    """As this computer's resolver answers."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def target_of(caller: Caller, url: str, resolve: Resolve, schemes: Sequence[str]) -> Target:
    """Checks a URL against the grants and looks its name up.

    Raises BadInput for what is no such URL, PermissionDenied for a host that is not granted or whose name leads to
    a private address, PlayerError with code `unavailable` for a name that is not found.
    """
    written = " or ".join(schemes)
    bad = BadInput(f"{url[:200]!r} is no {written} address", remedy=f"give it as {schemes[-1]}://host/path")
    if _NOT_IN_URL.search(url):
        raise bad
    try:
        parts = urlsplit(url)
        host, given = parts.hostname, parts.port
    except ValueError:
        raise bad from None
    # Letters beyond ASCII become others on their way: the sign for kelvin is a k by now in `host`.
    if parts.scheme not in schemes or not host or "@" in parts.netloc or not parts.netloc.isascii():
        raise bad
    port = _PORTS[parts.scheme] if given is None else given
    host = host.rstrip(".")
    named = f"[{host}]" if ":" in host else host
    if not caller.grants.allows_host(named, port):
        raise caller.refuse("connect to", f"{named}:{port}", f"grant it network {named}:{port}")
    try:
        found = [ipaddress.ip_address(text) for text in await resolve(host, port)]
    except (OSError, UnicodeError) as error:
        raise PlayerError(f"{host} was not found: {error}", code="unavailable") from error
    except ValueError:
        found = []
    if not found:
        raise PlayerError(f"{host} was not found", code="unavailable")
    for address in found:
        if not _may_be_reached(host, address):
            raise caller.refuse(
                "connect to",
                f"{host}, which is the private address {address}",
                "grant the address itself",
            )
    secure = parts.scheme in ("https", "wss")
    return Target(parts._replace(fragment="").geturl(), secure, host, port, parts.netloc, tuple(found))


def _may_be_reached(host: str, address: Address) -> bool:
    """A private address only when the grant names it: a name can be made to lead anywhere at any time."""
    if host == "localhost":
        return address.is_loopback
    try:
        return ipaddress.ip_address(host) == address
    except ValueError:
        return is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open Internet, also behind the forms that carry an IPv4 address in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(inner is not None and not is_public(inner) for inner in carried):
            return False
        if address.ipv4_mapped is not None:
            return True
        if address not in _NAT64 and address not in _GIVEN_OUT:
            return False
    return address.is_global and not address.is_multicast
