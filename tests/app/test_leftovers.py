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


async def test_a_summary_that_was_being_written_goes_and_its_run_stays(home: Path, tmp_path: Path) -> None:
    place = Home(home).create()
    melody = {
        "format": "symphony.melody/1",
        "name": "m",
        "nodes": [{"id": "files", "kind": "operator", "player": "symphony/files#list"}],
        "edges": [],
    }
    async with hosted(home, project=tmp_path) as host:
        run = (await host.execute_melody(melody, project=str(tmp_path)))["run"]
        await host.services.engine.ended(run)
    (place.runs / run / "run.new").write_text("{")
    (place.runs / "never-begun").mkdir()
    (place.runs / "never-begun" / "run.new").write_text("{")
    async with hosted(home) as host:
        assert [one["id"] for one in (await host.list_runs())["runs"]] == [run]
        assert not list(place.runs.glob("*/run.new")) and not (place.runs / "never-begun").exists()
