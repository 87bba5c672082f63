"""The connection to the host: one thread reads, the one that read a call also runs it.

Handing a message from a reading thread to a working one costs two switches. While calls are quick, the
thread that reads runs them itself and then reads on, so that a round trip costs none. A call that takes
longer, or asks the host for something, gives the reading to another thread while it works; then, until
calls are quick again, each is run beside a thread that reads. So answers and cancellations always arrive,
at most a few milliseconds late.
"""

from __future__ import annotations

import _socket
import _thread
import time
from collections import deque

from symphony.sdk.context import MOST_EVENTS, Call
from symphony.sdk.failures import Cancelled, PlayerFailure, failure_of
from symphony.sdk.segments import Parcel, Receiver, Sender, Terms, send
from symphony.sdk.wire import Decoder, Encoder, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Message = dict[str, Any]
    Task = Callable[[], None]
    # What the encoder takes; it is one with payloads beside the frame, which is made when it is sent.
    Parts = tuple[bytes, str, bytes | None, str, Any]

# Calls that run at the same time, less the one thread that reads.
MAX_THREADS = 17

# A call that takes longer is no quick one, and its thread does not go on to be the one that reads. Seconds.
QUICK = 0.004

# So many quick calls one after the other make quick ones expected.
STREAK = 32

# After so many looks without a call, nobody looks for slow ones any more.
PATIENCE = 25

# `MSG_DONTWAIT`: the reader may send, but never wait for the host to read.
_DONT_WAIT = _socket.MSG_DONTWAIT


class _Waiter:
    """A request that waits for its answer, and the pieces that come before it."""

    __slots__ = ("answer", "lock", "pieces")

    def __init__(self) -> None:
        self.lock = _thread.allocate_lock()
        self.lock.acquire()
        self.pieces: deque[Any] = deque()
        self.answer: Message | BaseException | None = None

    def wake(self) -> None:
        try:
            self.lock.release()
        except RuntimeError:
            # Already awake and not yet back to sleep; it will look again.
            return


