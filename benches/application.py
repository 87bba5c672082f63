"""The application: from exec to the first tree on a raw WebSocket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches.measure import Row, compare

PEER = (
    "import uvicorn, starlette.applications, numpy, onnxruntime, tokenizers\n"
    "class S(uvicorn.Server):\n"
    "    async def startup(self, sockets=None):\n"
    "        await super().startup(sockets=sockets); print('up', flush=True)\n"
    "app = starlette.applications.Starlette()\n"
    "S(uvicorn.Config(app, port=0, log_level='error')).run()\n"
)


def starlette() -> float:
    """Seconds until a server with the same libraries imported listens."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    took = time.perf_counter() - began
    process.terminate()
    process.communicate()
    return took


def start(name: str) -> Row:
    """`symphony serve` on an empty home; the peer starts a Starlette server with the same libraries imported."""
    from websockets.sync.client import connect

    symphony = str(Path(sys.prefix) / "bin" / "symphony")

    def ours() -> float:
        with tempfile.TemporaryDirectory() as home:
            return until_first_tree(symphony, home, connect)

    how = "exec to the first tree on a raw WebSocket; empty home, bundled extensions only"
    return compare(name, ours, "Starlette + onnxruntime, bare", starlette, unit="s", scale=1.0, how=how)


def until_first_tree(symphony: str, home: str, connect: Callable[..., Any]) -> float:
    """Seconds from exec to the first tree of a page; the host is ended."""
    began = time.perf_counter()
    env = {**os.environ, "SYMPHONY_HOME": home}
    process = subprocess.Popen([symphony, "serve"], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address, _, token = process.stdout.readline().strip().partition("/#token=")
    with connect(address.replace("http", "ws", 1) + "/ws", max_size=None) as page:
        message = {"jsonrpc": "2.0", "id": 1, "method": "authenticate", "params": {"token": token}}
        page.send(json.dumps(message))
        while "ui.patch" not in page.recv():
            pass
        took = time.perf_counter() - began
    process.terminate()
    process.communicate()
    return took


ROWS: dict[str, Callable[[str], Row]] = {"application.start to first tree": start}
