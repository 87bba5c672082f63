"""All that a Python Player imports: the standard library and msgpack, nothing else.

from symphony.sdk import Context, player

@player.function
def greet(ctx: Context, name: str = "world") -> str:
    return f"Hello, {name}"

player.serve()
"""

from symphony.sdk.context import Context
from symphony.sdk.failures import Cancelled, PermissionDenied, PlayerFailure
from symphony.sdk.player import Player, player
from symphony.sdk.values import Artifact, Completion, ExecResult, HttpResponse

__all__ = [
    "Artifact",
    "Cancelled",
    "Completion",
    "Context",
    "ExecResult",
    "HttpResponse",
    "PermissionDenied",
    "Player",
    "PlayerFailure",
    "player",
]
