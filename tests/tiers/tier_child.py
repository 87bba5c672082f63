"""What the processes of the kill tests do: work on a store and its tiers until they are ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pit_native
from symphony.errors import NotFound
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tiering import Tiering


class Countdown:
    """Ends the process at its call number `at`."""

    def __init__(self, at: int) -> None:
        self._calls, self._at = itertools.count(), at

    def tick(self) -> int:
        number = next(self._calls)
        if number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class Counted:
    """Ticks before and after each call of some methods of what it stands for."""

    def __init__(self, inner: Any, names: set[str], countdown: Countdown) -> None:
        self._inner, self._names, self._countdown = inner, names, countdown

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._countdown.tick()
            answer = found(*given, **named)
            self._countdown.tick()
            return answer

        return call


class CountedStore(Counted):
    """Ticks also while a content comes back."""

    def restorer(self, id: str) -> CountedWriter:
        return CountedWriter(self._inner.restorer(id), self._countdown)


class CountedWriter:
    """Ticks around each piece and around the end, and gives pieces in halves."""

    def __init__(self, writer: pit_native.ArtifactWriter, countdown: Countdown) -> None:
        self._writer, self._countdown = writer, countdown

    def write(self, piece: bytes) -> None:
        for half in (piece[: len(piece) // 2], piece[len(piece) // 2 :]):
            self._countdown.tick()
            self._writer.write(half)

    def __enter__(self) -> CountedWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._countdown.tick()
        self._writer.__exit__(*error)
        self._countdown.tick()


class Torn(ArchiveTier):
    """Ticks also in the middle of a write."""

    tick: Callable[[], int]

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        def torn() -> Iterator[bytes]:
            for piece in pieces:
                yield piece[: len(piece) // 2]
                self.tick()
                yield piece[len(piece) // 2 :]

        return super().write(key, torn())


def content_of(number: int) -> bytes:
    """The content that artifact `n<number>` has."""
    return random.Random(number).randbytes(2000 + number * 777)


class Worker:
    """A store with an archive and a cloud, both folders, in `home`."""

    def __init__(self, home: Path, kill_at: int) -> None:
        self.countdown = countdown = Countdown(kill_at)
        self.home = home
        self.store: Any = CountedStore(
            pit_native.ArtifactStore(home / "store"), {"evict", "remove", "gc"}, countdown
        )
        catalogue: Any = Counted(
            Catalogue(home / "tiers.sqlite"), {"set_copy", "drop_copy", "set_states", "forget"}, countdown
        )
        self.tiering = Tiering(
            self.store, catalogue, {name: self._tier(name) for name in ("archive", "cloud")}
        )

    def _tier(self, name: str) -> Any:
        made = Torn(self.home / name, is_new=True)
        made.name, made.tick = name, self.countdown.tick
        return Counted(made, {"write", "remove"}, self.countdown)

    def known(self) -> list[str]:
        return sorted({entry["id"] for entry in self.store.list(limit=1000)})


def tour(home: Path, kill_at: int) -> None:
    """Takes what `ids` lists through all tiers, and deletes the first of them. Exits with 0 at the end."""
    worker = Worker(home, kill_at)
    worker.tiering.recover()
    doomed, *ids = json.loads((home / "ids").read_text())
    for id in ids:
        for target in ("archive", "cloud", "active", "archive"):
            worker.tiering.move(id, target)
    with contextlib.suppress(NotFound):
        worker.tiering.delete(doomed)
    worker.store.gc([], before=0.0)
    os._exit(0)


def wander(home: Path, seed: int) -> None:
    """Puts, moves and deletes at random for ever, and notes in `told` what it has done."""
    worker = Worker(home, -1)
    chance = random.Random(seed)
    told = os.open(home / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(word: str, number: int) -> None:
        os.write(told, f"{word} {number}\n".encode())

    worker.tiering.recover()
    tell("ready", 0)
    while True:
        number, step = chance.randrange(40), chance.randrange(6)
        known = worker.known()
        if step == 0 or not known:
            worker.store.put(content_of(number), name=f"n{number}")
            tell("put", number)
        elif step == 4:
            worker.store.gc([], before=0.0)
        elif step == 5:
            id = chance.choice(known)
            number = int(worker.store.info(id)["name"][1:])
            tell("deleting", number)
            worker.tiering.delete(id)
            tell("deleted", number)
        else:
            worker.tiering.move(chance.choice(known), ("archive", "cloud", "active")[step - 1])
