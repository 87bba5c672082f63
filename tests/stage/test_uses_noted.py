"""Every use of a capability is in the audit log before it begins; one that cannot be written down does not happen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import PermissionDenied, PlayerError, StorageFull
from symphony.stage.audit import AuditLog
from symphony.stage.broker import Broker, Caller, Capability
from symphony.stage.capabilities import artifacts, extensions, files, http, models, programs, websocket
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember, PlayerLimits
from tests.stage.test_http import HELLO, MANIFEST, saying, site

Json = dict[str, Any]


class Store:
    """Keeps what was put, and tells of what was read."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def info(self, artifact: str) -> Json:
        return {"name": artifact, "type": "text/plain", "meta": {"run": "run"}}

    def get(self, artifact: str) -> bytes:
        self.done.append(f"get {artifact}")
        return b"x"

    def put(self, content: bytes, **_: Any) -> str:
        self.done.append("put")
        return "id"


async def asked(
    project: Path, capabilities: dict[str, Capability], method: str, body: Json, log: Any
) -> tuple[str, Any]:
    """What a broker over this log answers: "ok" or the error's code, with the body."""
    grants = (
        "read:project/**", "write:project/**/*", "exec:touch", "model:*", "ipc:other/one", "network:127.0.0.1:{port}",
    )  # fmt: skip
    port = body.pop("port", 1)
    granted = tuple(grant.format(port=port) for grant in grants)
    member = CastMember("test/door", "1.0.0", project.parent, MANIFEST, granted)
    assert list(Grants(granted)) == list(granted)

    class Troupe:
        def who(self, _key: str) -> tuple[CastMember, Path]:
            return member, project

    answer: asyncio.Future[tuple[str, Any]] = asyncio.get_running_loop().create_future()
    broker = Broker(
        Troupe(),  # type: ignore[arg-type]
        log,
        capabilities,
        lambda _id, given: answer.set_result(("ok", given)),
        lambda _id, code, message, _remedy: answer.set_result((code, message)),
        listen=lambda *_: log.listened(),
        announce=lambda *_: log.listened(),
    )
    broker.handle({"id": 1, "key": "k", "run": "run", "node": "n", "method": method, "body": body})
    try:
        return await asyncio.wait_for(answer, 60)
    finally:
        await broker.stop()


class Full:
    """A log on a disk that has no room."""

    def record(self, *_: object, **__: object) -> None:
        raise StorageFull("there is no space", remedy="free some")

    def listened(self) -> None:
        raise AssertionError("it hears although that could not be written down")


async def keep(*_: object, **__: object) -> None:
    raise AssertionError("it ran although that could not be written down")


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("fs.read", {"path": "a.txt"}),
        ("fs.write", {"path": "a.txt", "content": b"new"}),
        ("fs.list", {"pattern": "**"}),
        ("http.request", {"url": "http://127.0.0.1:{port}/"}),
        ("websocket.open", {"url": "ws://127.0.0.1:{port}/"}),
        ("model.complete", {"messages": [{"role": "user", "content": "x"}]}),
        ("artifact.get", {"id": "x"}),
        ("artifact.put", {"content": b"x"}),
        ("extension.call", {"player": "other/one#f"}),
        ("extension.subscribe", {"topic": "other/one/news"}),
        ("extension.announce", {"topic": "test/door/news"}),
        ("model.embed", {"texts": ["x"]}),
        ("exec", {"argv": ["touch", "made"]}),
    ],
)
async def test_what_cannot_be_written_down_does_not_happen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, body: Json
) -> None:
    project, store, called = tmp_path / "project", Store(), list[str]()
    project.mkdir()
    (project / "a.txt").write_text("old")

    async def call(player: str, *_: Any) -> Json:
        called.append(player)
        return {}

    def embed(texts: Any) -> list[list[float]]:
        called.append("embedded")
        return [[0.0] for _ in texts]

    def spawn(*_: object) -> None:
        called.append("spawned")
        raise PlayerError("not here", code="unavailable")

    monkeypatch.setattr(programs, "sandbox_spawn", spawn)
    async with site(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, seen):
        endpoint = models.Endpoint(f"http://127.0.0.1:{port}/v1", "small")
        doors = {
            **files.capabilities(tmp_path / "output"),
            **http.capabilities(),
            **websocket.capabilities(),
            **models.capabilities(lambda: endpoint, embed, lambda *_: None),
            **artifacts.capabilities(store),
            **extensions.capabilities(call),
            **programs.capabilities(tmp_path / "launcher", PlayerLimits, keep),
        }
        body = {k: v.format(port=port) if isinstance(v, str) else v for k, v in body.items()}
        code, said = await asked(project, doors, method, {**body, "port": port}, Full())
        assert (code, said) == ("storage_full", "there is no space")
        assert not seen and not called and not store.done and (project / "a.txt").read_text() == "old"
        if method in ("extension.subscribe", "extension.announce"):
            return  # the control is tests/stage/test_topics.py
        log = AuditLog(tmp_path / "audit.jsonl")
        await asked(project, doors, method, {**body, "port": port}, log)
        (entry,) = log.entries()
        assert entry["allowed"] and entry["capability"] == method and entry["run"] == "run"
        assert (
            seen or called or store.done
            or (project / "a.txt").read_text() == "new" or method in ("fs.read", "fs.list")
        )  # fmt: skip
        log.close()


async def test_a_long_use_is_in_the_log_while_it_lasts_and_each_redirect_has_its_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    noted_when_asked: list[list[str]] = []
    there = ""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        noted_when_asked.append([entry["detail"] for entry in log.entries()])
        writer.write(f"HTTP/1.1 302 Go\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())

    async with site(HELLO) as (inside, reached), site(answer) as (port, _):
        first, there = f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{inside}/secret"
        body = {"method": "GET", "url": first}
        door = http.capabilities()
        code, _ = await asked(tmp_path, door, "http.request", {**body, "port": port}, log)
        assert code == "permission_denied" and not reached
        assert noted_when_asked == [[f"GET {first}"]]
        refused, allowed = log.entries()
        assert allowed["allowed"] and not refused["allowed"] and f"127.0.0.1:{inside}" in refused["detail"]
        there = first + "again"
        await asked(tmp_path, door, "http.request", {**body, "port": port}, log)
        assert [entry["detail"] for entry in log.entries()].count(f"GET {there}") == http.REDIRECTS
    log.close()


async def test_a_use_that_is_refused_after_it_was_noted_says_both(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")

    async def handler(caller: Caller, _body: Json) -> Json:
        caller.note()
        raise PermissionDenied("the kernel found a link", remedy="")

    await asked(tmp_path, {"fs.read": Capability(handler, str)}, "fs.read", {}, log)
    assert [entry["allowed"] for entry in log.entries()] == [False, True]
    log.close()
