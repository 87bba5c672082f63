"""One extension calls another: only through the host, and only under the capability `ipc`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from symphony.errors import BadInput
from symphony.stage.broker import Caller, Capability

Call = Callable[[str, dict[str, Any], dict[str, Any], Path | None], Awaitable[dict[str, Any]]]


def capabilities(call: Call) -> dict[str, Capability]:
    """`extension.call`. `call(player, params, inputs, project)` plays one function with the usual checks."""

    async def handle(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        player = body.get("player")
        if not isinstance(player, str) or "#" not in player:
            raise BadInput("extension.call needs `player` as publisher/name#function")
        target = player.partition("#")[0]
        if target != caller.member.name and not caller.grants.allows_ipc(player):
            raise caller.refuse("call", target, f"grant it ipc {target}")
        outputs = await call(
            player, dict(body.get("params") or {}), dict(body.get("inputs") or {}), caller.project
        )
        return {"outputs": outputs}

    return {"extension.call": Capability(handle, lambda body: str(body.get("player")))}
