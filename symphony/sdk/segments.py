"""Large payloads beside the frames: a shared segment, files in memory, and their descriptors.

As `docs/stage-protocol.md` says. Everything is read with `pread`, so that a file that is shorter than it was
said to be gives fewer bytes, where a mapping would end the process.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
import time
from collections import deque

import msgpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Leaf = str | bytes | bytearray | memoryview

DESCRIPTORS = 16
"""The most descriptors that travel with one frame."""

SEGMENT_START = 4096
"""Where the payloads of a segment begin. Its first byte is the receiver's: it counts there what it has taken."""

ANCILLARY = _socket.CMSG_SPACE(DESCRIPTORS * 4)

# Types of extension values: bytes and text in the segment, bytes and text in a file.
_SEGMENT_BYTES, _SEGMENT_TEXT, _FILE_BYTES, _FILE_TEXT = 1, 2, 3, 4
_PLACE = struct.Struct("<QQ")

# The receiver counts in one byte: more parts than this may not be on the way.
_MOST_PENDING = 255

_LEAVES = frozenset({str, bytes, bytearray, memoryview})
_CONTAINERS = frozenset({dict, list, tuple})
_DEPTH = 64

# Seconds between two looks whether there is room for descriptors on their way, and looks before it is given up.
_CROWDED = 0.005
_PATIENCE = 6000


class Fault(Exception):
    """A payload or a descriptor that is not as agreed."""


class Terms:
    """What both ends hold to, from the host's welcome."""

    __slots__ = ("file", "least", "payload", "size")

    def __init__(self, told: dict[str, Any]) -> None:
        self.size = int(told["size"])
        self.least = int(told["least"])
        self.file = int(told["file"])
        self.payload = int(told["payload"])


class Parcel:
    """What travels beside one frame."""

    __slots__ = ("announces", "descriptors", "named", "parts")

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.named = 0
        self.parts = 0
        self.announces = False

    def close(self) -> None:
        """Lets go of the descriptors; who received them has his own."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


class Sender:
    """Puts payloads where the host finds them, and never waits for it. Used under the sender's lock.

    Frames must be sent in the order in which their parcels were filled, because the host counts and does not
    name what it took.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._segment = -1
        self._is_announced = False
        self._head = SEGMENT_START
        # The parts of the segment that may still be read, oldest first.
        self._pending: deque[tuple[int, int]] = deque()
        self._seen = 0

    def is_large(self, value: Any, depth: int = 0) -> bool:
        """Whether a container holds a text or bytes that would travel beside the frame."""
        least = self.terms.least
        for item in value.values() if isinstance(value, dict) else value:
            kind = type(item)
            if kind in _LEAVES:
                if len(item) >= least:
                    return True
            elif kind in _CONTAINERS and item and depth < _DEPTH and self.is_large(item, depth + 1):
                return True
        return False

    def lift(self, value: Any, parcel: Parcel) -> Any:
        """The value, with references in the place of what was put beside the frame."""
        kind = type(value)
        if kind in _LEAVES:
            return value if len(value) < self.terms.least else self._put(value, parcel)
        if kind not in _CONTAINERS or not self.is_large(value):
            return value
        if kind is dict:
            return {key: self.lift(item, parcel) for key, item in value.items()}
        return [self.lift(item, parcel) for item in value]

    def take_back(self, parcel: Parcel) -> None:
        """Forgets what was put for a frame that is not sent."""
        for _ in range(parcel.parts):
            self._pending.pop()
        self._head = self._pending[-1][1] if self._pending else SEGMENT_START
        self._is_announced &= not parcel.announces
        parcel.close()

    def _put(self, leaf: Leaf, parcel: Parcel) -> Any:
        content = leaf.encode() if isinstance(leaf, str) else memoryview(leaf).cast("B")
        length, is_text = len(content), isinstance(leaf, str)
        is_over = parcel.named + length > self.terms.payload
        if is_over or len(parcel.descriptors) >= DESCRIPTORS:
            return leaf
        try:
            if length >= self.terms.file:
                parcel.descriptors.append(_sealed(content))
                kind, offset = _FILE_BYTES, 0
            else:
                kind, offset = _SEGMENT_BYTES, self._put_part(content, parcel)
        except OSError:
            # The kernel gives no memory or no descriptor: it travels in its frame.
            return leaf
        if offset < 0:
            return leaf
        parcel.named += length
        return msgpack.ExtType(kind + is_text, _PLACE.pack(offset, length))

    def _put_part(self, content: bytes | memoryview, parcel: Parcel) -> int:
        """Where in the segment it was put; -1 when there is no room."""
        if self._segment < 0:
            self._segment = _segment(self.terms.size)
        taken = (os.pread(self._segment, 1, 0)[0] - self._seen) & 0xFF
        # A host that says that it took more than it was sent is not believed.
        if taken <= len(self._pending) - parcel.parts:
            for _ in range(taken):
                self._pending.popleft()
            self._seen = (self._seen + taken) & 0xFF
        offset = self._room_for(len(content))
        if offset < 0:
            return -1
        announcement = -1 if self._is_announced else os.dup(self._segment)
        try:
            _write(self._segment, content, offset)
        except OSError:
            if announcement >= 0:
                os.close(announcement)
            raise
        if announcement >= 0:
            parcel.descriptors.append(announcement)
            parcel.announces = self._is_announced = True
        self._head = offset + len(content)
        self._pending.append((offset, self._head))
        parcel.parts += 1
        return offset

    def _room_for(self, length: int) -> int:
        if len(self._pending) >= _MOST_PENDING:
            return -1
        if not self._pending:
            spans = [(SEGMENT_START, self.terms.size)]
        elif self._head > self._pending[0][0]:
            spans = [(self._head, self.terms.size), (SEGMENT_START, self._pending[0][0])]
        else:
            spans = [(self._head, self._pending[0][0])]
        return next((start for start, end in spans if start + length <= end), -1)


