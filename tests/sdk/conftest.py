"""A small host on a real Unix socket, so that the SDK is tried as it runs: in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

import symphony.sdk

PATIENCE = 30.0


class StageHost:
    """One Player process and this end of its socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "s"
        self.process: asyncio.subprocess.Process
        self.hello: dict[str, Any] = {}
        self._count = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def start(self, source: str, *, manifest: str = "", welcome: bool = True) -> None:
        """Starts a Player with this entry file, as the sandbox does, and answers its hello."""
        entry = self.folder / "extension" / "player.py"
        entry.parent.mkdir()
        entry.write_text(source)
        if manifest:
            (entry.parent / "Symphony.toml").write_text(manifest)
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )
        server = await asyncio.start_unix_server(
            lambda reader, writer: connected.set_result((reader, writer)), self.path
        )
        environment = {"SYMPHONY_SOCKET": str(self.path), "SYMPHONY_ENTRY": str(entry), "LANG": "C.UTF-8"}
        if not manifest:
            environment |= {"SYMPHONY_EXTENSION": "tests/sample", "SYMPHONY_EXTENSION_VERSION": "1.0.0"}
        self.process = await asyncio.create_subprocess_exec(
            os.path.realpath(sys.executable),
            "-I",
            "-S",
            "-B",
            str(self._library() / "symphony" / "sdk" / "boot.py"),
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reader, self._writer = await asyncio.wait_for(connected, PATIENCE)
        server.close()
        self.hello = await self.read()
        if welcome:
            grants = {"files": ["read:project/**"]}
            body = {"version": 1, "grants": grants, "limits": {"frame": 1 << 20, "depth": 64}}
            self.send("response", "hello", body, re=self.hello["id"])

    def _library(self) -> Path:
        """The layout of `/opt/symphony/lib`: the SDK and msgpack, nothing else of the host."""
        library = self.folder / "lib"
        sdk = Path(symphony.sdk.__file__).parent
        shutil.copytree(sdk, library / "symphony" / "sdk", ignore=shutil.ignore_patterns("__pycache__"))
        (library / "msgpack").symlink_to(Path(msgpack.__file__).parent)
        return library

    def send(self, kind: str, method: str, body: Any, re: bytes | None = None) -> bytes:
        """Sends an envelope and gives its id."""
        self._count += 1
        id = b"hosthost" + struct.pack(">Q", self._count)
        envelope = {
            "v": 1,
            "id": id,
            "kind": kind,
            "ts": time.time(),
            "re": re,
            "from": "host",
            "to": "tests/sample",
            "method": method,
            "body": body,
        }
        payload = msgpack.packb(envelope)
        self._writer.write(struct.pack("<I", len(payload)) + payload)
        return id

    def call(self, function: str, *, project: str | None = None, **inputs: Any) -> bytes:
        """Starts a call and gives its id."""
        context = {"run": "r1", "node": "n1", "project": project, "attempt": 2}
        return self.send(
            "request", "call", {"function": function, "params": {}, "inputs": inputs, "context": context}
        )

    async def read(self) -> dict[str, Any]:
        """The next envelope of the Player."""
        header = await asyncio.wait_for(self._reader.readexactly(4), PATIENCE)
        payload = await asyncio.wait_for(self._reader.readexactly(struct.unpack("<I", header)[0]), PATIENCE)
        envelope: dict[str, Any] = msgpack.unpackb(payload, strict_map_key=True)
        return envelope

    async def answer(self, request: bytes) -> dict[str, Any]:
        """The answer to a request; it must be the next envelope."""
        envelope = await self.read()
        assert envelope["re"] == request, envelope
        return envelope

    async def ask(self, method: str, body: Any) -> Any:
        """Sends a request and gives the body of its answer."""
        return (await self.answer(self.send("request", method, body)))["body"]

    async def end(self) -> int:
        """Closes the connection and waits for the process."""
        self._writer.close()
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@pytest.fixture
async def start_player(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts Players; all of them are ended with the test."""
    hosts: list[StageHost] = []

    async def start(source: str, **options: Any) -> StageHost:
        folder = tmp_path / str(len(hosts))
        folder.mkdir()
        host = StageHost(folder)
        hosts.append(host)
        await host.start(source, **options)
        return host

    yield start
    for host in hosts:
        if host.process.returncode is None:
            host.process.kill()
        await host.process.communicate()
        host._writer.close()
        await host._writer.wait_closed()
