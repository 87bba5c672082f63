"""The Grand Stage beside a plain socket, bubblewrap and a thread pool."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack

from benches.measure import Row, compare, seconds
from pit_native import (
    ArbitrationEngine,
    ArtifactStore,
    PlayerTemplate,
    Runtime,
    StaleManager,
    sandbox_spawn,
)
from symphony.app.paths import launcher, template_library
from symphony.stage.sandbox import base_python, player_spec, spec_for, template_sources, template_spec

ROOT = Path(__file__).parents[1]
PLAYER = """
import time

from symphony.sdk import player


@player.function
def echo(ctx, text, turn=0):
    return {"text": text}


@player.function
def measure(ctx, content):
    return {"size": len(content)}


@player.function
def nap(ctx, text):
    time.sleep(0.3)
    return {"text": text}


player.serve()
"""
MANIFEST = """
[extension]
name = "bench/echo"
version = "1.0.0"
type = "operator"

[[functions]]
name = "echo"
description = "Gives back what it takes"
examples = ["echo"]
inputs = { text = "text" }
outputs = { text = "text" }
params = { turn = { type = "integer", default = 0, description = "any" } }

[[functions]]
name = "measure"
description = "The size of what it takes"
examples = ["measure"]
inputs = { content = "any" }
outputs = { size = "number" }

[[functions]]
name = "nap"
description = "Gives back what it takes after a while"
examples = ["nap"]
inputs = { text = "text" }
outputs = { text = "text" }
"""
PEER = """
import socket, struct, msgpack
s = socket.socket(socket.AF_UNIX); s.connect({path!r})
f = s.makefile("rb")
while True:
    head = f.read(4)
    if len(head) < 4: break
    body = msgpack.unpackb(f.read(struct.unpack("<I", head)[0]))
    if "content" in body: body = {{"size": len(body["content"])}}
    out = msgpack.packb(body); s.sendall(struct.pack("<I", len(out)) + out)
"""

SMALL = {"text": "x" * 64}

BARE_PLAYER = """
import os, socket, struct, time, msgpack
s = socket.socket(socket.AF_UNIX); s.connect(os.environ["SYMPHONY_SOCKET"])
f = s.makefile("rb")
sent = 0
def send(kind, re, method, body):
    global sent
    sent += 1
    out = msgpack.packb({"v": 1, "id": sent.to_bytes(16, "big"), "kind": kind, "ts": time.time(), "re": re,
                         "from": "bench/echo", "to": "host", "method": method, "body": body})
    s.sendall(struct.pack("<I", len(out)) + out)
send("request", None, "hello", {"versions": [1], "extension": "bench/echo", "version": "1.0.0"})
while True:
    head = f.read(4)
    if len(head) < 4: break
    asked = msgpack.unpackb(f.read(struct.unpack("<I", head)[0]))
    if asked["kind"] == "request":
        text = asked["body"].get("inputs", {}).get("text", "")
        send("response", asked["id"], asked["method"], {"outputs": {"text": text}})
"""


def echo_launch(place: Path) -> dict[str, Any]:
    """How the run loop starts a Player that echoes."""
    folder = place / "echo"
    folder.mkdir(exist_ok=True)
    (folder / "player.py").write_text(PLAYER)
    (folder / "Symphony.toml").write_text(MANIFEST)
    return {
        "extension": "bench/echo",
        "version": "1.0.0",
        "spec": player_spec([], extension_dir=folder),
        "grants": {"capabilities": []},
        "configuration": {},
        "project": None,
        "start_timeout": 20.0,
        "memory": 256 << 20,
        "idle": 600.0,
    }


@contextmanager
def stage() -> Iterator[tuple[Runtime, str]]:
    """A runtime with one registered Player that echoes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        store = ArtifactStore(str(place / "store"))
        arbiter = ArbitrationEngine({"cpu": 64.0, "memory": float(64 << 30)})
        runtime = Runtime(store, StaleManager({}), arbiter, launcher=str(launcher()), sockets=str(place))
        runtime.register_player("echo", echo_launch(place))
        try:
            yield runtime, folder
        finally:
            runtime.stop(5.0)
            store.close()


def await_event(runtime: Runtime, wanted: Callable[[dict[str, Any]], bool], key: str = "") -> dict[str, Any]:
    """The first event that is wanted; raises what keeps the Player of `key` from starting."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        select.select([runtime.fileno()], [], [], 1)
        for event in runtime.drain(1024):
            if wanted(event):
                return event
            if event["event"] == "player" and event["key"] == key and event.get("reason"):
                raise RuntimeError(event["reason"])
    raise RuntimeError("nothing came within a minute")


def call_body(function: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the host sends with a call."""
    context = {"run": "", "node": "", "project": None, "attempt": 1}
    return {"function": function, "params": {}, "inputs": inputs, "context": context}


