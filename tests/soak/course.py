"""The course of a soak: a storm with kills of the host, a long life without, then a look at what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symphony.errors import SymphonyError
from tests.soak.acts import Acts
from tests.soak.leftovers import left, mounts, shared_memory
from tests.soak.page import Page
from tests.soak.stage import PATIENCE, Stage
from tests.soak.tally import Tally

Json = dict[str, Any]

STORM = 0.4
"""The part of the time in which the host is killed."""
WARM_UP = 0.4
"""The part of the long life after which its memory is taken for the first time."""
GROWTH = 1.03
"""How much the host may grow from there to its end."""
JUDGED_LIFE = 300.0
"""Seconds of the long life from which on growth is judged; in less, caches still fill."""
AT_WORK = frozenset({"loading", "warming", "active"})
KILL_EVERY = 6.0
"""Seconds between two kills of the host."""


class Soak:
    """One soak in a folder of its own. `say` takes what happens, a line at a time."""

    def __init__(self, folder: Path, seconds: float, seed: int, say: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._seed = seed
        self._say = say
        self.stage = Stage(folder)
        self.tally = Tally()
        self.acts = Acts(self.stage, self.tally, seed)
        self._problems: list[str] = []

    async def run(self) -> Json:
        """The report: `{"ok", "problems", "layers", …}`."""
        before = mounts() | shared_memory()
        await self.stage.start()
        try:
            first, last, life = await self._perform()
            return await self._finish(before, first, last, life)
        finally:
            await self.stage.end()

    async def _perform(self) -> tuple[int, int, float]:
        """Everything at once: the host's memory after its warm-up and at its end, and the seconds of that life."""
        acts = self.acts
        loops = [
            acts.over(acts.prompt, "prompt 1", 0.2),
            acts.over(acts.prompt, "prompt 2", 0.2),
            acts.over(acts.slow, "slow", 0.3),
            acts.over(acts.call, "call", 0.1),
            acts.over(acts.browse, "browse 1", 0.2),
            acts.over(acts.browse, "browse 2", 0.2),
            acts.over(acts.install, "install", 0.5),
            acts.over(acts.kill_player, "kill a Player", 2.0),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            async with asyncio.timeout(self._seconds + 10 * PATIENCE):
                await self._storm(tasks)
                answer = await self._long_life(tasks)
                acts.is_over = True
                acts.open.set()
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return answer

    async def _storm(self, tasks: list[asyncio.Task[None]]) -> None:
        """Kills of the host; after each, what was interrupted goes on."""
        chance = self.acts.chance("kill the host")
        ends = time.monotonic() + self._seconds * STORM
        while time.monotonic() < ends:
            await self._pass(chance.uniform(0.5, 1.5) * min(KILL_EVERY, self._seconds * STORM / 2), tasks)
            await self.acts.kill_host()
            self._say(f"host killed {self.stage.host_kills} times, started in {self.stage.starts[-1]:.2f} s")
            await self.acts.resume()

    async def _long_life(self, tasks: list[asyncio.Task[None]]) -> tuple[int, int, float]:
        life = self._seconds * (1 - STORM)
        began = time.monotonic()
        await self._pass(life * WARM_UP, tasks)
        first = await self._quiet()
        self._say(f"the host holds {first / 1e6:.1f} MB after its warm-up")
        self.acts.open.set()
        await self._pass(life - (time.monotonic() - began), tasks)
        last = await self._quiet()
        self._say(f"the host holds {last / 1e6:.1f} MB at its end")
        return first, last, life

    async def _pass(self, seconds: float, tasks: list[asyncio.Task[None]]) -> None:
        """Lets time pass; an act that ends by an error ends the soak."""
        done, _ = await asyncio.wait(tasks, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _quiet(self) -> int:
        """The host's memory when nothing plays and no page is open; before, trees are compared."""
        self.acts.open.clear()
        await asyncio.wait_for(self.acts.idle.wait(), 2 * PATIENCE)
        page = await Page.open(self.stage.address, "quiet")
        try:
            # Everything is still, so that the two must be equal.
            difference = await self.acts.compare(page)
            self.tally.note("Virtual DOM", "tree at rest", difference)
        finally:
            await page.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            players = (await self.stage.client.metrics())["players"]
            if not any(state["state"] in AT_WORK for state in players.values()):
                break
            assert time.monotonic() < deadline, f"Players stay at work: {players}"
            await asyncio.sleep(0.1)
        return self.stage.memory()

    async def _finish(self, before: set[str], first: int, last: int, life: float) -> Json:
        await self._look_for_losses()
        status = await self.stage.stop()
        if status:
            self._problems.append(f"the host ended with status {status}")
        self._problems += [f"left: {what}" for what in await self._left(before)]
        self._problems += self.tally.broken()
        growth = last / first
        if life >= JUDGED_LIFE and growth > GROWTH:
            self._problems.append(f"the host grew from {first / 1e6:.1f} to {last / 1e6:.1f} MB")
        starts = sorted(self.stage.starts)
        return {
            "ok": not self._problems,
            "problems": self._problems,
            "seconds": self._seconds,
            "seed": self._seed,
            **self.tally.to_json(),
            "kills": {"host": self.stage.host_kills, "players": len(self.stage.player_kills)},
            "runs": len(self.acts.runs),
            "artifacts": len(self.acts.artifacts),
            "start": {"median": starts[len(starts) // 2], "worst": starts[-1]},
            "memory": {"warm": first, "end": last, "growth": round(growth, 4), "judged": life >= JUDGED_LIFE},
        }

    async def _look_for_losses(self) -> None:
        """Every run and artifact that was acknowledged is there, and every bit checks out."""
        await self.acts.resume()
        try:
            findings = (await self.stage.client.verify_artifacts())["findings"]
        except SymphonyError as error:
            findings = [str(error)]
        self._problems += [f"the store: {finding}" for finding in findings]
        for artifact in sorted(self.acts.artifacts):
            try:
                await self.stage.client.get_artifact(artifact, 0)
            except SymphonyError as error:
                self._problems.append(f"an acknowledged artifact is lost: {error}")

    async def _left(self, before: set[str]) -> list[str]:
        """What is left; the kernel may take a moment to end what the host has let go."""
        deadline = time.monotonic() + 10
        while (
            found := left(self.stage.home, self.stage.scratch, self.stage.hosts, before)
        ) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        return found


def lines(report: Json) -> list[str]:
    """The report for a terminal."""
    said = []
    for layer, row in report["layers"].items():
        said.append(
            f"{layer:12} {row['share']:9.4f} % of {row['well'] + row['failed']:>7} "
            f"(promised {row['promised']} %), {row['ended_by_a_kill']} ended by a kill"
        )
    memory, kills = report["memory"], report["kills"]
    said += [
        f"kills        {kills['host']} of the host, {kills['players']} of Players",
        f"kept         {report['runs']} runs, {report['artifacts']} artifacts",
        f"memory       {memory['warm'] / 1e6:.1f} → {memory['end'] / 1e6:.1f} MB, × {memory['growth']}",
        *(f"failure      {failure}" for failure in report["failures"]),
        *(f"PROBLEM      {problem}" for problem in report["problems"]),
    ]
    return said
