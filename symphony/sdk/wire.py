"""Frames and envelopes of the stage protocol, as bytes and as dicts."""

from __future__ import annotations

import os
import struct
import time

import msgpack

from symphony.sdk.failures import PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

PROTOCOL_VERSION = 1
_LENGTH = struct.Struct("<I")
_COUNT = struct.Struct(">Q")
_READ_SIZE = 64 << 10


class ProtocolError(Exception):
    """The host sent something that is no frame of the protocol."""


class Encoder:
    """Makes frames. Safe to use from several threads."""

    def __init__(self, name: str, *, to: str = "host", limit: int = 16 << 20) -> None:
        self.name = name
        self.to = to
        self.limit = limit
        self._half = os.urandom(8)
        self._count = 0
        # A packer owns a large buffer, so they are reused; list.pop and append are atomic.
        self._packers: list[msgpack.Packer] = []

    def next_id(self) -> bytes:
        """16 bytes that no other message of this session has. Call it under the sender's lock."""
        self._count += 1
        return self._half + _COUNT.pack(self._count)

    def frame(self, id: bytes, kind: str, re: bytes | None, method: str, body: Any) -> bytes:
        """One whole frame.

        Raises `PlayerFailure` when the body cannot travel or is over the host's frame limit.
        """
        envelope = {
            "v": PROTOCOL_VERSION,
            "id": id,
            "kind": kind,
            "ts": time.time(),
            "re": re,
            "from": self.name,
            "to": self.to,
            "method": method,
            "body": body,
        }
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = msgpack.Packer(use_bin_type=True, buf_size=_READ_SIZE)
        try:
            payload: bytes = packer.pack(envelope)
        except (ValueError, TypeError, OverflowError) as error:
            # The packer is dropped: it may hold half of the message.
            raise PlayerFailure(f"the {kind} {method} cannot travel: {error}") from error
        self._packers.append(packer)
        if len(payload) > self.limit:
            raise PlayerFailure(
                f"the {kind} {method} is {len(payload)} bytes; a message may have {self.limit}",
                remedy="return less at once, or store parts with ctx.store",
            )
        return _LENGTH.pack(len(payload)) + payload


class Decoder:
    """Reads frames from a socket. One thread at a time."""

    def __init__(self, socket: _socket.socket) -> None:
        self._socket = socket
        self._buffer = bytearray()

    def next_message(self) -> dict[str, Any] | None:
        """Waits for the next envelope; None when the host closed the connection."""
        buffer = self._buffer
        while True:
            if len(buffer) >= 4:
                end = 4 + _LENGTH.unpack_from(buffer)[0]
                if len(buffer) >= end:
                    message = _unpack(memoryview(buffer)[4:end])
                    del buffer[:end]
                    return message
            arrived = self._receive()
            if not arrived:
                return None
            # The usual case, a frame that arrives alone and whole, is read where it lies.
            if not buffer and len(arrived) >= 4 and len(arrived) == 4 + _LENGTH.unpack_from(arrived)[0]:
                return _unpack(memoryview(arrived)[4:])
            buffer += arrived

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_READ_SIZE)
        except ConnectionError:
            return b""


def _unpack(payload: memoryview) -> dict[str, Any]:
    with payload:
        try:
            message = msgpack.unpackb(payload, raw=False, strict_map_key=True)
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            raise ProtocolError(f"a frame is not MessagePack: {error}") from error
    if not isinstance(message, dict) or message.get("v") != PROTOCOL_VERSION:
        raise ProtocolError(f"a message is no envelope of version {PROTOCOL_VERSION}")
    return message
