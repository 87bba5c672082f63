"""What one load of a page has asked, across its connections: each request once, its answer until it was received."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)

Send = Callable[[str], Awaitable[None]]

LEFT = 60.0
"""Seconds after which what was asked by a page that does not come back is cancelled and forgotten."""
KEPT = 256
"""Answers that are kept for a page that asks again; an older request is never begun a second time either."""
KEPT_CHARACTERS = 32 << 20


class Conversation:
    """The requests of one load of a page. Their ids grow; one that is sent again after a connection broke is not
    begun again, its answer is."""

    def __init__(self) -> None:
        self._answers: OrderedDict[int, str | None] = OrderedDict()
        self._forgotten = 0
        self._size = 0
        self._send: Send | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.TimerHandle | None = None

    def connect(self, send: Send) -> None:
        """Answers go to this connection from now on."""
        self._send = send
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def disconnect(self, send: Send) -> None:
        """Answers wait, unless another connection has taken over already."""
        if self._send == send:
            self._send = None
            self._ending = asyncio.get_running_loop().call_later(LEFT, self._give_up)

    async def begins(self, id: object) -> bool:
        """Whether a request is to be begun. One that was begun before is answered as soon as its answer is there."""
        if not isinstance(id, int):
            return True  # a notification, or a client that does not ask again
        if id in self._answers:
            answer = self._answers[id]
            if answer is not None:
                await self._tell(answer)
            return False
        if id <= self._forgotten:
            return False
        self._answers[id] = None
        return True

    async def answer(self, id: object, text: str) -> None:
        """Keeps an answer and sends it."""
        if isinstance(id, int) and id in self._answers:
            self._answers[id] = text
            self._size += len(text)
            self._forget()
        await self._tell(text)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a request that outlives the connection that brought it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._tasks)
        self._give_up()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _give_up(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        for task in self._tasks:
            task.cancel()

    async def _tell(self, text: str) -> None:
        if self._send is None:
            return
        try:
            await self._send(text)
        except Exception:
            logger.debug("an answer waits for the page's next connection", exc_info=True)

    def _forget(self) -> None:
        while self._answers and (len(self._answers) > KEPT or self._size > KEPT_CHARACTERS):
            id, oldest = next(iter(self._answers.items()))
            if oldest is None:
                return
            del self._answers[id]
            self._size -= len(oldest)
            self._forgotten = max(self._forgotten, id)
