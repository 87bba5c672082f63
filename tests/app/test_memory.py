"""What the host needed for a moment goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from pathlib import Path
from symphony.app.memory import give_back_what_is_free

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "set":
    give_back_what_is_free()
largest = bytearray(24 << 20)
del largest  # from now on glibc takes blocks of this size for such that are better kept
before = resident()
filling, blocks, small = b"x" * (1 << 20), [], []
for _ in range(100):
    blocks.append(bytearray(filling))
    small.append(bytearray(100_000))  # what is still in use behind each
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
@pytest.mark.parametrize("setting", ["set", "unset"])
def test_freed_blocks_go_back_to_the_system(setting: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, setting], capture_output=True, text=True, check=True)
    kept = int(done.stdout)
    if setting == "set":
        assert kept < 30 << 20
    else:
        assert kept > 50 << 20, "glibc has learnt to do it by itself: the setting can go"
