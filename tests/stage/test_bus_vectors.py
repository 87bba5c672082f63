"""The SDK writes and reads the frames of `docs/stage-protocol.md` byte for byte."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest

from symphony.sdk import wire
from symphony.sdk.segments import Receiver, Terms

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
ACCEPTED = VECTORS["accepted"]
BESIDE = VECTORS["beside"]
NAMES = [vector["name"] for vector in ACCEPTED]


def body_of(value: Any) -> Any:
    if isinstance(value, list):
        return [body_of(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$bin"}:
        return bytes.fromhex(value["$bin"])
    if value.keys() == {"$float"}:
        return struct.unpack(">d", bytes.fromhex(value["$float"]))[0]
    return {key: body_of(item) for key, item in value.items()}


def envelope_of(vector: dict[str, Any]) -> dict[str, Any]:
    envelope = dict(vector["envelope"])
    for name in ("id", "re"):
        envelope[name] = bytes.fromhex(envelope[name]) if envelope[name] is not None else None
    return envelope | {"body": body_of(envelope["body"])}


class Pieces:
    """A socket whose bytes arrive in pieces of one size, then end."""

    def __init__(self, content: bytes, size: int) -> None:
        self._pieces = [content[start : start + size] for start in range(0, len(content), size)]

    def recv(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@pytest.mark.parametrize("vector", ACCEPTED, ids=NAMES)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_frames_are_read(vector: dict[str, Any], size: int) -> None:
    frame = bytes.fromhex(vector["frame"])
    decoder = wire.Decoder(Pieces(frame + frame, size))  # type: ignore[arg-type]
    for _ in range(2):
        # Text, because NaN is not equal to itself.
        assert repr(decoder.next_message()) == repr(envelope_of(vector))
    assert decoder.next_message() is None


@pytest.mark.parametrize("vector", ACCEPTED, ids=NAMES)
def test_frames_are_written(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = envelope_of(vector)
    monkeypatch.setattr(time, "time", lambda: envelope["ts"])
    encoder = wire.Encoder(envelope["from"], to=envelope["to"])
    fields = (envelope[name] for name in ("id", "kind", "re", "method", "body"))
    assert encoder.frame(*fields).hex() == vector["frame"]


@pytest.mark.parametrize("vector", BESIDE, ids=[vector["name"] for vector in BESIDE])
def test_frames_are_read_with_what_lies_beside_them(vector: dict[str, Any]) -> None:
    terms = Terms({"size": 65_536, "least": 1, "file": 2, "payload": 100})
    here, there = socket.socketpair()
    decoder = wire.Decoder(there)
    decoder.beside = Receiver(terms)
    references = [kind for kind, _ in references_of(vector)]
    descriptors, files = [], iter(vector["files"])
    sized = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    for kind in references:
        if kind > 2:
            descriptors.append(memory_file(0, bytes.fromhex(next(files)), sized | fcntl.F_SEAL_WRITE))
        else:
            offset, content = vector["segment"]
            descriptors.append(memory_file(offset, bytes.fromhex(content), sized, size=65_536))
    with here, there:
        socket.send_fds(here, [bytes.fromhex(vector["frame"])], descriptors)
        assert decoder.next_message() == envelope_of(vector)
        decoder.beside.close()
    for descriptor in descriptors:
        os.close(descriptor)


def references_of(vector: dict[str, Any]) -> list[tuple[int, bytes]]:
    """The references of a frame in their order."""
    found: list[tuple[int, bytes]] = []
    payload = bytes.fromhex(vector["frame"])[4:]
    msgpack.unpackb(payload, ext_hook=lambda kind, content: found.append((kind, content)))
    return found


def memory_file(offset: int, content: bytes, seals: int, *, size: int = 0) -> int:
    file = os.memfd_create("vector", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    os.pwrite(file, content, offset)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


def test_every_vector_has_a_name_of_its_own() -> None:
    names = [vector["name"] for vector in ACCEPTED + BESIDE + VECTORS["refused"]]
    assert len(names) == len(set(names))


def test_the_page_shows_a_frame_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stage-protocol.md").read_text("utf-8")
    ping = next(vector["frame"] for vector in ACCEPTED if vector["name"] == "ping")
    assert ping in "".join(page.split())
