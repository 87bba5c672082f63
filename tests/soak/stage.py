"""The stage of a soak: a project with a history, a registry of its own, and the host process that is killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from symphony.app.wire import HostClient
from symphony.kit.embed import embed
from tests.conftest import BRANCHY, GitHistory
from tests.soak.leftovers import family, pss

ROOT = Path(__file__).resolve().parents[2]
SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")
PATIENCE = 90.0
"""Seconds that something may take at most that must come."""

SETTINGS = """\
[registry]
folder = {registry}
[stage.crashes]
limit = 0
"""
"""An extension whose Players are killed is not switched off for it; all else is as it comes."""

SIZES = {"notes/small.txt": 1_000, "notes/medium.txt": 300_000, "notes/large.txt": 5_000_000}
"""Files whose content travels in the frame, in a segment and in a memory file of its own."""


def make_project(folder: Path) -> Path:
    """A git project with code, data and texts; always the same."""
    history = GitHistory(folder)
    history.write("README.md", "# Harbour\n\nHarbour counts ships. It reads logs. It writes reports.\n")
    history.write("data/sales.csv", "region,amount\nnorth,10\nsouth,30\nnorth,5\neast,7\n")
    history.write("src/core.py", BRANCHY)
    history.commit("first", days_ago=200)
    for step in range(12):
        history.write("src/core.py", BRANCHY.replace("branchy", f"branchy{step}") + f"# TODO: step {step}\n")
        history.write(f"src/part{step}.py", f"def part{step}(value):\n    return value + {step}\n")
        author = "Grace Hopper" if step % 2 else "Ada Lovelace"
        history.commit(f"core {step}", author, days_ago=100 - step * 8)
    for name, size in SIZES.items():
        line = f"{name} holds nothing but this line. "
        history.write(name, (line * (size // len(line) + 1))[:size])
    history.commit("notes", "Linus Torvalds", days_ago=1)
    return history.path


def make_registry(folder: Path) -> Path:
    """The extensions that the marketplace offers, each in two versions, signed as `make build` does."""
    sources = folder / "sources"
    for manifest in sorted((ROOT / "extensions" / "registry").glob("*/Symphony.toml")):
        for version in ("1.0.0", "1.1.0"):
            place = sources / f"{manifest.parent.name}-{version}"
            shutil.copytree(manifest.parent, place, ignore=shutil.ignore_patterns("__pycache__"))
            text = (place / "Symphony.toml").read_text()
            (place / "Symphony.toml").write_text(
                text.replace('version = "1.0.0"', f'version = "{version}"', 1)
            )
    embed(folder / "registry", [sources])
    return folder / "registry"


class Stage:
    """The host on its home. `epoch` counts its lives: what began in one and ended in another met a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.scratch = folder / "scratch"
        self.project = make_project(folder / "project")
        self.home.mkdir()
        self.scratch.mkdir()
        registry = make_registry(folder)
        (self.home / "config.toml").write_text(SETTINGS.format(registry=f'"{registry}"'))
        self.epoch = 0
        self.is_up = asyncio.Event()
        self.player_kills: list[tuple[float, str]] = []
        """When a Player of which extension was killed."""
        self.host_kills = 0
        self.hosts: set[int] = set()
        """The processes of all lives."""
        self.starts: list[float] = []
        """Seconds of each start, to the page's address."""
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def client(self) -> HostClient:
        """The host's methods through its own socket, as commands reach them."""
        return HostClient(self.home / "host.sock")

    @property
    def pid(self) -> int:
        """The host's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """Of the host and of commands beside it."""
        return {**os.environ, "SYMPHONY_HOME": str(self.home), "TMPDIR": str(self.scratch)}

    async def start(self) -> None:
        """Starts the host and waits for its page's address."""
        began = time.monotonic()
        with (self.folder / "host.err").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(SYMPHONY, "serve", "--project", str(self.project)),
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        self.hosts.add(self._process.pid)
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        self.address = line.decode().strip()
        if not self.address.startswith("http://"):
            errors_said = (self.folder / "host.err").read_text()[-2000:]
            raise AssertionError(f"the host did not start: {self.address!r} {errors_said}")
        self.starts.append(time.monotonic() - began)
        self.is_up.set()

    async def kill(self) -> None:
        """Kills the host, and waits until no process of it is left: the kernel ends them, nobody else does."""
        self.is_up.clear()
        self.epoch += 1
        self.host_kills += 1
        assert self._process is not None
        members = family(self.pid)
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        deadline = time.monotonic() + PATIENCE
        while any(_is_alive(pid) for pid in members):
            assert time.monotonic() < deadline, "processes outlive a killed host"
            await asyncio.sleep(0.02)

    async def stop(self) -> int:
        """Asks the host to end; its exit status."""
        self.is_up.clear()
        self.epoch += 1
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def end(self) -> None:
        """Ends a host that a broken soak has left."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """A command beside the host: its exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            SYMPHONY,
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
        return process.returncode or 0, out.decode(), err.decode()

    def memory(self) -> int:
        """The host's proportional set in bytes, without its children."""
        return pss(self.pid)

    def was_killed(self, extension: str, since: float) -> bool:
        """Whether a Player of an extension was killed after a moment."""
        return any(name == extension and moment >= since for moment, name in self.player_kills)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
