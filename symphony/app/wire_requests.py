"""What a host has been asked by other processes: each request once, its answers until they were received.

A request has an id of its asker's making. Asked again after a connection broke it is not begun again; its answers are
sent from the first that the asker does not have.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from symphony.errors import SymphonyError

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds for which a request waits for an asker whose connection broke; then it is cancelled and forgotten."""
AHEAD = 1024
"""Answers of one request that may wait to be received; a stream pauses there."""
REMEMBERED = 4096
"""Ids of requests that were given up, so that none of them begins a second time."""
FINAL = frozenset({"ok", "error"})

Answer = tuple[int, str, Any]
"""Its number from 0, `item`, `ok` or `error`, and the value."""
Call = Callable[[], Any]
"""Gives what is to be awaited, or iterated over. Raises SymphonyError."""


class Request:
    """One request that has begun."""

    def __init__(self, method: str, call: Call) -> None:
        self._method = method
        self._answers: deque[Answer] = deque()
        self._made = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.task = asyncio.get_running_loop().create_task(self._run(call))
        self.askers = 0
        self.giving_up: asyncio.TimerHandle | None = None

    async def answers(self, first: int) -> AsyncIterator[Answer]:
        """From the answer with this number on, as they are made; ends after the last."""
        while True:
            waiting = [answer for answer in self._answers if answer[0] >= first]
            for answer in waiting:
                yield answer
                first = answer[0] + 1
                if answer[1] in FINAL:
                    return
            if not waiting:
                self._changed.clear()
                await self._changed.wait()

    def received(self, number: int) -> bool:
        """Forgets the answers up to this one; true when it was the last."""
        is_last = False
        while self._answers and self._answers[0][0] <= number:
            is_last = self._answers.popleft()[1] in FINAL
        if len(self._answers) < AHEAD:
            self._room.set()
        return is_last

    async def _run(self, call: Call) -> None:
        try:
            result = call()
            if hasattr(result, "__aiter__"):
                async with contextlib.aclosing(result):
                    async for item in result:
                        await self._room.wait()
                        self._keep("item", item)
                self._keep("ok", None)
            else:
                self._keep("ok", await result)
        except SymphonyError as error:
            self._fail(error)
        except asyncio.CancelledError:
            self._fail(SymphonyError(f"{self._method} was cancelled", code="cancelled"))
            raise
        except Exception as error:
            log.exception("a method failed", extra={"method": self._method})
            self._fail(
                SymphonyError(
                    f"{self._method} failed: {error}", remedy="see `symphony logs`", code="internal"
                )
            )

    def _fail(self, error: SymphonyError) -> None:
        self._keep("error", {**error.to_json(), "exit_code": error.exit_code})

    def _keep(self, kind: str, value: Any) -> None:
        self._answers.append((self._made, kind, value))
        self._made += 1
        if len(self._answers) >= AHEAD:
            self._room.clear()
        self._changed.set()


class Requests:
    """All requests of other processes that this host has begun and whose answers were not received yet."""

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self._known: dict[bytes, Request] = {}
        self._given_up: OrderedDict[bytes, None] = OrderedDict()

    def begin(self, id: bytes, method: str, call: Call) -> Request:
        """The request with this id; it is begun when it was not yet. Balance it with `leave`.

        Raises SymphonyError (code `given_up`) for one that waited for its asker for too long.
        """
        if id in self._given_up:
            raise SymphonyError(
                "The host has given this request up: nobody has asked for its answer in time",
                remedy="run the command again",
                code="given_up",
            )
        request = self._known.get(id)
        if request is None:
            request = self._known[id] = Request(method, call)
        request.askers += 1
        if request.giving_up is not None:
            request.giving_up.cancel()
            request.giving_up = None
        return request

    def received(self, id: bytes, number: int) -> None:
        """The asker has the answers up to this one; after the last the request is forgotten."""
        request = self._known.get(id)
        if request is not None and request.received(number):
            del self._known[id]
            if request.giving_up is not None:
                request.giving_up.cancel()

    def leave(self, id: bytes) -> None:
        """A connection that asked is gone. When it was the last one, another has `GRACE` seconds to ask again."""
        request = self._known.get(id)
        if request is None:
            return
        request.askers -= 1
        if request.askers == 0:
            loop = asyncio.get_running_loop()
            request.giving_up = loop.call_later(self._grace, self.withdraw, id)

    def withdraw(self, id: bytes) -> None:
        """Cancels the request; it will not begin again."""
        request = self._known.pop(id, None)
        if request is None:
            return
        if request.giving_up is not None:
            request.giving_up.cancel()
        request.task.cancel()
        self._given_up[id] = None
        while len(self._given_up) > REMEMBERED:
            self._given_up.popitem(last=False)

    async def close(self) -> None:
        """Ends everything that was asked."""
        tasks = [request.task for request in self._known.values()]
        for id in list(self._known):
            self.withdraw(id)
        await asyncio.gather(*tasks, return_exceptions=True)
