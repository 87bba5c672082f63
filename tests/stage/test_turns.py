"""What takes the host long takes few threads of it: while one extension asks for all that it can, another is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from symphony.stage.audit import AuditLog
from symphony.stage.broker import Broker
from symphony.stage.capabilities import files, http, models
from symphony.stage.roster import CastMember
from tests.stage.test_http import MANIFEST

GRANTS = ("read:project/**", "network:slow.example:80")


class Troupe:
    """Two Players, each of an extension of its own."""

    def __init__(self, project: Path) -> None:
        self._project = project

    def who(self, key: str) -> tuple[CastMember, Path]:
        return CastMember(key, "1.0.0", self._project, MANIFEST, GRANTS), self._project


@pytest.mark.parametrize("method", ["model.embed", "fs.list", "http.request"])
async def test_a_neighbour_is_served_while_an_extension_asks_for_all_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    (tmp_path / "a.txt").write_text("here")
    go_on = threading.Event()

    def embed(texts: Any) -> list[list[float]]:
        go_on.wait(60)
        return [[0.0] for _ in texts]

    def walk(*_: Any) -> list[str]:
        go_on.wait(60)
        return []

    def look_up(*_: Any, **__: Any) -> list[Any]:
        go_on.wait(60)
        raise OSError("no such name")

    monkeypatch.setattr(files, "_list_beneath", walk)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    log = AuditLog(tmp_path / "audit.jsonl")
    answered: dict[int, Any] = {}
    has_come = asyncio.Event()

    def answer(request: int, *said: Any) -> None:
        answered[request] = said
        has_come.set()

    doors = {
        **files.capabilities(tmp_path / "output"),
        **models.capabilities(lambda: None, embed, lambda *_: None),
        **http.capabilities(),
    }
    broker = Broker(Troupe(tmp_path), log, doors, answer, answer)  # type: ignore[arg-type]
    body = {"texts": ["x"], "pattern": "**", "url": "http://slow.example/"}
    try:
        for request in range(100):
            broker.handle({"id": request, "key": "test/greedy", "method": method, "body": body})
        for request in (100, 101):
            event = {"id": request, "key": "test/neighbour", "method": "fs.read", "body": {"path": "a.txt"}}
            broker.handle(event)
            await asyncio.wait_for(has_come.wait(), 30)
            has_come.clear()
        assert answered == {100: ({"content": b"here"},), 101: ({"content": b"here"},)}
    finally:
        go_on.set()
        await broker.stop()
    log.close()
