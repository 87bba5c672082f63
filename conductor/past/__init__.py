"""Requests that were asked before, and the Players that served them: who asks in like words likely means the same."""

from conductor.past.recall import Past, Recollection, Said
from conductor.past.requests import Request, read_requests, shipped_requests

__all__ = ["Past", "Recollection", "Request", "Said", "read_requests", "shipped_requests"]
