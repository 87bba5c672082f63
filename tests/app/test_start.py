"""What the start of a host may load: a page is shown before anything heavy is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_page_is_served_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path / "home"), *LATER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
