"""A limit of bytes a second for what travels to and from a tier: a token bucket, and who waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator


class TokenBucket:
    """`rate` bytes a second flow in, and `burst` bytes fit. Pure: time, in seconds, is an argument."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, now

    def take(self, amount: int, now: float) -> float:
        """Takes `amount` bytes, also those that are not there yet; seconds to wait before they travel."""
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(now, self._at)
        self._level -= amount
        return max(0.0, -self._level / self._rate)


class Bandwidth:
    """Lets pieces pass at `rate` bytes a second in all, whoever sends them; 0 is no limit."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._bucket = TokenBucket(rate, rate, clock()) if rate > 0 else None

    def limited(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, each when it may travel."""
        for piece in pieces:
            if self._bucket is not None:
                with self._lock:
                    delay = self._bucket.take(len(piece), self._clock())
                if delay > 0:
                    self._sleep(delay)
            yield piece
