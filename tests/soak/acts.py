"""What happens in a soak, each act in a loop of its own: prompts, calls, pages, installations, kills, resumptions."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from symphony.errors import SymphonyError
from tests.soak.page import Page, PageEnded, Refused
from tests.soak.stage import PATIENCE, SIZES, Stage
from tests.soak.tally import Tally

Json = dict[str, Any]

PROMPTS = (
    "Which files change most and are hardest to maintain? Write me a report with a chart",
    "How many commits did each author make in the last 200 days? Chart please",
    "List all TODOs in src/ and write them to a report",
    "Top 10 largest files",
    "Summarise the README",
    "read data/sales.csv, add up the amount per region and draw a bar chart",
    "from data/sales.csv show me the 5 biggest rows by amount",
    "Zeig mir alle offenen TODOs als Tabelle",
    "¿cuáles son los archivos más grandes?",
    "20 most complicated functions as a table",
    "how many lines of code do we have per language? make it a pie chart",
    "word count for README.md",
)
"""Each can be done in the project of the stage."""
VIEWS = ("board", "artifacts", "market", "store", "settings", "compose")
SLOW = {
    "format": "symphony.melody/1",
    "name": "slow",
    "nodes": [
        {
            "id": f"s{index}",
            "kind": "operator",
            "player": "symphony/shell#run",
            "params": {"command": ["sh", "-c", f"sleep 0.4; echo {index}"]},
        }
        for index in range(4)
    ],
    "edges": [{"kind": "control", "from": f"s{i}", "to": f"s{i + 1}"} for i in range(3)],
}
"""Long enough for a kill to fall into it."""
LIVES = 4
"""Early deaths after which a Player is spared until it has lived for a while."""
BUS_TROUBLE = frozenset({"protocol", "timeout", "refused", "gone", "unavailable"})
"""Codes of a call that came to no answer for a reason that lies between host and Player."""
EXTENSIONS = ("symphony/changelog", "symphony/diagram", "symphony/licenses", "symphony/markdown")


class Acts:
    """All acts of one soak. `open` is set while they may begin something new."""

    def __init__(self, stage: Stage, tally: Tally, seed: int) -> None:
        self.stage = stage
        self.tally = tally
        self.open = asyncio.Event()
        self.open.set()
        self.is_over = False
        self.busy = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.runs: dict[str, str] = {}
        """Every run that was acknowledged, and what was last known of it."""
        self.artifacts: set[str] = set()
        """Every artifact that a finished run has named."""
        self._seed = seed

    def chance(self, act: str) -> random.Random:
        """The source of an act's choices."""
        return random.Random(f"{self._seed} {act}")

    async def over(self, act: Callable[[random.Random], Awaitable[None]], name: str, pause: float) -> None:
        """Does an act again and again until the soak is over."""
        chance = self.chance(name)
        while not self.is_over:
            await self.open.wait()
            await self.stage.is_up.wait()
            if self.is_over or not self.open.is_set():
                continue
            async with self._at_work():
                await act(chance)
            await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        self.busy += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.busy -= 1
            if not self.busy:
                self.idle.set()

    # --- melodies ----------------------------------------------------------------------------
    async def prompt(self, chance: random.Random) -> None:
        """A sentence into the box, the Melody played, every artifact of it read."""
        epoch = self.stage.epoch
        try:
            page = await Page.open(self.stage.address, "prompts")
        except (PageEnded, Refused) as error:
            self.tally.note("bus", "page opened", str(error) or "ended", injected=epoch != self.stage.epoch)
            return
        try:
            await self._compose_and_play(page, chance.choice(PROMPTS), epoch)
        finally:
            await page.close()

    async def _compose_and_play(self, page: Page, prompt: str, epoch: int) -> None:
        def is_injected() -> bool:
            return epoch != self.stage.epoch

        try:
            answer = await asyncio.wait_for(page.ask("submitPrompt", prompt=prompt), PATIENCE)
            valid = (
                bool(answer["possible"])
                and (await page.ask("validateMelody", melody=answer["melody"]))["valid"]
            )
        except (Refused, PageEnded, TimeoutError) as error:
            self.tally.note("Conductor", "prompt", f"{prompt!r}: {error!r}", injected=is_injected())
            return
        self.tally.note("Conductor", "prompt", "" if valid else f"{prompt!r} was not possible")
        if valid:
            await self._play(page, answer["draft"], prompt, epoch)

    async def slow(self, _chance: random.Random) -> None:
        """A Melody that takes long enough to be killed."""
        epoch = self.stage.epoch
        try:
            page = await Page.open(self.stage.address, "slow")
        except (PageEnded, Refused):
            return
        try:
            await self._play(page, SLOW, "", epoch)
        finally:
            await page.close()

    async def _play(self, page: Page, melody: Any, prompt: str, epoch: int) -> None:
        began, run = time.monotonic(), ""
        try:
            run = (await page.ask("executeMelody", melody=melody, prompt=prompt, agreed=True))["run"]
            self.runs[run] = "running"
            seen = await page.ask("subscribeToWorkflow", run=run)
            if seen["run"]["status"] != "running":
                info = seen["run"]
            else:
                info = await asyncio.wait_for(page.end_of(run), PATIENCE)
            self.note_run(info, began)
            await self._read_artifacts(page, info)
        except (Refused, PageEnded, TimeoutError) as error:
            self.tally.note("Pit", "run", f"{run}: {error!r}", injected=epoch != self.stage.epoch)

    def note_run(self, info: Json, began: float) -> None:
        """Counts a run that has ended: its end is the Pit's, its steps are the Players', their calls the bus's."""
        self.runs[info["id"]] = info["status"]
        struck = False
        for node in info["nodes"]:
            if node["status"] in ("skipped", "cancelled", "pending"):
                continue
            extension = str(node["player"]).partition("#")[0]
            error = node["error"] or {}
            code = str(error.get("code", ""))
            killed = self.stage.was_killed(extension, began)
            struck = struck or (bool(code) and killed)
            said = f"{node['player']}: {code}: {error.get('message')}" if code else ""
            for _ in range(max(1, node["attempts"])):
                self.tally.note("bus", "call of a step", said if code in BUS_TROUBLE else "", injected=killed)
            self.tally.note("Players", "step", said, injected=killed)
            if node["status"] == "succeeded":
                self.artifacts.update(node["artifacts"])
        settled = info["status"] in ("succeeded", "failed", "cancelled")
        self.tally.note("Pit", "run", "" if settled else f"{info['id']} is {info['status']}", injected=struck)

    async def _read_artifacts(self, page: Page, info: Json) -> None:
        named = [id for node in info["nodes"] if node["status"] == "succeeded" for id in node["artifacts"]]
        for id in named:
            content = bytearray()
            while True:
                piece = await page.ask("getArtifactContent", id=id, offset=len(content))
                got = base64.b64decode(piece["content"])
                content += got
                if not got or len(content) >= piece["artifact"]["bytes"]:
                    break
            is_same = "sha256:" + hashlib.sha256(content).hexdigest() == id
            self.tally.note("Pit", "artifact read", "" if is_same else f"{id} reads as something else")

    async def resume(self) -> None:
        """Goes on with every run that a kill interrupted, by the command, and counts what became of it."""
        listed = (await self.stage.client.list_runs(100_000))["runs"]
        known = {run["id"]: run for run in listed}
        for run, status in list(self.runs.items()):
            if run not in known:
                self.tally.note("Pit", "run kept", f"the run {run} ({status}) is lost")
                continue
            now = known[run]["status"]
            is_kept = now == status if status in ("succeeded", "failed") else True
            self.tally.note("Pit", "run kept", "" if is_kept else f"the run {run} was {status} and is {now}")
            if now == "interrupted":
                await self._resume(run)

    async def _resume(self, run: str) -> None:
        epoch, began = self.stage.epoch, time.monotonic()
        code, out, err = await self.stage.command("runs", "resume", run, "--yes", "--json")
        try:
            info = json.loads(out)["run"]
        except (ValueError, KeyError):
            self.tally.note(
                "Pit",
                "resume",
                f"{run}: {code} {out[-300:]} {err[-300:]}",
                injected=epoch != self.stage.epoch,
            )
            return
        self.tally.note("Pit", "resume")
        self.note_run(info, began)

    # --- single calls ------------------------------------------------------------------------
    async def call(self, chance: random.Random) -> None:
        """A file read by a Player: in the frame, in a segment, in a memory file; compared byte by byte."""
        name = chance.choice(sorted(SIZES))
        wanted = (self.stage.project / name).read_text()
        epoch, began = self.stage.epoch, time.monotonic()

        def is_injected() -> bool:
            return epoch != self.stage.epoch or self.stage.was_killed("symphony/files", began)

        try:
            answer = await asyncio.wait_for(
                self.stage.client.call_function(
                    "symphony/files#read", {"path": name}, None, str(self.stage.project)
                ),
                PATIENCE,
            )
        except (SymphonyError, TimeoutError, OSError) as error:
            self.tally.note("bus", f"call with {name}", repr(error), injected=is_injected())
            return
        said = "" if answer["outputs"]["text"] == wanted else f"{name} came back changed"
        self.tally.note("bus", f"call with {name}", said)

    # --- pages -------------------------------------------------------------------------------
    async def browse(self, chance: random.Random) -> None:
        """A page is loaded, walked through and left, as a reload does; its tree is the host's tree."""
        epoch = self.stage.epoch
        name = f"page {chance.randrange(3)}"

        def note(kind: str, failure: str = "") -> None:
            self.tally.note("Virtual DOM", kind, failure, injected=epoch != self.stage.epoch)

        try:
            page = await asyncio.wait_for(Page.open(self.stage.address, name), PATIENCE)
        except (PageEnded, Refused, TimeoutError) as error:
            note("first tree", repr(error))
            return
        note("first tree")
        try:
            for _ in range(chance.randrange(2, 6)):
                await asyncio.wait_for(self._click(page, chance), PATIENCE)
                note("event")
            note("tree", await self.compare(page))
        except (PageEnded, Refused, TimeoutError) as error:
            note("event", repr(error))
        finally:
            await page.close()
        for _ in range(page.patches):
            self.tally.note("Virtual DOM", "patch")
        if page.problem is not None:
            note("patch", str(page.problem))

    async def _click(self, page: Page, chance: random.Random) -> None:
        view = chance.choice(VIEWS)
        await page.do("shell", "navigate", view)
        if view == "market":
            await page.do("market.search", "change", chance.choice(("", "release notes", "licenses", "git")))
        elif view == "settings":
            await page.do("settings.search", "change", chance.choice(("", "pool", "theme")))
        elif view == "artifacts":
            await page.do("artifacts.search", "change", chance.choice(("", "report", "chart")))
        await asyncio.sleep(chance.uniform(0.0, 0.2))

    async def compare(self, page: Page, tries: int = 20) -> str:
        """Says what is wrong when the patched tree is not the drawn one. While things happen a patch may be on its
        way, so that one equal pair of several is enough.
        """
        for _ in range(tries):
            patched, whole = await page.whole()
            if patched == whole:
                return ""
            await asyncio.sleep(0.1)
        return "the tree that the patches made is not the host's"

    # --- extensions --------------------------------------------------------------------------
    async def install(self, chance: random.Random) -> None:
        """Installs, updates, goes back, switches off or removes an extension of the registry."""
        client, name = self.stage.client, chance.choice(EXTENSIONS)
        epoch = self.stage.epoch
        try:
            rows = (await client.list_extensions())["extensions"]
            row = next(r for r in rows if r["name"] == name)
            if not row["installed"]:
                source = f"{name}@{chance.choice(('=1.0.0', '*'))}"
                await client.install_extension(source, await self._wanted(source))
            elif row["update"] and chance.random() < 0.5:
                await client.update_extension(name, await self._wanted(name, client.update_extension))
                if chance.random() < 0.5:
                    await client.rollback_extension(name)
            elif not row["enabled"]:
                await client.enable_extension(name, True)
            elif chance.random() < 0.3:
                await client.enable_extension(name, False)
            else:
                await client.remove_extension(name)
            self.tally.note("Pit", "extension changed")
        except (SymphonyError, OSError, StopIteration) as error:
            self.tally.note(
                "Pit", "extension changed", f"{name}: {error!r}", injected=epoch != self.stage.epoch
            )

    async def _wanted(self, source: str, change: Callable[..., Awaitable[Json]] | None = None) -> list[str]:
        """The grants that are asked for: nothing changes as long as nobody has agreed."""
        try:
            await (change or self.stage.client.install_extension)(source, None)
        except SymphonyError as error:
            if error.code != "consent_needed":
                raise
            return [str(finding["grant"]) for finding in error.findings if "grant" in finding]
        return []

    # --- kills -------------------------------------------------------------------------------
    async def kill_player(self, chance: random.Random) -> None:
        """`kill -9` of one Player, whatever it does; of none that would be given up for it as one that cannot live."""
        try:
            players = (await self.stage.client.metrics())["players"]
        except (SymphonyError, OSError):
            return
        alive = sorted(
            (key, state) for key, state in players.items() if state["pid"] and state["failures"] < LIVES
        )
        if not alive:
            return
        _, state = alive[chance.randrange(len(alive))]
        try:
            os.kill(int(state["pid"]), signal.SIGKILL)
        except ProcessLookupError:
            return
        self.stage.player_kills.append((time.monotonic(), str(state["extension"])))

    async def kill_host(self) -> None:
        """`kill -9` of the host in the middle of everything, and a new start on the same home."""
        await self.stage.kill()
        await self.stage.start()
