"""Frames and envelopes of the stage protocol, as bytes and as dicts."""

from __future__ import annotations

import _socket
import itertools
import os
import struct
import time

import msgpack

from symphony.sdk.failures import PlayerFailure
from symphony.sdk.segments import ANCILLARY, Fault, Receiver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROTOCOL_VERSION = 1
_LENGTH = struct.Struct("<I")
_COUNT = struct.Struct(">Q")
_READ_SIZE = 64 << 10
# Descriptors that arrive are not for programs that the Player starts.
_CLOSE_ON_EXEC = _socket.MSG_CMSG_CLOEXEC


class ProtocolError(Exception):
    """The host sent something that is no frame of the protocol."""


class Encoder:
    """Makes frames. Safe to use from several threads."""

    def __init__(self, name: str, *, to: str = "host", limit: int = 16 << 20) -> None:
        self.name = name
        self.to = to
        self.limit = limit
        self._half = os.urandom(8)
        # Taking the next is one step, which needs no lock.
        self._count = itertools.count(1)
        # A packer owns a large buffer, so they are reused; list.pop and append are atomic.
        self._packers: list[msgpack.Packer] = []

    def next_id(self) -> bytes:
        """16 bytes that no other message of this session has."""
        return self._half + _COUNT.pack(next(self._count))

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
        # What has arrived and, from this place on, was not read yet.
        self._buffer: bytes | bytearray = b""
        self._start = 0
        # Bytes that have arrived since payloads may lie beside the frames.
        self._arrived = 0
        self.beside: Receiver | None = None
        """What lies beside the frames, once both ends have agreed on it. Set it between two messages."""

    def next_message(self) -> dict[str, Any] | None:
        """Waits for the next envelope; None when the host closed the connection."""
        while True:
            buffer, start = self._buffer, self._start
            unread = len(buffer) - start
            if unread >= 4:
                end = start + 4 + _LENGTH.unpack_from(buffer, start)[0]
                if len(buffer) >= end:
                    # The usual frame arrives alone and whole: then it is read where it lies.
                    message = self._unpack(memoryview(buffer)[start + 4 : end])
                    if len(buffer) == end:
                        self._buffer, self._start = b"", 0
                    else:
                        self._start = end
                    if self.beside is not None:
                        self._end_frame(self.beside)
                    return message
            arrived = self._receive()
            if not arrived:
                return None
            if not unread:
                self._buffer = arrived
            elif isinstance(buffer, bytearray):
                # A long frame is put together in one place.
                del buffer[:start]
                buffer += arrived
            else:
                self._buffer = bytearray(memoryview(buffer)[start:])
                self._buffer += arrived
            self._start = 0

    def _receive(self) -> bytes:
        beside = self.beside
        try:
            if beside is None:
                return self._socket.recv(_READ_SIZE)
            arrived, ancillary, flags, _ = self._socket.recvmsg(_READ_SIZE, ANCILLARY, _CLOSE_ON_EXEC)
        except ConnectionError:
            return b""
        self._arrived += len(arrived)
        if ancillary or flags & _socket.MSG_CTRUNC:
            try:
                beside.arrive(self._arrived, ancillary, flags)
            except Fault as fault:
                raise ProtocolError(str(fault)) from fault
        return arrived

    def _unpack(self, payload: memoryview) -> dict[str, Any]:
        return _unpack(payload, None if self.beside is None else self.beside.take)

    def _end_frame(self, beside: Receiver) -> None:
        try:
            beside.end_frame(self._arrived - len(self._buffer) + self._start)
        except Fault as fault:
            raise ProtocolError(str(fault)) from fault


def _unpack(payload: memoryview, take: Callable[[int, bytes], Any] | None) -> dict[str, Any]:
    with payload:
        try:
            if take is None:
                message = msgpack.unpackb(payload, raw=False, strict_map_key=True)
            else:
                message = msgpack.unpackb(payload, raw=False, strict_map_key=True, ext_hook=take)
        except Fault as fault:
            raise ProtocolError(str(fault)) from fault
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            raise ProtocolError(f"a frame is not MessagePack: {error}") from error
    if not isinstance(message, dict) or message.get("v") != PROTOCOL_VERSION:
        raise ProtocolError(f"a message is no envelope of version {PROTOCOL_VERSION}")
    return message
