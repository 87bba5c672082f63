"""Artifacts for Players: one may read what its run's nodes made, and put results of its own."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from symphony.errors import BadInput, PlayerError
from symphony.stage.broker import Caller, Capability


class Store(Protocol):
    """What is needed of `pit_native.ArtifactStore`."""

    def get(self, artifact: str) -> bytes: ...

    def info(self, artifact: str) -> dict[str, Any]: ...

    def put(self, content: bytes, *, name: str, type: str, meta: dict[str, Any]) -> str: ...


def capabilities(store: Store) -> dict[str, Capability]:
    """`artifact.get` and `artifact.put`."""

    async def get(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        artifact = str(body.get("id"))
        info = await asyncio.to_thread(store.info, artifact)
        meta = info.get("meta", info)
        if not caller.run or meta.get("run") != caller.run:
            raise PlayerError(
                f"{artifact} belongs to another run",
                code="permission_denied",
                remedy="connect it as an input",
            )
        caller.note()
        content = await asyncio.to_thread(store.get, artifact)
        return {"content": content, "name": info["name"], "type": info["type"]}

    async def put(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        content = body.get("content")
        if not isinstance(content, bytes):
            raise BadInput("artifact.put needs `content` as bytes")
        caller.note()
        meta = {"run": caller.run, "node": caller.node, "player": caller.member.name}
        name, kind = str(body.get("name") or "artifact"), str(body.get("type") or "application/octet-stream")
        return {"id": await asyncio.to_thread(store.put, content, name=name, type=kind, meta=meta)}

    return {
        "artifact.get": Capability(get, lambda body: str(body.get("id"))),
        "artifact.put": Capability(put, lambda body: str(body.get("name"))),
    }
