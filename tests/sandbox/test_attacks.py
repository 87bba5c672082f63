"""Every attack fails in the sandbox, and succeeds without it, so that the failure means something.

What must not be possible, and who tries it (`attacks.py` and `attacks_channels.py` unless another file is named; in
copies of the template, `test_template.py` tries all of theirs again):

| what | tried by |
|---|---|
| absolute paths, `..`, symbolic links | "read a file by its path", "... with ..", "follow a link out of ..." |
| hard links, devices | "hard-link a granted file ...", "read the disk itself", "change a device file ..." |
| other devices | `test_devices.py` |
| named pipes, of the host and made | "write into ...", "empty a named pipe of the host ...", "make a named pipe ..." |
| `/proc` | "read the root of ...", "reopen a granted file ...", "change a setting of the kernel" |
| descriptors, inherited and of others | "read an inherited descriptor", "take a descriptor of a process" |
| descriptors, passed | `tests/stage/test_excess.py` |
| secrets of the environment | "read the environment that the host has", "... of every process" |
| ptrace, process_vm | "trace a process ...", "trace a child", "read a process's memory" |
| signals to the host | "kill a process of the host", "kill it through a pidfd" |
| namespaces, mounts | "make a user namespace", "clone ...", "clone3 ...", "mount", "leave by chroot" |
| set-user-id programs | "become the superuser by a set-user-id program" |
| io_uring, keyrings, bpf, perf, userfaultfd | by these names, and by the x32 and 32-bit entry points |
| clocks | "learn from a clock ..." |
| terminals | `test_nothing_is_typed_into_the_terminal`, in three widths |
| daemons | "leave a daemon behind"; for the host's end `test_uses.py` |
| TCP, UDP, ICMP, raw, netlink, vsock, AF_ALG | "connect over TCP", "send over UDP", "open a socket of ..." |
| abstract and pathname sockets | "connect to an abstract socket", "... of the file system", "... in a folder ..." |
| queues of System V and POSIX | "message queues of ...", "semaphores of ...", "memory queues of ..." |
| fork, memory, disk, inode, descriptor bombs | "more ... than granted" |
| output bombs | `tests/stage/test_excess.py`; of messages `tests/stage/test_floods.py` |
| crash loops | `tests/stage/test_crash_loops.py`; deaths under load `tests/stage/test_kills.py` |

Known and not prevented: a named pipe, or a socket, that is made in a folder granted for reading after the sandbox has
begun (`docs/security.md`).
"""

from __future__ import annotations

import os
import pty
import re
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.attacks import ATTACKS, PRELUDE, Attack
from tests.sandbox.attacks_channels import CHANNELS
from tests.sandbox.conftest import Identity, Outcome
from tests.sandbox.world import World

LACKING = re.compile(
    r"(OSError|PermissionError|FileNotFoundError|ConnectionRefusedError|ProcessLookupError|AttributeError)\b"
)
"""What the kernel, or a Python that was built without it, says of what is not there or is not this user's."""


def _script(attack: Attack) -> str:
    return PRELUDE + attack.script.replace("TOKEN", "")


def _attack_inside(identity: Identity, world: World, attack: Attack) -> Outcome:
    options: dict[str, Any] = {"change": attack.change}
    if attack.inherits:
        options["inherit"] = str(world.secret)
    return identity.sandbox(
        ["python3", "-I", "-c", _script(attack), world.facts()],
        grants=list(attack.grants),
        project=str(world.project),
        env=dict.fromkeys(attack.env, world.token),
        **options,
    )


def _attack_outside(identity: Identity, world: World, attack: Attack) -> Outcome:
    options: dict[str, Any] = {"env": dict.fromkeys(attack.env, world.token)}
    if attack.inherits:
        descriptor = os.open(world.secret, os.O_RDONLY)
        options["pass_fds"] = [descriptor]
    try:
        return identity.run([identity.python, "-I", "-c", _script(attack), world.facts()], **options)
    finally:
        if attack.inherits:
            os.close(descriptor)


