"""A disk that fails under the journal of a run: the run ends with one line, and a healthy disk goes on with it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pit.disk_that_fails import NUMBERS
from tests.pit.host_on_a_failing_disk import BEFORE, LAST, melody
from tests.pit.theatre import Json, Theatre

pytestmark = pytest.mark.skipif(
    not NUMBERS, reason="the numbers of this machine's system calls are not known here"
)
FAULTS = [
    ("write", errno.EIO, "effect", "storage_failed"),
    ("write", errno.ENOSPC, "effect", "storage_full"),
    ("write", errno.EDQUOT, "nothing", "storage_full"),
    ("fdatasync", errno.EIO, "effect", "storage_failed"),
    ("fdatasync", errno.ENOSPC, "effect", "storage_full"),
    # What was written is synced soon, without anybody waiting for it,
    ("fdatasync", errno.EIO, "long", "storage_failed"),
    # and before a run is said to have succeeded.
    ("fdatasync", errno.EIO, "nothing", "storage_failed"),
]


def played(home: Path, call: str, number: int, ends: str) -> Json:
    """What a host told whose disk failed in the middle of the run."""
    words = [str(home), call, str(number), ends]
    command = [sys.executable, "-m", "tests.pit.host_on_a_failing_disk", *words]
    root = Path(__file__).parents[2]
    host = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert host.returncode == 0, host.stderr
    told: Json = json.loads(host.stdout)
    return told


@pytest.mark.parametrize(
    ("call", "number", "ends", "code"),
    FAULTS,
    ids=[f"{call}-{errno.errorcode[n]}-{ends}" for call, n, ends, _ in FAULTS],
)
def test_a_journal_on_a_failing_disk_loses_nothing_that_was_told(
    tmp_path: Path, call: str, number: int, ends: str, code: str
) -> None:
    told = played(tmp_path, call, number, ends)
    error = told["end"]["error"]
    assert (told["end"]["state"], error["code"]) == ("failed", code)
    journal = str(tmp_path / "runs" / "run" / "journal")
    assert error["message"].startswith(f"The run's journal could not be written: {journal}"), error
    assert "\n" not in error["message"] and "resume the run" in error["remedy"]
    done = {name for name, state in told["nodes"].items() if state == "succeeded"}
    assert {f"n{i}" for i in range(BEFORE)} <= done
    if ends == "effect":
        # Before an effect the journal is on the disk, or the effect does not happen; nor is it tried once more.
        assert LAST not in done and told["calls"] == BEFORE
    if ends == "long":
        return

    theatre = Theatre(tmp_path)
    try:
        written = theatre.runtime.finished(str(tmp_path / "runs" / "run"), "run")
        assert done <= set(written), "told, and not in the journal"
        theatre.register()
        theatre.answers["control"] = lambda question: theatre.runtime.decide(
            question["token"], {"outputs": {"value": True}}
        )
        plan = melody(theatre, ends)
        resumed = theatre.runtime.resume(plan["dir"], plan)
        assert resumed["torn"] == 0 and done <= set(resumed["kept"])
        assert theatre.end("run")["state"] == "succeeded"
        running = {e["node"] for e in theatre.events if e["event"] == "node" and e["state"] == "running"}
        assert not running & done, "what was finished ran again"
        assert ends == "nothing" or LAST in running
        assert {event["state"] for event in theatre.nodes("run").values()} == {"succeeded"}
    finally:
        theatre.close()