def call(runtime: Runtime, token: int, function: str = "echo", inputs: dict[str, Any] = SMALL) -> None:
    """One call, to its answer."""
    body = call_body(function, inputs)
    runtime.call_player(token, "echo", body, 30.0)
    event = await_event(runtime, lambda e: e["event"] == "call_done" and e["token"] == token, "echo")
    assert not event.get("error"), event


@contextmanager
def _python_peer(folder: str, body: dict[str, Any] = SMALL) -> Iterator[Callable[[int], float]]:
    """What so many round trips take to a Python process that unpacks and packs what it gets."""
    path = f"{folder}/peer.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = subprocess.Popen([sys.executable, "-c", PEER.format(path=path)])
        connection, _ = listener.accept()
    with connection, connection.makefile("rb") as file:

        def trips(count: int) -> float:
            def work() -> None:
                for _ in range(count):
                    frame = msgpack.packb(body)
                    connection.sendall(struct.pack("<I", len(frame)) + frame)
                    msgpack.unpackb(file.read(struct.unpack("<I", file.read(4))[0]))

            return seconds(work)

        yield trips
    process.wait()


@contextmanager
def _rust_host(folder: str, source: str) -> Iterator[Callable[[int], float]]:
    """What so many calls take from a host in Rust to the Player of this source, without a sandbox."""
    echo_launch(Path(folder))
    player = Path(folder) / "echo" / "player.py"
    player.write_text(source)
    path = f"{folder}/host.sock"
    build = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "ipc_bus", "--example", "round_trip"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = [str(target / "release" / "examples" / "round_trip"), path]
    environment = {
        "PYTHONPATH": str(ROOT),
        "SYMPHONY_SOCKET": path,
        "SYMPHONY_ENTRY": str(player),
        "SYMPHONY_EXTENSION": "bench/echo",
        "SYMPHONY_EXTENSION_VERSION": "1.0.0",
    }
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        said, asked = host.stdout, host.stdin
        assert said.readline() == "listening\n"
        process = subprocess.Popen([sys.executable, str(player)], env={**os.environ, **environment})
        assert said.readline() == "ready\n"

        def calls(count: int) -> float:
            asked.write(f"{count}\n")
            asked.flush()
            return float(said.readline())

        yield calls
        asked.close()
        host.wait()
        process.wait()


def round_trip_from_rust(name: str) -> Row:
    """From Rust to a Player and back, 64 bytes: the bus without the host's Python, with the SDK or without."""
    count = 300
    is_bare = name.endswith("no SDK")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        _rust_host(folder, BARE_PLAYER if is_bare else PLAYER) as calls,
        _python_peer(folder) as trips,
    ):
        how = (
            "one call at a time from a task of the bus, both ends free to move between cores; peer credentials,"
            f" validation and limits on, no sandbox; {'a bare loop over msgpack' if is_bare else 'the SDK'} answers"
        )
        return compare(
            name,
            lambda: calls(count) / count,
            "Python socket + msgpack",
            lambda: trips(count) / count,
            unit="µs",
            scale=1e6,
            how=how,
        )


def round_trip(name: str) -> Row:
    """From Python through the run loop to a sandboxed Player and back, 64 bytes."""
    count = 300
    with stage() as (runtime, folder), _python_peer(folder) as trips:
        call(runtime, 1)
        token = 1

        def ours() -> float:
            def work() -> None:
                nonlocal token
                for _ in range(count):
                    token += 1
                    call(runtime, token)

            return seconds(work) / count

        how = "one call at a time, both ends free to move between cores; authentication, validation and limits on"
        theirs = "Python socket + msgpack"
        return compare(name, ours, theirs, lambda: trips(count) / count, unit="µs", scale=1e6, how=how)


async def _streams(path: str, count: int) -> float:
    """Seconds of so many round trips over asyncio's own streams."""
    frame = msgpack.packb(SMALL)
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()
    server = await asyncio.start_unix_server(
        lambda reader, writer: connected.set_result((reader, writer)), path
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PEER.format(path=path))
    reader, writer = await connected
    began = 0.0
    for number in range(count + 1):
        # The first waits for the process to start.
        began = time.perf_counter() if number == 1 else began
        writer.write(struct.pack("<I", len(frame)) + frame)
        length = struct.unpack("<I", await reader.readexactly(4))[0]
        msgpack.unpackb(await reader.readexactly(length))
    took = time.perf_counter() - began
    writer.close()
    server.close()
    await process.wait()
    return took


