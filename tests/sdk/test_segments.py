"""Payloads beside the frames: what a Player sends and takes, and what it refuses, against a host of this test."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest

from symphony.sdk import segments, wire
from symphony.sdk.segments import SEGMENT_START, Fault, Parcel, Receiver, Sender, Terms

TERMS = Terms({"size": 1 << 16, "least": 16, "file": 1 << 15, "payload": 1 << 20})
SIZED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SEALED = SIZED | fcntl.F_SEAL_WRITE
FILE, PART = 3, 1


def place(offset: int, length: int) -> bytes:
    return struct.pack("<QQ", offset, length)


def memory_file(content: bytes, seals: int, *, name: str = "test") -> int:
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.pwrite(file, content, 0)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(TERMS)
    yield receiver
    receiver.close()


def arrive(receiver: Receiver, *descriptors: int, end: int = 1) -> None:
    rights = struct.pack(f"{len(descriptors)}i", *descriptors)
    receiver.arrive(end, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0)


def test_what_is_put_is_taken_in_every_size(receiver: Receiver) -> None:
    sender = Sender(TERMS)
    for number, length in enumerate([0, 15, 16, 4096, 30_000, 32_768, 50_000] * 40):
        body = {"a": [b"x" * length, {"b": "ü" * (length // 2)}], "n": number}
        parcel = Parcel()
        frame = msgpack.packb(sender.lift(body, parcel))
        assert len(frame) < 200
        arrive(receiver, *map(os.dup, parcel.descriptors), end=number)
        parcel.close()
        assert msgpack.unpackb(frame, ext_hook=receiver.take) == body
        receiver.end_frame(number)


def test_a_full_segment_leaves_payloads_in_their_frames_until_there_is_room(receiver: Receiver) -> None:
    sender, parcel = Sender(TERMS), Parcel()
    lifted = sender.lift([b"x" * 20_000] * 4, parcel)
    assert [type(item) for item in lifted] == [msgpack.ExtType] * 3 + [bytes]
    arrive(receiver, *map(os.dup, parcel.descriptors))
    parcel.close()
    receiver.take(*lifted[0])
    again = sender.lift([b"y" * 20_000], Parcel())[0]
    assert struct.unpack("<QQ", again.data)[0] == SEGMENT_START


def test_a_frame_that_is_not_sent_takes_no_room() -> None:
    sender = Sender(TERMS)
    for _ in range(600):
        parcel = Parcel()
        assert isinstance(sender.lift([b"x" * 30_000], parcel)[0], msgpack.ExtType)
        sender.take_back(parcel)


def test_a_receiver_that_lies_about_what_it_took_is_not_believed() -> None:
    sender, parcel = Sender(TERMS), Parcel()
    sender.lift([b"x" * 20_000] * 3, parcel)
    os.pwrite(parcel.descriptors[0], b"\xc8", 0)
    assert sender.lift([b"y" * 20_000], Parcel()) == [b"y" * 20_000]


def unsized(seals: int) -> Callable[[], int]:
    return lambda: memory_file(b"x" * 100, seals)


def hole() -> int:
    file = memory_file(b"", 0)
    os.ftruncate(file, 100_000)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALED)
    return file


def plain() -> int:
    return os.open(__file__, os.O_RDONLY)


def pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


@pytest.mark.parametrize(
    ("make", "reference", "reason"),
    [
        (unsized(SIZED), (FILE, place(0, 100)), "not sealed"),
        (unsized(SEALED & ~fcntl.F_SEAL_SHRINK), (FILE, place(0, 100)), "not sealed"),
        (unsized(SEALED & ~fcntl.F_SEAL_GROW), (FILE, place(0, 100)), "not sealed"),
        (unsized(SEALED), (FILE, place(0, 99)), "100 bytes instead of 99"),
        (unsized(SEALED), (FILE, place(0, 101)), "100 bytes instead of 101"),
        (unsized(SEALED), (FILE, place(1, 99)), "malformed"),
        (unsized(SEALED), (FILE, b"short"), "malformed"),
        (unsized(SEALED), (5, place(0, 100)), "malformed"),
        (unsized(SEALED), (FILE, place(0, 2 << 20)), "more than"),
        (hole, (FILE, place(0, 100_000)), "holes"),
        (plain, (FILE, place(0, 100)), "no file in memory"),
        (pipe, (FILE, place(0, 100)), "no file in memory"),
        (pipe, (PART, place(SEGMENT_START, 100)), "no file in memory"),
        (unsized(SIZED), (PART, place(SEGMENT_START, 100)), "100 bytes instead of 65536"),
        (lambda: memory_file(b"x" * (1 << 16), 0), (PART, place(SEGMENT_START, 1)), "not sealed"),
        (lambda: memory_file(b"x" * (1 << 16), SEALED), (PART, place(SEGMENT_START, 1)), "not sealed"),
        (lambda: memory_file(b"x" * (1 << 16), SIZED), (PART, place(0, 100)), "outside"),
        (lambda: memory_file(b"x" * (1 << 16), SIZED), (PART, place((1 << 16) - 9, 10)), "outside"),
        (lambda: memory_file(b"x" * (1 << 16), SIZED), (PART, place((1 << 64) - 1, 10)), "outside"),
        (lambda: memory_file(b"\xff" * (1 << 16), SIZED), (PART + 1, place(SEGMENT_START, 10)), "UTF-8"),
    ],
)
def test_what_is_not_as_agreed_is_refused(
    receiver: Receiver, make: Callable[[], int], reference: tuple[int, bytes], reason: str
) -> None:
    arrive(receiver, make())
    with pytest.raises(Fault, match=reason):
        receiver.take(*reference)


def test_descriptors_and_references_belong_together(receiver: Receiver) -> None:
    with pytest.raises(Fault, match="no descriptor"):
        receiver.take(FILE, place(0, 100))
    arrive(receiver, memory_file(b"x" * 100, SEALED), end=10)
    receiver.end_frame(9)
    with pytest.raises(Fault, match="no reference"):
        receiver.end_frame(10)


def open_files(name: str) -> int:
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            targets.append(str(link.readlink()))
    return sum(name in target for target in targets)


@pytest.fixture
def connected(receiver: Receiver) -> Iterator[tuple[socket.socket, wire.Decoder]]:
    """A host's end, and a decoder that takes payloads beside the frames."""
    here, there = socket.socketpair()
    decoder = wire.Decoder(there)
    decoder.beside = receiver
    with here, there:
        yield here, decoder