class Connection:
    """Speaks the stage protocol over a connected socket.

    `answer(message, call)` is called on a working thread for every request of the host but `ping`.
    """

    def __init__(
        self,
        socket: _socket.socket,
        name: str,
        answer: Callable[[Message, Call], None],
    ) -> None:
        self._socket = socket
        self._encoder = Encoder(name)
        self._decoder = Decoder(socket)
        self._beside: Sender | None = None
        self._answer = answer
        self._sending = _thread.allocate_lock()
        self._reading = _thread.allocate_lock()
        # Guards threads, idle, backlog and closed.
        self._state = _thread.allocate_lock()
        self._threads = 1
        self._idle = 0
        self._backlog: deque[Task] = deque()
        # Calls that came during a pause; None when there is no pause.
        self._held: deque[Task] | None = None
        self._is_closed = False
        # The thread that runs a call and would read on after it, and since when; 0 for none.
        self._runner = 0
        self._began = 0.0
        self._runs = 0
        self._streak = STREAK
        self._is_watched = False
        self._watch: _thread.LockType | None = None
        self._end = _thread.allocate_lock()
        self._end.acquire()
        self._calls: dict[bytes, Call] = {}
        self._waiters: dict[bytes, _Waiter] = {}
        self.failure: ProtocolError | None = None
        """What the host did wrong, when that ended the session."""

    # Asking and telling

    def hello(self, body: Message) -> Message:
        """Sends the first frame and waits for the session's grants. Before `run`."""
        id = self._send(None, "request", "hello", {**body, "segments": True})
        message = self._decoder.next_message()
        if message is None:
            raise ProtocolError("the host closed the connection before it answered hello")
        if message["kind"] == "error":
            raise ProtocolError(str(message["body"].get("message", "the host refused hello")))
        if message["kind"] != "response" or message["re"] != id:
            raise ProtocolError("the host did not answer hello")
        welcome: Message = message["body"]
        self._encoder.limit = int(welcome.get("limits", {}).get("frame", self._encoder.limit))
        agreed = welcome.get("segments")
        if agreed is not None:
            terms = Terms(agreed)
            self._beside, self._decoder.beside = Sender(terms), Receiver(terms)
        return welcome

    def request(
        self,
        call: Call | None,
        method: str,
        body: Message,
        on_piece: Callable[[Any], None] | None = None,
    ) -> Message:
        """Asks the host and waits; raises what it refused with, or `Cancelled` when the call ended."""
        waiter = _Waiter()
        self._hand_over(_thread.get_ident())
        id = self._encoder.next_id()
        frame = self._make((id, "request", call.id if call else None, method, body))
        self._waiters[id] = waiter
        if call is not None:
            call.waiters.add(waiter)
        try:
            # After the waiter is known: a cancellation from now on wakes it.
            if self._is_closed or (call is not None and (call.cancelled or call.is_over)):
                raise Cancelled
            self._write(frame)
            return _wait(waiter, on_piece)
        finally:
            self._waiters.pop(id, None)
            if call is not None:
                call.waiters.discard(waiter)

    def next_event(self, call: Call | None) -> Message:
        """Waits for the next event of what the call shows; raises `Cancelled` when the call ended."""
        if call is None:
            raise Cancelled
        waiter = _Waiter()
        self._hand_over(_thread.get_ident())
        call.waiters.add(waiter)
        try:
            while True:
                if self._is_closed or call.cancelled or call.is_over:
                    raise Cancelled
                if call.events:
                    return call.events.popleft()
                waiter.lock.acquire()
        finally:
            call.waiters.discard(waiter)

    def notify(self, call: Call | None, kind: str, method: str, body: Message) -> None:
        """Tells the host. What is told after the call's end is dropped: nobody listens any more."""
        if call is not None and call.is_over:
            return
        self._send(call.id if call else None, kind, method, body)

    def reply(self, call: Call, kind: str, method: str, body: Message) -> None:
        """Answers a request of the host. Raises `PlayerFailure` when the body cannot travel."""
        id = self._encoder.next_id()
        frame = self._make((id, kind, call.id, method, body))
        call.is_over = True
        self._calls.pop(call.id, None)
        self._write(frame)

    def _send(self, re: bytes | None, kind: str, method: str, body: Message) -> bytes:
        id = self._encoder.next_id()
        self._write(self._make((id, kind, re, method, body)))
        return id

    def _make(self, parts: Parts) -> bytes | Parts:
        """The frame, unless payloads will travel beside it."""
        body, beside = parts[4], self._beside
        if beside is not None and body and type(body) is dict and beside.is_large(body):
            return parts
        return self._encoder.frame(*parts)

    def _write(self, frame: bytes | Parts) -> None:
        with self._sending:
            try:
                if isinstance(frame, bytes):
                    self._socket.sendall(frame)
                else:
                    self._write_beside(frame)
            except OSError:
                # The host is gone; the reader sees it too and ends the session.
                return

    def _write_beside(self, parts: Parts) -> None:
        """Sends a frame and what lies beside it. Raises `PlayerFailure` when it cannot travel."""
        id, kind, re, method, body = parts
        beside, parcel = self._beside, Parcel()
        assert beside is not None
        try:
            frame = self._encoder.frame(id, kind, re, method, beside.lift(body, parcel))
        except UnicodeEncodeError as error:
            beside.take_back(parcel)
            raise PlayerFailure(f"the {kind} {method} cannot travel: {error}") from error
        except BaseException:
            beside.take_back(parcel)
            raise
        try:
            send(self._socket, frame, parcel)
        finally:
            parcel.close()

    # Reading and working

    def run(self) -> None:
        """Reads and answers until the host ends the session."""
        _thread.start_new_thread(self._work, ())
        self._end.acquire()

    def close(self) -> None:
        """Ends `run`; waiting requests end with `Cancelled`."""
        with self._state:
            if self._is_closed:
                return
            self._is_closed = True
        for waiter in list(self._waiters.values()):
            waiter.answer = Cancelled()
            waiter.wake()
        for call in list(self._calls.values()):
            for waiter in list(call.waiters):
                waiter.wake()
        self._end.release()

    def _work(self) -> None:
        while not self._is_closed:
            task = self._take_waiting()
            if task is None:
                self._reading.acquire()
                task = self._read_and_run()
            if task is None:
                return
            began = time.monotonic()
            task()
            self._streak = self._streak + 1 if time.monotonic() - began < QUICK else 0

    def _read_and_run(self) -> Task | None:
        """Reads, as the only thread, and runs what is quick; gives the reading up with a task, or at the end."""
        me = _thread.get_ident()
        while True:
            task = self._read_until_task()
            if task is None or self._runner != me:
                self._reading.release()
                return task
            try:
                task()
            finally:
                with self._state:
                    is_reader, self._runner = self._runner == me, 0 if self._runner == me else self._runner
            if not is_reader:
                return _nothing

    def _hand_over(self, runner: int) -> None:
        """Gives the reading to another thread, if `runner` runs a call and has it."""
        if self._runner != runner:
            return
        with self._state:
            if self._runner != runner:
                return
            self._runner = self._streak = 0
            self._idle -= 1
            is_alone = self._idle == 0
            self._threads += is_alone
        if is_alone:
            _thread.start_new_thread(self._work, ())
        self._reading.release()

    def _look_after(self, parked: _thread.LockType) -> None:
        """Finds calls that are not quick, for as long as calls come; then it waits until they come again."""
        seen, quiet = -1, 0
        while not self._is_closed:
            time.sleep(QUICK)
            runner = self._runner
            if runner and time.monotonic() - self._began > QUICK:
                self._hand_over(runner)
            quiet = quiet + 1 if seen == self._runs and not self._runner else 0
            seen = self._runs
            if quiet < PATIENCE:
                continue
            with self._state:
                if seen != self._runs or self._runner:
                    continue
                self._is_watched = False
            parked.acquire()
            quiet = 0

    def _take_waiting(self) -> Task | None:
        """A task that was read while all threads were busy; else this thread counts as idle."""
        with self._state:
            if self._backlog:
                return self._backlog.popleft()
            self._idle += 1
            return None

    def _read_until_task(self) -> Task | None:
        """Reads, as the only thread, until there is a task that this thread may leave with."""
        came: Task | None = None
        while True:
            task = self._leave_with_backlog(came)
            if task is not None:
                return task
            if self._is_closed:
                return None
            try:
                message = self._decoder.next_message()
            except ProtocolError as error:
                self.failure = error
                message = None
            if message is None:
                if self._decoder.beside is not None:
                    self._decoder.beside.close()
                self.close()
                return None
            came = self._sort(message)

    def _leave_with_backlog(self, came: Task | None) -> Task | None:
        if came is None and not self._backlog:
            # Only who reads adds to it.
            return None
        with self._state:
            if came is not None:
                self._backlog.append(came)
            if not self._backlog:
                return None
            if self._streak >= STREAK and (self._idle > 1 or self._threads < MAX_THREADS):
                return self._keep_reading(self._backlog.popleft())
            if self._idle > 1:
                self._idle -= 1
                return self._backlog.popleft()
            if self._threads >= MAX_THREADS:
                return None
            self._threads += 1
            self._idle -= 1
            task = self._backlog.popleft()
        _thread.start_new_thread(self._work, ())
        return task

    def _keep_reading(self, task: Task) -> Task:
        """Notes that this thread runs a task and means to read on after it. Under the lock of the state."""
        self._runner, self._began = _thread.get_ident(), time.monotonic()
        self._runs += 1
        if not self._is_watched:
            self._is_watched = True
            if self._watch is None:
                self._watch = _thread.allocate_lock()
                self._watch.acquire()
                _thread.start_new_thread(self._look_after, (self._watch,))
            else:
                self._watch.release()
        return task

    def _sort(self, message: Message) -> Task | None:
        """Deals with what the reader deals with itself; a task for all else."""
        kind, method = message["kind"], message["method"]
        if kind == "response" or kind == "error":
            self._deliver(message)
        elif kind == "stream":
            waiter = self._waiters.get(message["re"])
            if waiter is not None:
                waiter.pieces.append(message["body"])
                waiter.wake()
        elif kind == "event":
            if method == "cancel":
                self._cancel(message["re"])
            elif method == "ui.event":
                self._take_event(message)
        elif method == "ping":
            return self._answer_ping(message)
        else:
            return self._sort_request(message, method)
        return None

    def _sort_request(self, message: Message, method: str) -> Task | None:
        if method == "pause":
            self._held = self._held or deque()
            return self._answer_ping(message)
        if method == "resume":
            held, self._held = self._held or (), None
            with self._state:
                self._backlog.extend(held)
            return self._answer_ping(message)
        call = Call(message["id"])
        self._calls[call.id] = call

        def task() -> None:
            self._answer(message, call)

        if self._held is not None and method == "call":
            self._held.append(task)
            return None
        return task

    def _deliver(self, message: Message) -> None:
        re = message["re"]
        waiter = self._waiters.get(re) if re is not None else None
        # Without `re` it is a remark about the session; the host's log has it.
        if waiter is not None:
            waiter.answer = message
            waiter.wake()

    def _cancel(self, call_id: bytes | None) -> None:
        call = self._calls.get(call_id) if call_id is not None else None
        if call is None:
            return
        call.cancelled = True
        for waiter in list(call.waiters):
            waiter.answer = waiter.answer or Cancelled()
            waiter.wake()

    def _take_event(self, message: Message) -> None:
        call = self._calls.get(message["re"]) if message["re"] is not None else None
        if call is None:
            return
        if call.events is None:
            call.events = deque(maxlen=MOST_EVENTS)
        call.events.append(message["body"])
        for waiter in list(call.waiters):
            waiter.wake()

    def _answer_ping(self, message: Message) -> Task | None:
        """Answers at once, also while every thread works; as a task when the socket is full."""
        id = self._encoder.next_id()
        frame = self._encoder.frame(id, "response", message["id"], message["method"], {})
        if self._sending.acquire(False):
            try:
                # A frame this small goes whole or not at all.
                self._socket.send(frame, _DONT_WAIT)
                return None
            except OSError:
                return lambda: self._write(frame)
            finally:
                self._sending.release()
        return lambda: self._write(frame)


def _nothing() -> None:
    """The task of a thread that has run its own and does not read any more."""


def _wait(waiter: _Waiter, on_piece: Callable[[Any], None] | None) -> Message:
    while True:
        waiter.lock.acquire()
        while waiter.pieces:
            piece = waiter.pieces.popleft()
            if on_piece is not None:
                on_piece(piece)
        answer = waiter.answer
        if answer is None:
            continue
        if isinstance(answer, BaseException):
            raise answer
        if answer["kind"] == "error":
            raise failure_of(answer["body"])
        body = answer["body"]
        if not isinstance(body, dict):
            raise PlayerFailure(f"the host answered {answer['method']} with no map", code="internal")
        return body
