"""What the template and the launcher do where the kernel lacks something: a filter answers in its place."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, Outcome
from tests.sandbox.template_host import driver, entry
from tests.sandbox.world import World

WITHOUT = """
import ctypes, os, struct, sys
number, mask, answer = (int(text, 0) for text in sys.argv[1].split(','))
steps = [
    (0x20, 0, 0, 0), (0x15, 0, 4, number),  # the call, else it is let through
    (0x20, 0, 0, 16), (0x54, 0, 0, mask), (0x15, 0, 1, mask),  # its first argument
    (0x06, 0, 0, 0x50000 | answer), (0x06, 0, 0, 0x7FFF0000),
]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
header = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(steps), ctypes.addressof(program)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""
LANDLOCK = "444,0,38"
CLONE = 56 if platform.machine() == "x86_64" else 220
NAMESPACES = {
    "user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x8000000,
    "uts": 0x4000000, "cgroup": 0x2000000,
}  # fmt: skip
LACKING = {f"{name}_namespace": f"{CLONE},{flag:#x},1" for name, flag in NAMESPACES.items()}
LACKING["time_namespace"] = f"{272 if platform.machine() == 'x86_64' else 97},0x80,22"
LACKING["seccomp"] = f"{317 if platform.machine() == 'x86_64' else 277},0,38"
LAYERS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pit_native import sandbox_layers
print(json.dumps([layer["name"] for layer in sandbox_layers() if not layer["available"]]))
"""
LOOK = """
import json
facts = json.loads(sys.argv[1])
for path in (facts["secret"], facts["granted"]):
    try: print(open(path, "r+").read())
    except OSError as error: print(type(error).__name__)
print(open(facts["granted"]).read())
"""


def under(identity: Identity, lacking: str) -> list[str]:
    """A command that executes another where a system call is answered as by a kernel that lacks it."""
    return [identity.python, "-I", "-c", WITHOUT, lacking]


def missing(identity: Identity, lacking: str) -> set[str]:
    command = [*under(identity, lacking), identity.python, "-I", "-c", LAYERS, str(identity.library)]
    return set(json.loads(identity.run(command).out))


def test_without_landlock_the_mounts_hold_alone(
    identity: Identity, template_library: Path, make_world: Callable[[], World]
) -> None:
    """Copied and launched: what is not granted has no name, what is granted for reading is read-only."""
    assert "landlock" in missing(identity, LANDLOCK)
    world = make_world()
    with driver(identity, template_library, under=under(identity, LANDLOCK)) as host:
        assert host.ask("warm")["state"] == "warm"
        for cold in (False, True):
            script = entry("import sys" + LOOK, world.facts())
            answer = host.play(script, cold=cold, grants=["read:project/**"], project=str(world.project))
            assert answer["out"].split() == ["FileNotFoundError", "OSError", "untouched"], answer


@pytest.mark.parametrize(
    "layer", sorted(LACKING.keys() - {"user_namespace", "mount_namespace", "pid_namespace"})
)
def test_without_a_layer_nothing_starts_unless_it_is_waived(
    identity: Identity, template_library: Path, layer: str
) -> None:
    """The template, which needs none, is warm; its copies and the launcher's Players are refused alike."""
    assert layer in missing(identity, LACKING[layer])
    with driver(identity, template_library, under=under(identity, LACKING[layer])) as host:
        assert host.ask("warm")["state"] == "warm"
        for cold in (False, True):
            answer = host.ask("play", script=entry("print('started')"), cold=cold)
            assert answer["code"] == 200 and layer in answer["err"], answer
            waived = {"allow_missing": [layer], "loopback": False}
            answer = host.ask("play", script=entry("print('started')"), cold=cold, change=waived)
            assert answer["out"] == "started\n", answer


@pytest.mark.parametrize("layer", ["user_namespace", "mount_namespace", "pid_namespace"])
def test_without_what_holds_the_others_up_nothing_starts_at_all(
    identity: Identity, template_library: Path, layer: str
) -> None:
    assert layer in missing(identity, LACKING[layer])
    with driver(identity, template_library, under=under(identity, LACKING[layer])) as host:
        for waived in ({}, {"allow_missing": [layer]}):
            answer = host.ask("play", script=entry("print('started')"), cold=True, change=waived)
            assert answer["code"] == 200 and layer.split("_")[0] in answer["err"], answer
            assert "started" not in answer["out"]


def test_without_control_groups_the_superuser_starts_nothing_unless_it_is_waived(identity: Identity) -> None:
    """Whom `RLIMIT_NPROC` does not bind. Waived, the first process inside sums memory."""
    if identity.uid != 0:
        pytest.skip("an ordinary user is bound by limits of resources")
    without = 'umount --lazy --all --types cgroup,cgroup2 && exec "$@"'
    request: dict[str, Any] = {
        "library": str(identity.library),
        "launcher": str(identity.launcher),
        "argv": [
            "python3",
            "-c",
            "import time; print('started', flush=True); held = bytearray(400 << 20); time.sleep(60)",
        ],
    }

    def ask(**change: Any) -> Outcome:
        text = json.dumps({**request, "change": {"limits": {"memory": 128 << 20}, **change}})
        place = str(identity.library / "tests" / "sandbox" / "driver.py")
        command = ["unshare", "--mount", "sh", "-c", without, "sh", identity.python, "-B", place, text]
        return identity.run(command)

    refused = ask()
    if "unshare:" in refused.err or "umount:" in refused.err:
        pytest.skip("no mounts of its own are to be had here")
    assert refused.code == 200 and "control_groups" in refused.err and "started" not in refused.out, refused
    waived = ask(allow_missing=["control_groups"])
    assert waived.out == "started\n" and "CAUSE memory" in waived.err, waived