async def _calls_from_asyncio(runtime: Runtime, first: int, count: int) -> float:
    """Seconds of so many calls from a task of asyncio, which is woken by the descriptor of the events."""
    loop = asyncio.get_running_loop()
    waiting: dict[int, asyncio.Future[None]] = {}

    def drain() -> None:
        for event in runtime.drain(1024):
            if event["event"] == "call_done":
                waiting.pop(event["token"]).set_result(None)

    loop.add_reader(runtime.fileno(), drain)
    body = call_body("echo", SMALL)
    began = time.perf_counter()
    for token in range(first, first + count):
        waiting[token] = answered = loop.create_future()
        runtime.call_player(token, "echo", body, 30.0)
        await answered
    took = time.perf_counter() - began
    loop.remove_reader(runtime.fileno())
    return took


def round_trip_from_asyncio(name: str) -> Row:
    """From a task of asyncio through the run loop to a sandboxed Player and back, 64 bytes."""
    count, first = 300, 1 << 20
    with stage() as (runtime, folder):
        call(runtime, 1)

        def ours() -> float:
            nonlocal first
            first += count
            return asyncio.run(_calls_from_asyncio(runtime, first, count)) / count

        def theirs() -> float:
            return asyncio.run(_streams(f"{folder}/{uuid.uuid4()}", count)) / count

        how = "one call at a time from a task; authentication, validation and limits on; the peer has none of them"
        return compare(name, ours, "asyncio streams + msgpack", theirs, unit="µs", scale=1e6, how=how)


def pipelined(name: str) -> Row:
    """Calls of one sandboxed Player from Python, as many at once as it takes."""
    count, first = 5000, 1 << 20
    with stage() as (runtime, folder), _python_peer(folder) as trips:
        call(runtime, 1)
        body = call_body("echo", SMALL)

        def ours() -> float:
            nonlocal first
            first += count

            def work() -> None:
                for token in range(first, first + count):
                    runtime.call_player(token, "echo", body, 30.0)
                left = count
                while left:
                    select.select([runtime.fileno()], [], [], 30)
                    left -= sum(event["event"] == "call_done" for event in runtime.drain(1024))

            return seconds(work) / count

        how = (
            f"{count} calls on their way at once, each answered; the peer makes one round trip after another"
        )
        theirs = "Python socket + msgpack"
        return compare(name, ours, theirs, lambda: trips(500) / 500, unit="µs", scale=1e6, how=how)


def hand_over(name: str) -> Row:
    """A large payload from Python to a sandboxed Player, which says how large it is."""
    size = int(name.split()[1]) << 20
    inputs = {"content": os.urandom(size)}
    with stage() as (runtime, folder), _python_peer(folder, inputs) as trips:
        call(runtime, 1)
        token = 1

        def ours() -> float:
            nonlocal token
            token += 1

            def work() -> None:
                call(runtime, token, "measure", inputs)

            return seconds(work)

        where = "the shared segment" if size < 4 << 20 else "a sealed file"
        how = f"through {where}, to the answer; the peer packs, copies through its socket and unpacks"
        theirs = "Python socket + msgpack"
        return compare(name, ours, theirs, lambda: trips(1), unit="ms", scale=1e3, how=how)


def make_ready(runtime: Runtime, key: str, launch: dict[str, Any]) -> None:
    """Starts a Player and waits until it is ready."""
    runtime.register_player(key, launch)
    runtime.prewarm([key])
    await_event(runtime, lambda e: e["event"] == "player" and e["key"] == key and e["state"] == "ready", key)


def _start(runtime: Runtime, launch: dict[str, Any]) -> float:
    """Seconds from nothing to a Player that is ready. It is gone afterwards."""
    key = f"echo-{uuid.uuid4()}"
    began = time.perf_counter()
    make_ready(runtime, key, launch)
    took = time.perf_counter() - began
    runtime.unregister_player(key)
    return took


def cold_start(name: str) -> Row:
    """A sandboxed Player from nothing to ready; the peer only imports msgpack in bubblewrap."""
    with stage() as (runtime, folder):
        launch = echo_launch(Path(folder))
        how = (
            "launch, all layers, handshake, activate, against bwrap + python -S + import msgpack, which has the"
            " namespaces and no seccomp, Landlock, limits or cgroup"
        )
        return compare(
            name,
            lambda: _start(runtime, launch),
            "bwrap + Python",
            _bwrap_python,
            unit="ms",
            scale=1e3,
            how=how,
        )


