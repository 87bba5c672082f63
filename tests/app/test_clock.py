"""A clock that jumps, forwards and back, under a host: nothing times out for it, and the order of things stays."""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from symphony.app.wire import HostClient
from tests.app.test_survival import SYMPHONY

Json = dict[str, Any]
DAY = 86_400
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the clock is preloaded")


class Clock:
    """The time of day of the processes that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        library, page = folder / "clock.so", folder / "clock"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        page.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "SYMPHONY_TEST_CLOCK": str(page)}
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 8)

    def set(self, seconds: int) -> None:
        """From now on it is so many seconds later than it is."""
        self._page[:] = struct.pack("<q", seconds)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def test_the_clock_of_the_test_jumps(clock: Clock) -> None:
    clock.set(10 * DAY)
    code = "import time; print(time.time(), time.monotonic())"
    environment = {**os.environ, **clock.environment}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    wall, steady = map(float, said.stdout.split())
    assert wall - time.time() > 9 * DAY and abs(steady - time.monotonic()) < 60


def shell(command: str, timeout: str = "20s") -> Json:
    params = {"command": ["sh", "-c", command]}
    node = {
        "id": "s",
        "kind": "operator",
        "player": "symphony/shell#run",
        "params": params,
        "timeout": timeout,
    }
    return {"format": "symphony.melody/1", "name": command, "nodes": [node], "edges": []}


async def until(asked: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not wanted(answer := await asked()):
            await asyncio.sleep(0.05)
        return answer


async def test_a_clock_that_jumps_under_a_host(clock: Clock, home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    host = await asyncio.create_subprocess_exec(
        *(SYMPHONY, "serve", "--project", str(project)),
        env={**os.environ, **clock.environment, "SYMPHONY_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert host.stdout is not None
        assert (await asyncio.wait_for(host.stdout.readline(), PATIENCE)).startswith(b"http://")
        client = HostClient(home / "host.sock")

        async def begin(command: str) -> str:
            run = await client.execute_melody(shell(command), project=str(project), agreed=True)
            return str(run["run"])

        async def ended(run: str) -> Json:
            found = await until(partial(client.get_run, run), lambda r: r["run"]["status"] != "running")
            info: Json = found["run"]
            assert info["status"] == "succeeded", info
            assert 0 <= info["seconds"] < PATIENCE and all(0 <= n["ended"] < PATIENCE for n in info["nodes"])
            return info

        order = []
        # While a step runs, a day passes, then the clock goes back by three; its limit is 20 seconds of its own time.
        for name, jump in (("first", DAY), ("second", -2 * DAY), ("third", 400 * DAY), ("fourth", 0)):
            # Not until a file appears: a sandbox's view of a folder may go on lacking what it was asked for before.
            run = await begin(f"sleep 2; echo {name}")
            await until(partial(client.get_run, run), lambda r: r["run"]["nodes"][0]["status"] == "running")
            clock.set(jump)
            order.append((await ended(run))["id"])
            saved = await client.save_melody(shell(name), name)
            assert saved["name"] == name
        listed = [run["id"] for run in (await client.list_runs())["runs"]]
        assert listed == order[::-1]
        melodies = [melody["name"] for melody in (await client.list_melodies())["melodies"]]
        assert melodies == ["fourth", "third", "second", "first"]
        made = (await client.list_artifacts())["artifacts"]
        assert [a["run"] for a in made if a["name"].startswith("stdout")] == order[::-1], made
        assert (await client.verify_artifacts())["findings"] == []
        assert (await client.audit())["tampered"] is None
    finally:
        if host.returncode is None:
            host.send_signal(signal.SIGTERM)
        await asyncio.wait_for(host.communicate(), PATIENCE)
    assert host.returncode == 0
    kept = [json.loads(file.read_text())["run"]["id"] for file in home.glob("runs/*/run.json")]
    assert sorted(kept) == sorted(order)