def frame_of(body: Any) -> bytes:
    return wire.Encoder("host").frame(b"0" * 16, "event", None, "log", body)


Connected = tuple[socket.socket, wire.Decoder]


def test_a_flood_of_descriptors_ends_the_session_and_all_are_closed(
    connected: Connected, receiver: Receiver
) -> None:
    here, decoder = connected
    file = memory_file(b"x", SEALED, name="flood-in-python")
    for byte in frame_of({"text": "x" * 40}):
        socket.send_fds(here, [bytes((byte,))], [file, file])
    os.close(file)
    with pytest.raises(wire.ProtocolError, match="more descriptors"):
        decoder.next_message()
    assert open_files("flood-in-python") > 0
    receiver.close()
    here.close()
    while decoder._socket.recv(1 << 16):
        pass
    assert open_files("flood-in-python") == 0


def test_no_program_that_a_player_starts_inherits_a_descriptor(
    connected: Connected, receiver: Receiver
) -> None:
    here, decoder = connected
    file = memory_file(b"x" * 100, SEALED)
    socket.send_fds(here, [frame_of({"a": msgpack.ExtType(FILE, place(0, 100))})[:-1]], [file])
    assert decoder._receive()
    assert [os.get_inheritable(descriptor) for _, descriptor in receiver._arrived] == [False]
    os.close(file)


def test_a_frame_travels_with_its_descriptors_whole_or_in_pieces(connected: Connected) -> None:
    here, decoder = connected
    sender = Sender(TERMS)
    for _ in range(3):
        parcel = Parcel()
        body = {"file": b"f" * 40_000, "part": "p" * 1000}
        segments.send(here, frame_of(sender.lift(body, parcel)), parcel)
        parcel.close()
        for byte in frame_of({"small": 1}):
            here.sendall(bytes((byte,)))
        bodies = [(decoder.next_message() or {}).get("body") for _ in range(2)]
        assert bodies == [body, {"small": 1}]