@pytest.mark.parametrize("attack", [*ATTACKS, *CHANNELS], ids=lambda attack: attack.name.replace(" ", "-"))
def test_attack_fails_inside_and_succeeds_outside(
    attack: Attack, identity: Identity, make_world: Callable[[], World]
) -> None:
    if not attack.runs_here():
        pytest.skip(f"written for {attack.machine}")
    if "set-user-id" in attack.name and os.geteuid() != 0:
        pytest.skip("only the superuser can make such a program")
    world = make_world()
    inside = _attack_inside(identity, world, attack)
    assert "REFUSED" not in inside.err, inside
    assert not attack.judge(world, inside), inside
    if attack.only_root and identity.uid != 0:
        return  # outside, too, it takes the superuser
    world = make_world()
    outside = _attack_outside(identity, world, attack)
    if not attack.judge(world, outside):
        # A control that fails without the kernel's word shows nothing but a fault of the test.
        said = outside.err.strip().splitlines()[-1:] or [""]
        assert LACKING.match(said[0]), (attack.name, outside)
        pytest.skip(f"this machine has no such thing: {attack.name}: {said[0]}")


TYPE = """
import ctypes, fcntl, os, sys
libc = ctypes.CDLL(None, use_errno=True)
failed = 0
for command in (0x5412, 0x100005412, 0xFFFFFFFF00005412):
    for character in b"typed":
        number = 16 if os.uname().machine == "x86_64" else 29
        arguments = ctypes.c_ulong(command), ctypes.byref(ctypes.c_char(character))
        failed += libc.syscall(ctypes.c_long(number), ctypes.c_long(0), *arguments) < 0
print("refused", failed)
"""


def _typed_into_terminal(run: Callable[[int], Outcome]) -> tuple[bytes, Outcome]:
    """What a program typed into the terminal that is its standard input."""
    master, slave = pty.openpty()
    try:
        settings = termios.tcgetattr(slave)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 0, 0
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        outcome = run(slave)
        return os.read(slave, 100), outcome
    finally:
        os.close(master)
        os.close(slave)


def test_nothing_is_typed_into_the_terminal(identity: Identity) -> None:
    typed, outcome = _typed_into_terminal(
        lambda terminal: identity.sandbox(["python3", "-I", "-c", TYPE], stdin=terminal)
    )
    assert typed == b""
    assert "refused 15" in outcome.out
    if identity.uid == 0:
        typed, _ = _typed_into_terminal(
            lambda terminal: identity.run([identity.python, "-I", "-c", TYPE], stdin=terminal)
        )
        assert typed.startswith(b"typed"), "the control"


def test_no_privilege_is_left(identity: Identity) -> None:
    outcome = identity.sandbox(["cat", "/proc/self/status"])
    status = dict(line.split(":\t", 1) for line in outcome.out.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == ["1000"] * 4
    assert int(status["NSpid"].split()[-1]) < 10


def test_the_root_holds_nothing_of_the_host(identity: Identity) -> None:
    outcome = identity.sandbox(
        ["find", "/", "-xdev", "-not", "-path", "/proc/*", "-not", "-path", "/dev/*", "-type", "f"]
    )
    files = set(outcome.out.split())
    assert {"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"} <= files
    assert all(path.startswith("/etc/") for path in files), files
    assert not outcome.err.replace("CAUSE None", "").strip(), outcome.err


def test_a_folder_cannot_be_a_stream(identity: Identity) -> None:
    outcome = identity.sandbox(["cat"], stream="/")
    assert outcome.code == 200
    assert "folder" in outcome.err


@pytest.mark.parametrize("path", ["/", "/proc", "/dev/shm", "/sys/fs"])
def test_what_would_undo_the_sandbox_cannot_be_granted(identity: Identity, path: str) -> None:
    from symphony.errors import BadInput
    from symphony.stage.sandbox import spec_for

    if not Path(path).exists():
        pytest.skip(f"{path} is not on this machine")
    with pytest.raises(BadInput, match="sandbox"):
        spec_for([f"read:{path.rstrip('/')}/**"], argv=["true"])
