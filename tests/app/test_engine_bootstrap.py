"""The bootstrap: phases in order, retries of passing failures, rollback in reverse order, names in errors."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app.bootstrap import Bootstrap, Phase, StartPolicy
from symphony.errors import EnvironmentLacks, InvalidConfig
from symphony.ports.component import HealthStatus

HASTY = StartPolicy(timeout=30.0, attempts=3, delay=0.0)


class Fake:
    """A component that fails as told and writes down what happens to it."""

    def __init__(self, name: str, events: list[str], *failures: BaseException, hangs: bool = False) -> None:
        self.name = name
        self._events = events
        self._failures = list(failures)
        self._hangs = hangs

    async def start(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._failures:
            raise self._failures.pop(0)
        self._events.append(f"+{self.name}")

    async def stop(self) -> None:
        self._events.append(f"-{self.name}")

    async def health_check(self) -> HealthStatus:
        return HealthStatus(self.name, "ok", "well")


async def test_phases_come_in_order_and_stop_in_reverse(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "symphony")
    events: list[str] = []
    bootstrap = Bootstrap(lambda name: HASTY)
    await bootstrap.start(
        [Phase("one", [Fake("a", events), Fake("b", events)]), Phase("two", [Fake("c", events)])]
    )
    assert sorted(events[:2]) == ["+a", "+b"] and events[2] == "+c"
    health = {status.name: status.detail for status in await bootstrap.health()}
    assert "phase one" in health["a"] and "phase two" in health["c"] and "well" in health["a"]
    assert [r.getMessage().split()[1] for r in caplog.records] == ["one", "two"]
    started = events.copy()
    await bootstrap.stop()
    assert events[3:] == [f"-{e[1:]}" for e in reversed(started)]


async def test_a_passing_failure_is_retried_as_configured() -> None:
    events: list[str] = []
    bootstrap = Bootstrap(lambda name: HASTY)
    await bootstrap.start(
        [Phase("one", [Fake("a", events, ConnectionRefusedError("not yet"), TimeoutError())])]
    )
    assert events == ["+a"]


async def test_a_passing_failure_that_stays_rolls_back() -> None:
    events: list[str] = []
    bootstrap = Bootstrap(lambda name: HASTY if name == "a" else StartPolicy(attempts=2, delay=0.0))
    late = Fake("late", events, ConnectionError("no"), ConnectionError("no"), ConnectionError("no"))
    with pytest.raises(EnvironmentLacks, match=r"late did not start \(two\): no"):
        await bootstrap.start([Phase("one", [Fake("a", events)]), Phase("two", [late])])
    assert events == ["+a", "-a"]


async def test_a_lasting_failure_is_not_retried_and_named() -> None:
    events: list[str] = []
    bootstrap = Bootstrap(lambda name: HASTY)
    broken = Fake("broken", events, InvalidConfig("no such thing", remedy="mend it"))
    with pytest.raises(InvalidConfig, match=r"broken did not start \(three\): no such thing; mend it"):
        await bootstrap.start(
            [
                Phase("one", [Fake("a", events)]),
                Phase("two", [Fake("b", events)]),
                Phase("three", [broken, Fake("waits for ever", events, hangs=True)]),
                Phase("four", [Fake("never", events)]),
            ]
        )
    assert events == ["+a", "+b", "-b", "-a"]


async def test_a_start_that_hangs_ends_at_its_timeout() -> None:
    bootstrap = Bootstrap(lambda name: StartPolicy(timeout=0.01, attempts=1))
    with pytest.raises(EnvironmentLacks, match="slow did not start in time"):
        await bootstrap.start([Phase("one", [Fake("slow", [], hangs=True)])])


async def test_one_that_does_not_stop_keeps_no_other_up() -> None:
    class Stuck(Fake):
        async def stop(self) -> None:
            raise OSError("cannot")

    events: list[str] = []
    bootstrap = Bootstrap(lambda name: HASTY)
    await bootstrap.start([Phase("one", [Fake("a", events)]), Phase("two", [Stuck("b", events)])])
    await bootstrap.stop()
    assert events == ["+a", "+b", "-a"]


def test_waits_grow_as_the_policy_says() -> None:
    exponential = StartPolicy(delay=1.0)
    assert [exponential.wait(n) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert StartPolicy(delay=1.0, backoff="fixed").wait(3) == 1.0
    assert StartPolicy(delay=1.0, backoff="none").wait(3) == 0.0


def test_the_doctor_asks_the_running_host(symphony: Callable[..., Any], home: Path) -> None:
    """Phases and the five modules of the Pit are named, in the log as well."""
    process = subprocess.Popen(
        [str(Path(sys.prefix) / "bin" / "symphony"), "serve"],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        answer = json.loads(symphony("doctor", "--json").out)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    components = {c["name"]: c for c in answer["components"]}
    for module in (
        "pool manager",
        "dag tracker",
        "artifact store",
        "arbitration engine",
        "stale manager",
    ):
        assert components[module]["status"] == "ok"
        assert "phase the Pit" in components[module]["detail"]
    assert "phase health and page" in components["page"]["detail"]
    assert "phase foundation" in components["configuration"]["detail"]
    text = (home / "logs" / "host.jsonl").read_text()
    said = [json.loads(line)["message"] for line in text.splitlines() if '"phase ' in line]
    assert [m.split(" is up")[0] for m in said] == [
        "phase foundation",
        "phase bus",
        "phase the Pit",
        "phase engine",
        "phase Conductor",
        "phase health and page",
    ]
    assert all(word in said[2] for word in ("pool manager", "dag tracker", "stale manager"))
