"""What a function hears of other Players: messages under a topic, one after the other."""

from __future__ import annotations

import _thread
from _queue import SimpleQueue

from symphony.sdk.failures import Cancelled, PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symphony.sdk.context import Context

# So many messages are dealt with before the host is told, a quarter of those that it sends without hearing.
BATCH = 16


class Message:
    """One message of a topic."""

    __slots__ = ("missed", "sender", "topic", "value")

    def __init__(self, topic: str, value: Any, sender: str, missed: int) -> None:
        self.topic = topic
        """Under which it was published."""
        self.value = value
        """What was published."""
        self.sender = sender
        """The extension that published it, as the host knows it."""
        self.missed = missed
        """How many messages were dropped before this one because they were not taken in time."""


class Subscription:
    """An iterator over the messages of a topic or pattern. It ends with `close`, at the end of a `with` block, or,
    by raising `Cancelled`, with the call."""

    def __init__(self, context: Context, topic: str, queue: int) -> None:
        self._context = context
        self._id: int | None = None
        self._taken = 0
        self._missed = 0
        self._ending: BaseException | None = None
        # What arrived; None when nothing more will.
        self._arrived: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        opened = _thread.allocate_lock()
        opened.acquire()
        # The request is answered when the subscription ends, so a thread of its own waits for that.
        _thread.start_new_thread(self._listen, (topic, queue, opened))
        opened.acquire()
        if self._id is None and self._ending is not None:
            raise self._ending

    def _listen(self, topic: str, queue: int, opened: _thread.LockType) -> None:
        def on_piece(piece: dict[str, Any]) -> None:
            if self._id is None:
                self._id = piece["id"]
                opened.release()
            else:
                self._arrived.put(piece)

        try:
            self._context._ask("extension.subscribe", {"topic": topic, "queue": queue}, on_piece)
        except BaseException as error:
            self._ending = error
        self._arrived.put(None)
        if self._id is None:
            opened.release()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Message:
        while True:
            piece = self._arrived.get()
            if piece is None:
                # For whoever asks again.
                self._arrived.put(None)
                if self._ending is not None:
                    raise self._ending
                raise StopIteration
            if "missed" in piece:
                self._missed += piece["missed"]
                continue
            self._taken += 1
            if self._taken == BATCH:
                self._context._tell("extension.received", {"id": self._id, "count": BATCH})
                self._taken = 0
            missed, self._missed = self._missed, 0
            return Message(piece["topic"], piece["value"], piece["from"], missed)

    def close(self) -> None:
        """Ends it. What arrived and was not taken is given up."""
        if self._id is None:
            return
        id, self._id = self._id, None
        try:
            self._context._ask("extension.unsubscribe", {"id": id})
        except (Cancelled, PlayerFailure):
            # It has ended already, with its call or its session.
            return

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