@contextmanager
def _template() -> Iterator[PlayerTemplate]:
    """A warm template."""
    sources = template_sources(launcher(), template_library())
    template = PlayerTemplate(launcher(), template_spec(template_library()), sources)
    template.warm()
    while template.status()["state"] != "warm":
        if template.status()["state"] == "failed":
            raise RuntimeError(template.status()["reason"])
        select.select([template.fileno()], [], [], 0.1)
    try:
        yield template
    finally:
        template.close()


def template_start(name: str) -> Row:
    """A sandboxed Player from a warm template to ready; the peer as for the cold start."""
    with stage() as (runtime, folder), _template() as template:
        launch = {**echo_launch(Path(folder)), "template": template}
        how = (
            "one clone of the template, the layers of a cold start by the same code, the extension's import,"
            " handshake, activate; the peer has the namespaces and no seccomp, Landlock, limits or cgroup"
        )
        row = compare(
            name,
            lambda: _start(runtime, launch),
            "bwrap + Python",
            _bwrap_python,
            unit="ms",
            scale=1e3,
            how=how,
            repeats=31,
        )
        status = template.status()
        if status["launched"]:
            raise RuntimeError(f"{status['launched']} Players came from the launcher")
        return row


PLAYERS = 8


def idle_memory(name: str) -> Row:
    """What one more idle Player costs: proportional sizes of all its processes, and what it adds to the template's."""
    with stage() as (runtime, folder), _template() as template:
        launch = echo_launch(Path(folder))
        template_pid = template.status()["pid"]

        def cost(launch: dict[str, Any]) -> float:
            keys = [f"echo-{uuid.uuid4()}" for _ in range(PLAYERS)]
            sizes = [_proportional_size([template_pid])]
            for key in keys:
                make_ready(runtime, key, launch)
            states = runtime.player_states()
            players = [states[key]["pid"] for key in keys]
            sizes.append(_proportional_size([template_pid, *players, *map(_parent, players)]))
            for key in keys:
                runtime.unregister_player(key)
            return (sizes[1] - sizes[0]) / PLAYERS

        how = f"PSS added by each of {PLAYERS} idle Players, pid 1 of each included, against the same started cold"
        copied = {**launch, "template": template}
        return compare(
            name,
            lambda: cost(copied),
            "started by the launcher",
            lambda: cost(launch),
            unit="MB",
            scale=1e-6,
            how=how,
            repeats=5,
        )


def _proportional_size(pids: list[int]) -> int:
    def one(pid: int) -> int:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10

    return sum(map(one, pids))


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("PPid:"))


def _bwrap(*command: str) -> list[str]:
    binds = [
        a
        for d in ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix)
        if Path(d).exists()
        for a in ("--ro-bind", d, d)
    ]
    packages = str(Path(msgpack.__file__).parents[1])
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        *binds, "--ro-bind", packages, packages, *command,
    ]  # fmt: skip


def _bwrap_python() -> float:
    packages = str(Path(msgpack.__file__).parents[1])
    code = f"import sys; sys.path.append({packages!r}); import msgpack"
    command = _bwrap(str(base_python()), "-I", "-S", "-c", code)
    return seconds(lambda: subprocess.run(command, check=True))


def launch_true(name: str) -> Row:
    """The launcher alone with `true`."""
    spec = spec_for([], argv=["true"])

    def ours() -> float:
        return seconds(lambda: sandbox_spawn(str(launcher()), spec).wait())

    def theirs() -> float:
        return seconds(lambda: subprocess.run(_bwrap("true"), check=True))

    if shutil.which("bwrap") is None:
        raise RuntimeError("bubblewrap is not installed: apt-get install bubblewrap")
    how = "spawn to exit; ours adds seccomp, Landlock, limits and a cgroup"
    return compare(name, ours, "bwrap", theirs, unit="ms", scale=1e3, how=how, repeats=51)


ROWS: dict[str, Callable[[str], Row]] = {
    "stage.round trip 64 B": round_trip,
    "stage.round trip 64 B from Rust": round_trip_from_rust,
    "stage.round trip 64 B from Rust, no SDK": round_trip_from_rust,
    "stage.round trip 64 B from asyncio": round_trip_from_asyncio,
    "stage.pipelined 64 B": pipelined,
    "stage.hand-over 1 MiB": hand_over,
    "stage.hand-over 16 MiB": hand_over,
    "stage.hand-over 64 MiB": hand_over,
    "stage.player cold start": cold_start,
    "stage.player from the template": template_start,
    "stage.idle player": idle_memory,
    "sandbox.launch true": launch_true,
}
