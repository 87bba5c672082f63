"""Whatever is moved, read, deleted and held, and wherever the host dies meanwhile: what is kept can be read."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import pit_native
from symphony.errors import ArtifactHeld, NotFound, TierUnreachable
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tiering import Tiering
from tests.tiers.test_tiering import World

CONTENTS = [f"zebras graze at dawn, says observer {number}" for number in range(2)]


class Died(BaseException):
    """What a host does that is killed."""


class Fuse:
    """Ends the host before or behind the step that it is set to."""

    def __init__(self) -> None:
        self.left = 0

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Died


class Fused:
    """A store or tier each of whose lasting steps may be the last."""

    STEPS = frozenset({"write", "remove", "evict", "set_copy", "drop_copy", "set_states", "forget"})

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self.STEPS:
            return found

        def step(*given: Any, **named: Any) -> Any:
            self._fuse.burn()
            answer = found(*given, **named)
            self._fuse.burn()
            return answer

        return step


class Fragile(World):
    """A world whose host may die."""

    fuse: Fuse

    def made(self) -> Tiering:
        self.fuse = Fuse()
        store, catalogue, archive, cloud = (
            Fused(inner, self.fuse) for inner in (self.store, self.catalogue, self.archive, self.cloud)
        )
        tiers = {"archive": archive, "cloud": cloud}
        return Tiering(store, catalogue, tiers, clock=lambda: 1000.0)  # type: ignore[arg-type]

    def live_again(self) -> None:
        """Another host finds what the dead one has left."""
        self.tiering = self.made()
        self.tiering.recover()


@contextlib.contextmanager
def fragile() -> Iterator[Fragile]:
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue(Path(folder, "tiers.sqlite"))
        with pit_native.ArtifactStore(Path(folder, "store")) as store:
            yield Fragile(store, catalogue, Path(folder))
        catalogue.close()


which = st.integers(0, len(CONTENTS) - 1)
steps = st.one_of(
    st.tuples(st.just("put"), which),
    st.tuples(st.sampled_from(["active", "archive", "cloud"]), which),
    st.tuples(st.sampled_from(["delete", "delete", "delete", "read", "hold", "release"]), which),
    st.tuples(st.just("cloud is away"), st.booleans()),
)


@settings(max_examples=30)
@given(st.lists(st.tuples(steps, st.sampled_from([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])), max_size=10))
@example([(("archive", 0), 0), (("delete", 0), 2)])
@example([(("cloud", 0), 0), (("delete", 0), 4)])
@example([(("archive", 0), 0), (("cloud", 0), 6)])
@example([(("archive", 0), 0), (("cloud", 0), 8)])
def test_what_is_kept_can_be_read_and_nothing_else_is_left(plan: list[tuple[tuple[str, Any], int]]) -> None:
    with fragile() as world:
        ids = {number: world.put(text)[0] for number, text in enumerate(CONTENTS)}
        kept = set(ids)
        for (kind, target), fuse in plan:
            world.fuse.left = fuse
            try:
                with contextlib.suppress(TierUnreachable):
                    take(world, kind, target, ids, kept)
            except Died:
                world.live_again()
            world.fuse.left = 0
            # A deletion that had begun may be done or not; only the store says which.
            kept &= {number for number in kept if kind != "delete" or is_known(world, ids[number])}
        world.cloud.is_away = False
        world.live_again()
        assert all(world.place(ids[number]) != "lost" for number in kept)
        for number in kept:
            assert world.tiering.read(ids[number]) == CONTENTS[number].encode()
        objects = {ids[number].removeprefix("sha256:") for number in kept}
        assert {*world.archive.keys(), *world.cloud.keys()} <= objects, "nothing is left of what was deleted"


def is_known(world: Fragile, id: str) -> bool:
    try:
        world.store.info(id)
    except NotFound:
        return False
    return True


def take(world: Fragile, kind: str, target: Any, ids: dict[int, str], kept: set[int]) -> None:
    """One step of a host."""
    if kind == "cloud is away":
        world.cloud.is_away = target
    elif kind == "put":
        world.put(CONTENTS[target])
        kept.add(target)
    elif target not in kept:
        return
    elif kind == "delete":
        with contextlib.suppress(ArtifactHeld):
            world.tiering.delete(ids[target])
    elif kind == "read":
        assert world.tiering.read(ids[target]) == CONTENTS[target].encode()
    elif kind == "hold":
        world.store.hold(ids[target], "case 7")
    elif kind == "release":
        world.store.lift_hold(ids[target])
    else:
        world.tiering.move(ids[target], kind)
