"""`conductor.evaluate preference`: what it refuses. What it measures stands in docs/conductor.md."""

from __future__ import annotations

import subprocess
import sys


def test_a_user_who_corrects_nothing_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "preference", "--corrections", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