class Receiver:
    """Copies out what the host put, and believes nothing of it."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._segment = -1
        self._taken = 0
        # Descriptors that no reference has claimed, each with the end of the piece of stream it came with.
        self._arrived: deque[tuple[int, int]] = deque()
        self._named = 0

    def arrive(self, end: int, ancillary: list[tuple[int, int, bytes]], flags: int) -> None:
        """Takes what came with a piece of the stream that ends at `end`. Raises `Fault` when it is too much."""
        for level, kind, content in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                count = len(content) // 4
                for descriptor in struct.unpack_from(f"{count}i", content):
                    self._arrived.append((end, descriptor))
        if flags & _socket.MSG_CTRUNC or len(self._arrived) > DESCRIPTORS:
            raise Fault("it brings more descriptors than were agreed")

    def take(self, kind: int, content: bytes) -> str | bytes:
        """What an extension value refers to. Raises `Fault`."""
        if not _SEGMENT_BYTES <= kind <= _FILE_TEXT or len(content) != _PLACE.size:
            raise Fault("a reference is malformed")
        offset, length = _PLACE.unpack(content)
        self._named += length
        if self._named > self._terms.payload:
            raise Fault(f"the references of a frame name more than {self._terms.payload} bytes")
        try:
            taken = (
                self._take_file(offset, length) if kind >= _FILE_BYTES else self._take_part(offset, length)
            )
        except OSError as error:
            raise Fault(f"a payload cannot be read: {error}") from error
        if kind in (_SEGMENT_BYTES, _FILE_BYTES):
            return taken
        try:
            return taken.decode()
        except UnicodeDecodeError as error:
            raise Fault("a text is not UTF-8") from error

    def end_frame(self, end: int) -> None:
        """Says that a frame which ends at `end` of the stream was read. Raises `Fault` for what it did not need."""
        self._named = 0
        if self._arrived and self._arrived[0][0] <= end:
            raise Fault("a descriptor belongs to no reference")

    def close(self) -> None:
        """Lets go of all descriptors."""
        for _, descriptor in self._arrived:
            os.close(descriptor)
        self._arrived.clear()
        if self._segment >= 0:
            os.close(self._segment)
            self._segment = -1

    def _next(self) -> int:
        if not self._arrived:
            raise Fault("a reference has no descriptor")
        return self._arrived.popleft()[1]

    def _take_file(self, offset: int, length: int) -> bytes:
        if offset:
            raise Fault("a reference is malformed")
        file = self._next()
        try:
            _check(file, length, is_segment=False)
            return _read(file, 0, length)
        finally:
            os.close(file)

    def _take_part(self, offset: int, length: int) -> bytes:
        if self._segment < 0:
            segment = self._next()
            try:
                _check(segment, self._terms.size, is_segment=True)
            except BaseException:
                os.close(segment)
                raise
            self._segment = segment
        if offset < SEGMENT_START or offset + length > self._terms.size:
            raise Fault("a reference leads outside of its segment")
        content = _read(self._segment, offset, length)
        self._taken = (self._taken + 1) & 0xFF
        # One byte, so that the sender reads the former count or the new one and nothing between.
        os.pwrite(self._segment, bytes((self._taken,)), 0)
        return content


def send(socket: _socket.socket, frame: bytes, parcel: Parcel) -> None:
    """Sends a whole frame, its descriptors on the first byte. Raises `OSError` when the host is gone."""
    rights = struct.pack(f"{len(parcel.descriptors)}i", *parcel.descriptors)
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
    for _ in range(_PATIENCE):
        try:
            sent = socket.sendmsg([frame], ancillary)
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            # Too many descriptors of this user are on their way, also those that others sent.
            time.sleep(_CROWDED)
            continue
        socket.sendall(memoryview(frame)[sent:])
        return
    raise OSError(errno.ETOOMANYREFS, "too many descriptors are on their way")


def _check(file: int, size: int, *, is_segment: bool) -> None:
    import fcntl

    try:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    except OSError as error:
        raise Fault("a descriptor is no file in memory") from error
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | (0 if is_segment else fcntl.F_SEAL_WRITE)
    if seals & wanted != wanted or (is_segment and seals & fcntl.F_SEAL_WRITE):
        raise Fault("a file in memory is not sealed as agreed")
    status = os.fstat(file)
    if status.st_size != size:
        raise Fault(f"a file in memory has {status.st_size} bytes instead of {size}")
    if not is_segment and status.st_blocks * 512 < size:
        raise Fault("a file in memory has holes")


def _read(file: int, offset: int, length: int) -> bytes:
    content = os.pread(file, length, offset)
    while len(content) < length:
        more = os.pread(file, length - len(content), offset + len(content))
        if not more:
            raise Fault("a payload is cut short")
        content += more
    return content


def _memory_file() -> int:
    return os.memfd_create("payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _seal(file: int, *, against_writing: bool) -> None:
    import fcntl

    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals | (fcntl.F_SEAL_WRITE if against_writing else 0))


def _segment(size: int) -> int:
    file = _memory_file()
    try:
        os.ftruncate(file, size)
        _seal(file, against_writing=False)
    except BaseException:
        os.close(file)
        raise
    return file


def _sealed(content: bytes | memoryview) -> int:
    file = _memory_file()
    try:
        _write(file, content, 0)
        _seal(file, against_writing=True)
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, content: bytes | memoryview, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
