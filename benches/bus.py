"""The bus by its parts, Rust to Rust, beside a plain Python socket, asyncio streams, ZeroMQ and gRPC."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgpack

from benches.measure import Row, compare

ROOT = Path(__file__).parents[1]
ROUNDS = 1_000
BODY = bytes(64)


@cache
def _times() -> subprocess.Popen[str]:
    """`pit_native/ipc_bus/examples/bus_times.rs`, built as users run it."""
    command = ["cargo", "build", "--release", "--locked", "-p", "ipc_bus", "--example", "bus_times"]
    built = subprocess.run(
        [*command, "--message-format=json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in built.stdout.splitlines()]
    program = next(row["executable"] for row in rows if row.get("executable"))
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ours(measure: str) -> Callable[[], float]:
    """An arm that answers the seconds of one operation."""

    def arm() -> float:
        process = _times()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{measure}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return arm


def _receive(end: socket.socket) -> bytes:
    head = end.recv(4, socket.MSG_WAITALL)
    return end.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""


def _send(end: socket.socket, message: object) -> None:
    frame = msgpack.packb(message)
    end.sendall(struct.pack("<I", len(frame)) + frame)


def python_socket() -> float:
    """Round trips of 64 bytes and msgpack between two threads over a pair of Unix sockets."""
    here, there = socket.socketpair()

    def echo() -> None:
        while frame := _receive(there):
            _send(there, msgpack.unpackb(frame))

    thread = threading.Thread(target=echo)
    thread.start()
    began = time.perf_counter()
    for _ in range(ROUNDS):
        _send(here, BODY)
        msgpack.unpackb(_receive(here))
    seconds = time.perf_counter() - began
    here.close()
    thread.join()
    return seconds / ROUNDS


def asyncio_streams() -> float:
    """The same over asyncio's streams, both ends in one loop."""

    async def work(path: str) -> float:
        has_ended = asyncio.Event()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not reader.at_eof():
                writer.write(await reader.read(4096))
            writer.close()
            has_ended.set()

        server = await asyncio.start_unix_server(echo, path)
        reader, writer = await asyncio.open_unix_connection(path)
        frame = struct.pack("<I", 66) + msgpack.packb(BODY)
        began = time.perf_counter()
        for _ in range(ROUNDS):
            writer.write(frame)
            await reader.readexactly(len(frame))
        seconds = time.perf_counter() - began
        writer.close()
        await has_ended.wait()
        server.close()
        return seconds / ROUNDS

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(f"{folder}/socket"))


def zeromq() -> float:
    """The same with REQ and REP over ZeroMQ's Unix socket, each end in a thread."""
    import zmq

    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        reply, request = context.socket(zmq.REP), context.socket(zmq.REQ)
        reply.bind(f"ipc://{folder}/socket")
        request.connect(f"ipc://{folder}/socket")

        def echo() -> None:
            for _ in range(ROUNDS):
                reply.send(reply.recv())

        thread = threading.Thread(target=echo)
        thread.start()
        began = time.perf_counter()
        for _ in range(ROUNDS):
            request.send(BODY)
            request.recv()
        seconds = time.perf_counter() - began
        thread.join()
        reply.close()
        request.close()
        return seconds / ROUNDS


def grpc_unix() -> float:
    """The same as a unary call of gRPC over a Unix socket."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def echo(body: bytes, _: object) -> bytes:
        return body

    method = grpc.unary_unary_rpc_method_handler(echo)
    handler = grpc.method_handlers_generic_handler("bench.Echo", {"echo": method})
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=(handler,))
        server.add_insecure_port(f"unix:{folder}/socket")
        server.start()
        with grpc.insecure_channel(f"unix:{folder}/socket") as channel:
            call = channel.unary_unary("/bench.Echo/echo")
            call(BODY)
            began = time.perf_counter()
            for _ in range(ROUNDS):
                call(BODY)
            seconds = time.perf_counter() - began
        server.stop(None).wait()
        return seconds / ROUNDS


SESSION = "64 bytes, {}; a session with its limits and checks, both ends on one runtime of two threads"
TRANSPORTS = {
    "socket": "a Unix socket",
    "named": "a named pipe, which is a Unix socket here",
    "stdio": "two pipes",
    "memory": "two rings of shared memory and a bell for who sleeps",
}
PEERS = {
    "socket": ("a Python socket and msgpack", python_socket),
    "named": ("asyncio streams", asyncio_streams),
    "stdio": ("ZeroMQ REQ/REP over a Unix socket", zeromq),
    "memory": ("gRPC over a Unix socket", grpc_unix),
}
PARTS = {
    "bus.serialise": "an envelope around 64 bytes is written and read back with every check; promised: under 10 µs",
    "bus.route_exact": "published to one of 1,001 names, the others elsewhere; promised: under 100 µs, 100,000/s",
    "bus.route_pattern": "published to one of 1,001 patterns with two stars each; promised: as by name",
    "bus.publish_50": "published to all of 50 among 1,050 patterns; promised: under 1 ms",
    "bus.hand_over": "an event is made and given to the socket, from the host's thread; promised: 10 to 50 µs",
    "bus.ring": "64 bytes through the bare ring to a thread that looks all the time; promised: under 10 µs",
}


def _part(name: str) -> Row:
    arm = ours(name.removeprefix("bus."))
    return compare(name, arm, "", None, unit="µs", scale=1e6, how=PARTS[name])


def _round_trip(name: str) -> Row:
    transport = name.removeprefix("bus.round_trip_")
    peer, theirs = PEERS[transport]
    how = SESSION.format(f"there and back over {TRANSPORTS[transport]}")
    return compare(name, ours(f"round_trip {transport}"), peer, theirs, unit="µs", scale=1e6, how=how)


def _one_way(name: str) -> Row:
    transport = name.removeprefix("bus.one_way_")
    how = SESSION.format(f"one of 20,000 events over {TRANSPORTS[transport]}")
    return compare(name, ours(f"one_way {transport}"), "", None, unit="µs", scale=1e6, how=how)


ROWS: dict[str, Callable[[str], Row]] = {
    **dict.fromkeys(PARTS, _part),
    **{f"bus.round_trip_{transport}": _round_trip for transport in TRANSPORTS},
    **{f"bus.one_way_{transport}": _one_way for transport in TRANSPORTS},
}
