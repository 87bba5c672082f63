"""The broker's doors, attacked: files, HTTP, models, audit. Each refusal has an attempt that works without it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import BadInput, NotFound, PermissionDenied, PlayerError, SymphonyError
from symphony.stage.audit import AuditLog
from symphony.stage.broker import Broker, Caller
from symphony.stage.capabilities import files, http, models
from symphony.stage.manifest import parse_manifest
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember

MANIFEST = parse_manifest('[extension]\nname = "test/door"\nversion = "1.0.0"\ntype = "operator"\n')


def caller(project: Path | None, *grants: str) -> Caller:
    member = CastMember("test/door", "1.0.0", Path("/nowhere"), MANIFEST, grants)
    return Caller(member, Grants(grants), project, "run", "node")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "src").mkdir(parents=True)
    (place / "src" / "a.py").write_text("a = 1\n")
    (place / "secret.env").write_text("KEY=1\n")
    (tmp_path / "outside.txt").write_text("outside\n")
    (place / "src" / "link.py").symlink_to(tmp_path / "outside.txt")
    (place / "src" / "folder").symlink_to(tmp_path)
    os.mkfifo(place / "src" / "pipe.py")
    return place


def ask(capability: Any, who: Caller, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = asyncio.run(capability.handler(who, body))
    return answer


def test_a_granted_file_is_read(project: Path, tmp_path: Path) -> None:
    doors = files.capabilities(tmp_path / "output")
    who = caller(project, "read:project/src/**/*")
    assert ask(doors["fs.read"], who, path="src/a.py") == {"content": b"a = 1\n"}
    assert ask(doors["fs.read"], who, path=str(project / "src/a.py")) == {"content": b"a = 1\n"}
    assert "src/a.py" in ask(doors["fs.list"], who, pattern="**")["paths"]
    assert "secret.env" not in ask(doors["fs.list"], who, pattern="**")["paths"]


@pytest.mark.parametrize(
    "path",
    [
        "secret.env",
        "src/../secret.env",
        "../outside.txt",
        "/etc/passwd",
        "src/link.py",
        "src/folder/outside.txt",
        "src/pipe.py",
    ],
)
def test_what_is_not_granted_is_not_read(project: Path, tmp_path: Path, path: str) -> None:
    doors = files.capabilities(tmp_path / "output")
    with pytest.raises(SymphonyError) as refused:
        ask(doors["fs.read"], caller(project, "read:project/src/**/*"), path=path)
    assert refused.value.code in ("permission_denied", "bad_input")
    # Without the door the same attempt works: the host itself can read it.
    if path != "src/pipe.py":
        assert (project / path).read_bytes()


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("**", ["b.py", "src/a.py", "src/deep/c.py", "src/deep/d.txt"]),
        ("*.py", ["b.py"]),
        ("**/*.py", ["b.py", "src/a.py", "src/deep/c.py"]),
        ("src/**", ["src/a.py", "src/deep/c.py", "src/deep/d.txt"]),
        ("src/*/?.txt", ["src/deep/d.txt"]),
        ("src", []),
        ("/src/a.py", []),
        ("../**", []),
        ("[b].py", []),
    ],
)
def test_what_a_pattern_lists(tmp_path: Path, pattern: str, paths: list[str]) -> None:
    place = tmp_path / "project"
    (place / "src" / "deep").mkdir(parents=True)
    for path in ("b.py", "src/a.py", "src/deep/c.py", "src/deep/d.txt"):
        (place / path).touch()
    doors = files.capabilities(tmp_path / "output")
    assert ask(doors["fs.list"], caller(place, "read:project/**"), pattern=pattern) == {"paths": paths}


@pytest.mark.parametrize("pattern", ["*?" * 12 + "x", "*a" * 30 + "x", "**/" * 100 + "x", "**/*a*a*a*a/" * 8])
def test_no_pattern_makes_the_host_think_for_ever(tmp_path: Path, pattern: str) -> None:
    """By backtracking these take longer than anybody waits; the test ends, or its time limit ends it."""
    (tmp_path / ("a" * 200)).touch()
    deep = tmp_path.joinpath(*"a" * 60)
    deep.mkdir(parents=True)
    (deep / "b").touch()
    doors = files.capabilities(tmp_path / "output")
    assert ask(doors["fs.list"], caller(tmp_path), pattern=pattern) == {"paths": []}


@pytest.mark.parametrize("pattern", ["a" * 1001, 7, ["**"]])
def test_what_is_no_pattern_is_refused(project: Path, tmp_path: Path, pattern: object) -> None:
    doors = files.capabilities(tmp_path / "output")
    with pytest.raises(BadInput, match="pattern"):
        ask(doors["fs.list"], caller(project, "read:project/**"), pattern=pattern)


def test_a_write_replaces_the_file_whole_and_nothing_else(project: Path, tmp_path: Path) -> None:
    doors = files.capabilities(tmp_path / "output")
    who = caller(project, "write:project/src/**/*")
    ask(doors["fs.write"], who, path="src/new/b.py", content=b"b = 2\n")
    assert (project / "src/new/b.py").read_bytes() == b"b = 2\n"
    for path in ("secret.env", "../outside.txt", "src/folder/outside.txt"):
        with pytest.raises(SymphonyError):
            ask(doors["fs.write"], who, path=path, content=b"gone")
    ask(doors["fs.write"], who, path="src/link.py", content=b"link = 3\n")
    # The link was replaced; what it pointed to is as it was.
    assert (tmp_path / "outside.txt").read_text() == "outside\n"
    assert not list((project / "src").rglob(".*"))


@pytest.mark.parametrize(
    "path", [".git/config", ".git/hooks/pre-commit", "src/.GIT/config", ".git", "src/../.git/config"]
)
def test_what_git_would_run_is_not_written(project: Path, tmp_path: Path, path: str) -> None:
    """With it a Player would run its programs as the user, at the next `git status`."""
    subprocess.run(["git", "init", "-q", project], check=True)
    (project / "src" / ".GIT").mkdir()
    doors = files.capabilities(tmp_path / "output")
    bomb = b"[core]\n\tfsmonitor = touch came-out\n"
    with pytest.raises(PermissionDenied):
        ask(doors["fs.write"], caller(project, "write:project/**/*"), path=path, content=bomb)
    subprocess.run(["git", "-C", project, "status"], check=True, capture_output=True)
    assert not (project / "came-out").exists()
    # Without the lock the same file does that.
    (project / ".git" / "config").write_bytes(bomb)
    subprocess.run(["git", "-C", project, "status"], check=True, capture_output=True)
    assert (project / "came-out").exists()


def test_a_whole_tree_is_written_in_the_sandbox_and_nowhere_else(project: Path, tmp_path: Path) -> None:
    """`write:project/**` is a private layer, whose changes the user sees before they are taken over."""
    doors = files.capabilities(tmp_path / "output")
    with pytest.raises(PermissionDenied):
        ask(doors["fs.write"], caller(project, "write:project/**"), path="src/a.py", content=b"gone")
    assert (project / "src/a.py").read_bytes() == b"a = 1\n"
    ask(doors["fs.write"], caller(project, "write:project/**/*"), path="src/a.py", content=b"new")
    assert (project / "src/a.py").read_bytes() == b"new"


def test_a_missing_file_is_said_so(project: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.py"):
        ask(
            files.capabilities(tmp_path)["fs.read"],
            caller(project, "read:project/**/*"),
            path="src/nothing.py",
        )


class Site(BaseHTTPRequestHandler):
    """Answers, redirects, or streams a chat, and remembers what it was sent."""

    seen: list[tuple[str, dict[str, str]]] = []
    elsewhere = ""

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", self.elsewhere)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def do_POST(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/echo"):
            self.send_response(400)
            self.end_headers()
            said = f"{self.path} {self.headers['Authorization']}"
            self.wfile.write(f"{said} {'x' * (290 - 2 * len(said))} {said}".encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in ("one ", "two"):
            body = json.dumps({"choices": [{"delta": {"content": piece}}]})
            self.wfile.write(f"data: {body}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def site() -> Iterator[int]:
    Site.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_granted_host_is_reached(site: int) -> None:
    door = http.capabilities()["http.request"]
    answer = ask(
        door, caller(None, f"network:127.0.0.1:{site}"), method="GET", url=f"http://127.0.0.1:{site}/"
    )
    assert (answer["status"], answer["body"]) == (200, b"here")


def test_another_port_is_not(site: int) -> None:
    door = http.capabilities()["http.request"]
    with pytest.raises(PermissionDenied):
        ask(
            door, caller(None, f"network:127.0.0.1:{site + 1}"), method="GET", url=f"http://127.0.0.1:{site}/"
        )
    assert Site.seen == []


def test_a_redirect_is_checked_again_and_takes_no_secret_along(site: int) -> None:
    door = http.capabilities()["http.request"]
    Site.elsewhere = f"http://localhost:{site}/there"
    who = caller(None, f"network:127.0.0.1:{site}")
    url, headers = f"http://127.0.0.1:{site}/away", {"Authorization": "Bearer secret"}
    with pytest.raises(PermissionDenied):
        ask(door, who, method="GET", url=url, headers=headers)
    both = caller(None, f"network:127.0.0.1:{site}", f"network:localhost:{site}")
    assert ask(door, both, method="GET", url=url, headers=headers)["status"] == 200
    path, sent = Site.seen[-1]
    assert path == "/there"
    assert "Authorization" not in sent and "authorization" not in sent


def test_a_name_that_leads_to_a_private_address_is_refused(
    site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rebound(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", site))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    door = http.capabilities()["http.request"]
    with pytest.raises(PermissionDenied, match="private"):
        ask(
            door,
            caller(None, f"network:evil.example:{site}"),
            method="GET",
            url=f"http://evil.example:{site}/",
        )
    assert Site.seen == []


def test_a_model_streams_through_the_host_and_no_player_sees_the_key(site: int) -> None:
    pieces: list[str] = []
    endpoint = models.Endpoint(f"http://127.0.0.1:{site}/v1", "small", "the-key")
    doors = models.capabilities(
        lambda: endpoint, lambda texts: texts, lambda _run, _node, piece: pieces.append(piece)
    )
    messages = [{"role": "user", "content": "hello"}]
    answer = ask(doors["model.complete"], caller(None, "model:small"), messages=messages)
    assert answer["text"] == "one two"
    assert pieces == ["one ", "two"]
    assert "the-key" not in json.dumps(answer)
    assert Site.seen[0][1]["Authorization"] == "Bearer the-key"
    with pytest.raises(PermissionDenied):
        ask(doors["model.complete"], caller(None, "model:other"), messages=messages)


@pytest.mark.parametrize("place", ["header", "query", "user"])
def test_an_endpoint_that_repeats_what_it_was_sent_tells_no_player_the_key(site: int, place: str) -> None:
    user, query = ("ann:the-key@" if place == "user" else ""), ("?key=the-key" if place == "query" else "")
    url = f"http://{user}127.0.0.1:{site}/echo{query}"
    endpoint = models.Endpoint(url, "small", "the-key" if place == "header" else "")
    doors = models.capabilities(lambda: endpoint, lambda texts: texts, lambda *_: None)
    with pytest.raises(PlayerError, match="answered 400") as refused:
        ask(doors["model.complete"], caller(None, "model:small"), messages=[{"role": "user", "content": "x"}])
    told = refused.value.message + refused.value.remedy
    assert f"127.0.0.1:{site}" in told and "x" * 50 in told and len(told) < 500
    basic = base64.b64encode(b"ann:the-key").decode()
    assert not any(secret[:4] in told for secret in ("the-key", basic)), told
    # The control: it was sent, and so was repeated, once whole and once where the text is cut.
    assert any(secret in str(Site.seen) for secret in ("the-key", basic))


def test_without_an_endpoint_it_says_what_to_set() -> None:
    doors = models.capabilities(lambda: None, lambda texts: texts, lambda *_: None)
    with pytest.raises(PlayerError, match=r"model\.endpoint") as error:
        ask(doors["model.complete"], caller(None, "model:*"), messages=[{"role": "user", "content": "x"}])
    assert error.value.code == "no_endpoint"


class Troupe:
    """Where the broker looks up who asks."""

    def __init__(self, who: Caller) -> None:
        self.caller = who

    def who(self, _key: str) -> tuple[CastMember, Path | None]:
        return self.caller.member, self.caller.project


@pytest.mark.parametrize(
    ("path", "allowed"), [("src/a.py", True), ("secret.env", False), ("src/link.py", False)]
)
def test_the_audit_log_says_what_was_refused(project: Path, tmp_path: Path, path: str, allowed: bool) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    troupe = Troupe(caller(project, "read:project/src/**/*"))
    answers: list[str] = []

    async def ask_once() -> None:
        broker = Broker(
            troupe,  # type: ignore[arg-type]
            log,
            files.capabilities(tmp_path / "output"),
            lambda _id, _body: answers.append("ok"),
            lambda _id, code, _message, _remedy: answers.append(code),
        )
        broker.handle({"id": 1, "key": "door", "method": "fs.read", "body": {"path": path}})
        while not answers:
            await asyncio.sleep(0)

    asyncio.run(ask_once())
    assert answers == ["ok" if allowed else "permission_denied"]
    assert log.entries()[0]["allowed"] == allowed
    log.close()
