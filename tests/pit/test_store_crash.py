"""What was acknowledged survives: kill -9, a full disk, a sync that fails, in a process of its own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import pit_native

WRITER = """
import itertools, os, sys
import pit_native

store = pit_native.ArtifactStore(sys.argv[1])
for number in itertools.count(int(sys.argv[2])):
    content = b"%d " % number * (number % 700 + 1)
    aid = store.put(content, name=f"a{number % 50}", type="text/plain", meta={"run": f"r{number}"})
    if number % 40 == 39:
        store.gc([info["id"] for info in store.list(limit=20)])
    os.write(1, f"{number} {aid}\\n".encode())
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end and returns what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20)
    path = tmp_path / "store"
    number = 0
    # The crate kills itself far more often; this shows that acknowledgements hold through Python.
    for _ in range(max(3, int(os.environ.get("SYMPHONY_KILLS", "30")) // 10)):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().split()]
        time.sleep(chance.random() * 0.4)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.split() for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()
        number = int(acknowledged[-1][0])
        # A collection keeps the twenty newest, of which the last may not be known here.
        newest = acknowledged[-19:]
        with pit_native.ArtifactStore(path) as store:
            assert store.verify() == []
            for count, aid in newest:
                assert store.get(aid) == f"{count} ".encode() * (int(count) % 700 + 1)
            assert store.info(acknowledged[-1][1])["run"] == f"r{number}"
        number += 1


FILL = """
import os, resource, signal, sys
import pit_native
from symphony.errors import StorageFull

store = pit_native.ArtifactStore(sys.argv[1])
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
ids = []
try:
    for number in range(1000):
        content = os.urandom(20_000)
        ids.append((store.put(content, name=f"a{number}"), content))
except StorageFull as error:
    print(type(error).__name__, error.exit_code)
for aid, content in ids:
    assert store.get(aid) == content
# Something small may still fit, and what does not fit is told again.
for size in (50_000, 50_000):
    try:
        store.put(os.urandom(size), name="large")
    except StorageFull:
        print("full")
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    again = store.put(b"there is room again", name="again")
    assert store.get(again) == b"there is room again"
assert store.verify() == []
store.close()
store = pit_native.ArtifactStore(sys.argv[1])
assert store.verify() == []
for aid, content in ids:
    assert store.get(aid) == content
print("kept", len(ids) > 10)
"""


def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path) -> None:
    done = run(FILL, str(tmp_path / "store"), "1000000")
    assert done.stdout.split("\n")[:4] == ["StorageFull 3", "full", "full", "kept True"], done.stderr


def test_a_full_file_system_is_told_and_costs_nothing(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    mount = "mount -t tmpfs -o size=2m none"
    own = [unshare or "", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if unshare is None or subprocess.run([*own, f"{mount} {tmp_path}"], capture_output=True).returncode:
        pytest.skip("no mount namespace of one's own here")
    inner = f'{mount} "$0" && exec "$@"'
    done = subprocess.run(
        [*own, inner, str(tmp_path), sys.executable, "-c", FILL, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split("\n")[:4] == ["StorageFull 3", "full", "full", "kept True"], done.stderr


FAIL_SYNC = """
import ctypes, errno, platform, struct, sys
import pit_native
from symphony.errors import EnvironmentLacks

store = pit_native.ArtifactStore(sys.argv[1])
kept = store.put(b"acknowledged", name="a")

# From here on fdatasync fails with EIO, by a filter on all threads of this process.
number = {"x86_64": 75, "aarch64": 83}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, 0x50000 | errno.EIO), (RETURN, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("HBBI", *step) for step in steps)
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall({"x86_64": 317, "aarch64": 277}[platform.machine()], 1, 1, program) == 0

for number in range(2):
    try:
        store.put(b"not acknowledged %d" % number, name="b")
    except EnvironmentLacks as error:
        print(error.code)
assert store.get(kept) == b"acknowledged"
"""


def test_after_a_failing_sync_nothing_more_is_written_until_it_is_opened_again(tmp_path: Path) -> None:
    done = run(FAIL_SYNC, str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["storage_failed", "storage_failed"]
    with pit_native.ArtifactStore(tmp_path / "store") as store:
        assert store.verify() == []
        assert {info["name"] for info in store.list()} <= {"a", "b"}
        assert "a" in {info["name"] for info in store.list()}
        assert store.put(b"works again", name="c")


def test_the_lock_does_not_reach_programs_that_were_started(tmp_path: Path) -> None:
    with pit_native.ArtifactStore(tmp_path / "store"):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
        )
    try:
        pit_native.ArtifactStore(tmp_path / "store").close()
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()


@pytest.mark.parametrize("cut", [1, 31, 33, 60])
def test_a_torn_end_is_cut_off_in_silence(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "store"
    with pit_native.ArtifactStore(path) as store:
        first = store.put(b"first", name="a")
    (log,) = (path / "segments").iterdir()
    whole = log.stat().st_size
    with pit_native.ArtifactStore(path) as store:
        store.put(b"torn" * 20, name="b")
    with log.open("r+b") as file:
        file.truncate(whole + cut)
    with pit_native.ArtifactStore(path) as store:
        assert [info["id"] for info in store.list()] == [first]
        assert store.verify() == []
        assert store.put(b"next", name="c")
    with pit_native.ArtifactStore(path) as store:
        assert [info["name"] for info in store.list()] == ["c", "a"]
