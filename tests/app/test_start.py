"""What the start of a host and a command may load: a page is shown before anything heavy is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from symphony.app.host import Host
from symphony.app.lock import HomeLock
from symphony.config.home import Home

ROOT = Path(__file__).resolve().parents[2]

START = """
import asyncio, sys
from pathlib import Path
from symphony.app.host import Host
from symphony.app.lock import HomeLock
from symphony.config.home import Home

async def main():
    home = Home(Path(sys.argv[1])).create()
    lock = HomeLock(home.lock)
    assert lock.acquire()
    host = Host(home, lock=lock, page=("127.0.0.1", 0))
    await host.start()
    print(*sorted(set(sys.argv[2:]) & set(sys.modules)))
    await host.stop()

asyncio.run(main())
"""
LATER = [
    *("numpy", "onnxruntime", "tokenizers", "conductor.core", "torch"),  # the Conductor, once a page is shown
    *("boto3", "botocore", "azure"),  # tiers, when something moves
    *("cryptography", "keyring"),  # signatures and keys, where there are any
    *("httpx2", "rich", "yaml", "jsonschema", "markdown"),
]


LOADING = """
import gc, sys
from symphony.app.loading import load_host
load_host(page=True)
assert gc.isenabled() and gc.get_freeze_count() > 10_000, gc.get_freeze_count()
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""
NEVER = [
    *LATER,
    "networkx",
    "tantivy",
    "symphony.cli",
    "symphony.mcp",
    "symphony.mcp.tools",
    "tkinter",
    "PIL",
]
"""What the modules of the host do not even name."""
COMMAND = """
import sys
from symphony.cli import cli
try:
    cli.main(["runs", "list"], standalone_mode=False)
finally:
    print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""
ASKING = [
    *LATER,
    "pydantic",
    "symphony.config.configuration",
    "symphony.app.host",
    "starlette",
    "uvicorn",
    "sqlite3",
]
"""What a command that asks a running host has no use for."""


def test_a_page_is_served_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    assert _printed(START, str(tmp_path / "home"), *LATER) == ""


def test_the_modules_of_the_host_name_nothing_heavy_and_are_left_out_of_the_collector() -> None:
    assert _printed(LOADING, *NEVER) == ""


def test_a_command_that_asks_a_running_host_loads_neither_settings_nor_host(tmp_path: Path) -> None:
    """It is answered in the time that the interpreter, click and asyncio take to load."""
    home = Home(tmp_path / "home").create()
    lock = HomeLock(home.lock)
    assert lock.acquire()
    host = Host(home, lock=lock)

    async def ask() -> str:
        await host.start()
        try:
            return await asyncio.to_thread(_printed, COMMAND, *ASKING, home=home.path)
        finally:
            await host.stop()

    assert asyncio.run(ask()) == 'Nothing has been played yet; try `symphony run "…"`.\n'


def _printed(program: str, *arguments: str, home: Path | None = None) -> str:
    """What a program prints, less the end of its last line."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, **({"SYMPHONY_HOME": str(home)} if home else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")
