"""A disk that fails under the journal of a run: the run ends with one line, and a healthy disk goes on with it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pit.disk_that_fails import NUMBERS
from tests.pit.host_on_a_failing_disk import BEFORE, BEHIND, EFFECT, melody
from tests.pit.theatre import Json, Theatre

pytestmark = pytest.mark.skipif(
    not NUMBERS, reason="the numbers of this machine's system calls are not known here"
)
FAULTS = [
    ("write", errno.EIO, "storage_failed"),
    ("write", errno.ENOSPC, "storage_full"),
    ("write", errno.EDQUOT, "storage_full"),
    ("fdatasync", errno.EIO, "storage_failed"),
    ("fdatasync", errno.ENOSPC, "storage_full"),
]


def played(home: Path, call: str, number: int) -> Json:
    """What a host told whose disk failed in the middle of the run."""
    command = [sys.executable, "-m", "tests.pit.host_on_a_failing_disk", str(home), call, str(number)]
    root = Path(__file__).parents[2]
    host = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert host.returncode == 0, host.stderr
    told: Json = json.loads(host.stdout)
    return told


@pytest.mark.parametrize(
    ("call", "number", "code"), FAULTS, ids=[f"{call}-{errno.errorcode[n]}" for call, n, _ in FAULTS]
)
def test_a_journal_on_a_failing_disk_loses_nothing_that_was_told(
    tmp_path: Path, call: str, number: int, code: str
) -> None:
    told = played(tmp_path, call, number)
    error = told["end"]["error"]
    assert (told["end"]["state"], error["code"]) == ("failed", code)
    journal = str(tmp_path / "runs" / "run" / "journal")
    assert error["message"].startswith(f"The run's journal could not be written: {journal}"), error
    assert "\n" not in error["message"] and "resume the run" in error["remedy"]
    # Before an effect the journal is on the disk, or the effect does not happen; nor is it tried once more.
    assert told["nodes"][EFFECT] != "succeeded"
    assert told["calls"] == BEFORE
    done = {name for name, state in told["nodes"].items() if state == "succeeded"}
    assert {f"n{i}" for i in range(BEFORE)} <= done

    theatre = Theatre(tmp_path)
    try:
        written = theatre.runtime.finished(str(tmp_path / "runs" / "run"), "run")
        assert done <= set(written), "told, and not in the journal"
        theatre.register()
        theatre.answers["control"] = lambda question: theatre.runtime.decide(
            question["token"], {"outputs": {"value": True}}
        )
        plan = melody(theatre)
        resumed = theatre.runtime.resume(plan["dir"], plan)
        assert resumed["torn"] == 0 and done <= set(resumed["kept"])
        assert theatre.end("run")["state"] == "succeeded"
        running = {e["node"] for e in theatre.events if e["event"] == "node" and e["state"] == "running"}
        assert not running & done, "what was finished ran again"
        assert EFFECT in running and len(theatre.nodes("run")) == BEFORE + BEHIND + 2
    finally:
        theatre.close()
