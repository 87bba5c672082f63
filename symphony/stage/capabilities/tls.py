"""The authorities that the host trusts when it connects for a Player."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than most requests."""
    import httpx2

    context = httpx2.create_ssl_context(trust_env=False)
    assert isinstance(context, ssl.SSLContext)
    return context
