"""The SDK writes and reads the frames of `docs/stage-protocol.md` byte for byte."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk import wire

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
ACCEPTED = VECTORS["accepted"]
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


def test_every_vector_has_a_name_of_its_own() -> None:
    names = [vector["name"] for vector in ACCEPTED + VECTORS["refused"]]
    assert len(names) == len(set(names))


def test_the_page_shows_a_frame_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stage-protocol.md").read_text("utf-8")
    ping = next(vector["frame"] for vector in ACCEPTED if vector["name"] == "ping")
    assert ping in "".join(page.split())
