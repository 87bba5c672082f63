"""What a killed process left in a home goes at the next start, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from symphony.config.files import write_atomically
from symphony.config.home import Home
from tests.hosting import hosted

HALF = """
import os, signal, sys
from pathlib import Path
import symphony.config.files as files
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), b"half")
"""


async def test_half_written_files_and_stages_of_rehearsals_go(home: Path) -> None:
    place = Home(home).create()
    killed = subprocess.run([sys.executable, "-c", HALF, str(home / "usage.json")], check=False)
    assert killed.returncode < 0
    assert [path.name for path in home.glob(".usage.json.*")]
    write_atomically(home / "mine.txt", b"mine")
    (home / ".hidden").write_text("mine, too")
    ended = subprocess.Popen(["true"])
    ended.wait()
    stages = place.cache / "rehearsals"
    for name in (f"{ended.pid}-abc", f"{os.getpid()}-abc"):
        (stages / name / "store").mkdir(parents=True)
    async with hosted(home):
        assert not list(home.glob(".usage.json.*"))
        assert (home / "mine.txt").exists() and (home / ".hidden").exists()
        assert [stage.name for stage in stages.iterdir()] == [f"{os.getpid()}-abc"]
