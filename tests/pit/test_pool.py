"""The pool as Python sees it: handles, waiting, failures, and that waiting lets other threads run."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pit_native
from conductor.encoder import Encoder
from symphony.errors import BadInput, EnvironmentLacks, NotFound, SymphonyError

ENCODER = Path(__file__).parents[2] / "build" / "encoder"


class Thing:
    """What the loaders make."""

    def __init__(self, id: str) -> None:
        self.id = id


@pytest.fixture
def pool() -> Iterator[pit_native.PoolManager]:
    pool = pit_native.PoolManager(capacity=2, backoff=0.001)
    yield pool
    pool.close()


def until(what: Callable[[], bool]) -> None:
    """Waits for what another thread brings about."""
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.001)


def test_a_handle_gives_the_value_until_it_is_released(pool: pit_native.PoolManager) -> None:
    threads: list[str] = []

    def load(id: str) -> Thing:
        threads.append(threading.current_thread().name)
        return Thing(id)

    pool.register("a", load)
    assert pool.state("a") == "unloaded"
    first = pool.allocate("a", 5)
    second = pool.allocate("a", priority=9, timeout=1.0)
    assert first.value is second.value
    assert isinstance(first.value, Thing) and first.value.id == first.id == "a"
    assert pool.state("a") == "active"
    pool.release(first)
    for use in (lambda: first.value, lambda: first.id, lambda: pool.release(first)):
        with pytest.raises(BadInput) as caught:
            use()
        assert caught.value.code == "released"
    assert pool.state("a") == "active"
    pool.release(second)
    assert pool.state("a") == "ready"
    assert threads and threads[0] != threading.main_thread().name
    assert pool.stats()["loads"] == 1 and pool.stats()["allocations"] == 2


def test_handles_are_context_managers_and_dropped_ones_are_released(pool: pit_native.PoolManager) -> None:
    pool.register("a", Thing)
    with pool.allocate("a") as value:
        assert value.id == "a" and pool.state("a") == "active"
    assert pool.state("a") == "ready"
    handle = pool.allocate("a")
    assert pool.stats()["held"] == 1
    del handle
    gc.collect()
    assert pool.stats()["held"] == 0


def test_equal_strings_name_the_same_entry(pool: pit_native.PoolManager) -> None:
    pool.register("publisher/näme", Thing)
    handles = [pool.allocate("".join(["publisher", "/", "näme"])) for _ in range(100)]
    assert len({id(handle.value) for handle in handles}) == 1
    assert pool.stats()["held"] == 100


def test_wrong_arguments_are_told(pool: pit_native.PoolManager) -> None:
    pool.register("a", Thing)
    with pytest.raises(NotFound):
        pool.allocate("unknown")
    with pytest.raises(NotFound):
        pool.state("unknown")
    with pytest.raises(NotFound):
        pool.prewarm(["unknown"])
    with pytest.raises(BadInput):
        pool.allocate("a", 10)
    with pytest.raises(BadInput):
        pool.allocate("a", timeout=-1.0)
    with pytest.raises(BadInput):
        pool.register("b", 3)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        pit_native.PoolManager(capacity=0)
    with pytest.raises(TypeError):
        pool.allocate(3)  # type: ignore[arg-type]


def test_a_loader_s_exception_is_the_cause_and_the_next_try_may_work(pool: pit_native.PoolManager) -> None:
    attempts: list[int] = []

    def load(id: str) -> Thing:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("no luck")
        return Thing(id)

    pool.register("a", load)
    for _ in range(2):
        with pytest.raises(SymphonyError, match="no luck") as caught:
            pool.allocate("a")
        assert caught.value.code == "load_failed"
        assert isinstance(caught.value.__cause__, ValueError)
    assert pool.allocate("a").value.id == "a"
    assert pool.stats()["failures"] == 2


def test_a_thing_that_can_warm_up_does_so_before_it_is_ready(pool: pit_native.PoolManager) -> None:
    states: list[str] = []

    class Warmable:
        def __init__(self, id: str) -> None:
            states.append(pool.state(id))

        def warm(self) -> None:
            states.append(pool.state("a"))

    pool.register("a", Warmable)
    pool.release(pool.allocate("a"))
    assert states == ["loading", "warming"]


def test_waiting_lets_other_threads_run_and_ends_with_the_timeout(pool: pit_native.PoolManager) -> None:
    gate = threading.Event()

    def load(id: str) -> Thing:
        assert gate.wait(20)
        return Thing(id)

    pool.register("slow", load)
    with pytest.raises(SymphonyError) as caught:
        pool.allocate("slow", timeout=0.05)
    assert caught.value.code == "timeout"
    assert pool.state("slow") == "loading"

    def open_once_it_waits() -> None:
        until(lambda: pool.stats()["waits"] >= 2)
        gate.set()

    opener = threading.Thread(target=open_once_it_waits)
    opener.start()
    assert pool.allocate("slow", timeout=20).value.id == "slow"
    opener.join()


def test_prewarmed_entries_are_ready_and_evicted_ones_reach_the_hook() -> None:
    gone: list[str] = []
    pool = pit_native.PoolManager(capacity=2, unload=lambda id, value: gone.append(f"{id} {value.id}"))
    for id in ("a", "b", "c"):
        pool.register(id, Thing)
    assert pool.prewarm(["a", "b"]) == 2
    until(lambda: [pool.state("a"), pool.state("b")] == ["ready", "ready"])
    pool.release(pool.allocate("a"))
    pool.release(pool.allocate("c"))
    assert gone == ["b b"]
    pool.close()
    assert sorted(gone) == ["a a", "b b", "c c"]
    with pytest.raises(SymphonyError) as caught:
        pool.allocate("a")
    assert caught.value.code == "closed"


def test_a_dead_entry_is_loaded_anew_while_old_handles_keep_theirs(pool: pit_native.PoolManager) -> None:
    pool.register("a", Thing)
    old = pool.allocate("a")
    assert pool.discard("a")
    assert not pool.discard("a")
    new = pool.allocate("a")
    assert old.value is not new.value
    assert pool.unregister("a") and not pool.unregister("a")
    assert old.value.id == new.value.id == "a"
    with pytest.raises(NotFound):
        pool.allocate("a")


def test_entries_have_a_kind_and_a_size_that_is_declared_then_measured() -> None:
    class Measured(Thing):
        def memory_in_use(self) -> tuple[int, int]:
            return 3 << 20, 1 << 20

    pool = pit_native.PoolManager(memory=10 << 20, gpu_memory=4 << 20)
    pool.register("player", Thing, kind="player", memory=8 << 20)
    pool.register("model", Measured, memory=9 << 20, gpu_memory=2 << 20)
    assert pool.describe("model")["memory"] == 9 << 20 and not pool.describe("model")["measured"]
    with pool.allocate("model"):
        seen = pool.describe("model")
        assert (seen["kind"], seen["memory"], seen["gpu_memory"]) == ("model", 3 << 20, 1 << 20)
        assert seen["measured"] and seen["load_seconds"] >= 0 and seen["reason"] is None
        with pytest.raises(SymphonyError) as caught:
            pool.allocate("player", timeout=0.05)
        assert caught.value.code == "timeout", "held entries make no room"
    with pool.allocate("player"):
        assert pool.describe("player")["kind"] == "player" and pool.state("model") == "unloaded"
    stats = pool.stats()
    assert (stats["memory"], stats["memory_limit"]) == (8 << 20, 10 << 20)
    assert (stats["gpu_memory"], stats["gpu_memory_limit"], stats["gpu_absent"]) == (0, 4 << 20, None)
    pool.register("large", Thing, memory=11 << 20)
    with pytest.raises(EnvironmentLacks) as lacking:
        pool.allocate("large")
    assert lacking.value.code == "too_large"
    with pytest.raises(BadInput):
        pool.register("b", Thing, kind="plugin")
    with pytest.raises(NotFound):
        pool.describe("unknown")
    pool.close()


def test_values_that_are_not_healthy_come_back_and_hopeless_ones_are_given_up() -> None:
    ill: set[str] = set()

    class Patient(Thing):
        def is_healthy(self) -> bool:
            if "raise" in ill:
                raise ValueError("no pulse")
            return not ill

    def load(id: str) -> Patient:
        if "hopeless" in ill:
            raise OSError("gone for good")
        ill.clear()
        return Patient(id)

    pool = pit_native.PoolManager(backoff=0.001, give_up_after=3, check=0.005)
    pool.register("a", load)
    pool.release(pool.allocate("a"))
    ill.add("weak")
    until(lambda: pool.stats()["restarts"] == 1 and pool.state("a") == "ready")
    assert pool.describe("a")["reason"] == "it said that it is not healthy"
    ill.update({"raise", "hopeless"})
    until(lambda: bool(pool.describe("a")["given_up"]))
    with pytest.raises(SymphonyError, match=r"3 failures in a row, the last: .*gone for good") as caught:
        pool.allocate("a")
    assert caught.value.code == "given_up"
    assert pool.stats()["given_up"] == 1 and pool.describe("a")["pause"] > 1
    pool.close()


def test_a_reported_death_gives_the_handle_back_and_brings_the_value_back(
    pool: pit_native.PoolManager,
) -> None:
    pool.register("a", Thing)
    first, second = pool.allocate("a"), pool.allocate("a")
    assert pool.report_dead(first, "it crashed") and not pool.report_dead(second, "it crashed")
    with pytest.raises(BadInput):
        pool.report_dead(first, "it crashed")
    until(lambda: pool.state("a") == "ready")
    stats = pool.stats()
    assert (stats["deaths"], stats["restarts"], stats["held"]) == (1, 1, 0)


def test_a_hundred_and_more_entries_are_active_at_once() -> None:
    pool = pit_native.PoolManager(capacity=150)
    for number in range(150):
        pool.register(f"p{number}", Thing, kind="player" if number % 2 else "model")
    handles = [pool.allocate(f"p{number}") for number in range(150)]
    assert pool.stats()["states"]["active"] == 150
    assert [handle.value.id for handle in handles] == [f"p{number}" for number in range(150)]
    for handle in handles:
        pool.release(handle)
    assert pool.stats()["states"]["ready"] == 150
    pool.close()


def test_a_local_model_is_an_entry_like_any_other() -> None:
    """The Conductor's sentence encoder: loaded by a worker, warmed by its first sentence, unloaded for room."""
    gone: list[str] = []

    class Model:
        def __init__(self, id: str) -> None:
            self.encoder = Encoder(ENCODER)

        def warm(self) -> None:
            self.encoder.embed(["one sentence"])

        def memory_in_use(self) -> int:
            return (ENCODER / "encoder.onnx").stat().st_size

    pool = pit_native.PoolManager(capacity=1, unload=lambda id, model: gone.append(id))
    pool.register("encoder", Model, kind="model", memory=100 << 20)
    pool.register("other", Thing)
    assert pool.prewarm(["encoder"]) == 1
    with pool.allocate("encoder", timeout=60) as model:
        assert pool.state("encoder") == "active"
        assert model.encoder.embed(["find dead code"]).shape == (1, 384)
    seen = pool.describe("encoder")
    assert seen["state"] == "ready" and seen["measured"] and 0 < seen["memory"] < 100 << 20
    assert pool.stats()["prewarm_hits"] == 1
    pool.release(pool.allocate("other"))
    assert gone == ["encoder"] and pool.state("encoder") == "unloaded"
    pool.close()


def test_many_threads_share_a_small_pool(pool: pit_native.PoolManager) -> None:
    ids = ["a", "b", "c", "d"]
    for id in ids:
        pool.register(id, Thing)
    wrong: list[str] = []

    def work(seed: int) -> None:
        for step in range(100):
            id = ids[(seed + step * 3) % len(ids)]
            handle = pool.allocate(id, step % 10, timeout=30)
            if handle.value.id != id:
                wrong.append(id)
            pool.release(handle)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = pool.stats()
    assert not wrong
    assert stats["held"] == 0 and stats["loaded"] <= 2
    assert stats["states"]["ready"] == stats["loaded"]
