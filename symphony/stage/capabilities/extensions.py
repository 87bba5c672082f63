"""One extension calls or hears another: only through the host, and only under the capability `ipc`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from symphony.errors import BadInput
from symphony.stage.broker import Caller, Capability

Call = Callable[[str, dict[str, Any], dict[str, Any], Path | None], Awaitable[dict[str, Any]]]

QUEUE = 256
"""Messages that wait for a subscriber who wishes for no other number."""


def capabilities(call: Call) -> dict[str, Capability]:
    """`extension.call`, `extension.subscribe` and `extension.announce`.

    `call(player, params, inputs, project)` plays one function with the usual checks. What is announced is then
    published without this: `pit_native/bridge/src/runtime_topics.rs` answers `extension.publish`.
    """

    async def handle(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        player = body.get("player")
        if not isinstance(player, str) or "#" not in player:
            raise BadInput("extension.call needs `player` as publisher/name#function")
        target = player.partition("#")[0]
        if target != caller.member.name and not caller.grants.allows_ipc(player):
            raise caller.refuse("call", target, f"grant it ipc {target}")
        caller.note()
        outputs = await call(
            player, dict(body.get("params") or {}), dict(body.get("inputs") or {}), caller.project
        )
        return {"outputs": outputs}

    return {
        "extension.call": Capability(handle, lambda body: str(body.get("player"))),
        "extension.subscribe": Capability(_subscribe, _topic),
        "extension.announce": Capability(_announce, _topic),
    }


def _topic(body: dict[str, Any]) -> str:
    return str(body.get("topic"))


def _owner(method: str, body: dict[str, Any]) -> tuple[str, str]:
    """The topic or pattern that a body names, and the extension below whose name it lies."""
    topic = body.get("topic")
    parts = topic.split("/") if isinstance(topic, str) else []
    if not isinstance(topic, str) or len(parts) < 3 or any("*" in part for part in parts[:2]):
        raise BadInput(
            f"{method} needs `topic` as publisher/name/topic",
            remedy="whose topics they are is written out: there is no * in publisher/name",
        )
    return topic, "/".join(parts[:2])


async def _subscribe(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Lasts until the subscription ends: then the host's bus has answered, and this is cancelled."""
    pattern, owner = _owner("extension.subscribe", body)
    if owner != caller.member.name and not caller.grants.allows_ipc(owner):
        raise caller.refuse("hear", owner, f"grant it ipc {owner}")
    queue = body.get("queue") or QUEUE
    if not isinstance(queue, int) or isinstance(queue, bool) or queue < 1:
        raise BadInput("extension.subscribe needs `queue` as a number of messages")
    caller.note()
    caller.listen(pattern, queue)
    await asyncio.Event().wait()
    raise AssertionError("it only ends by being cancelled")


async def _announce(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    topic, owner = _owner("extension.announce", body)
    if owner != caller.member.name:
        raise caller.refuse(
            "publish", topic, f"an extension publishes below its own name, {caller.member.name}"
        )
    caller.note()
    if not caller.announce(topic):
        raise BadInput(f"{caller.member.name} has announced too many topics", remedy="256 are enough")
    return {}
