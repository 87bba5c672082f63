"""More attempts: ways to speak with the host, or to take from it, that are neither files nor the network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.sandbox.attacks import READ, Attack, changes_granted, opens, reaches

if TYPE_CHECKING:
    from tests.sandbox.conftest import Outcome
    from tests.sandbox.world import World

WRITE = ("write:project/**",)


def disturbs(world: World, _: Outcome) -> bool:
    """What waits in the host's named pipe is not what the host has put there."""
    return world.orders() != world.order


def tells_when_it_began(_: World, outcome: Outcome) -> bool:
    """It knows for how long the machine has been running, within an hour, by one clock or another."""
    runs = time.clock_gettime(time.CLOCK_BOOTTIME)
    return any(abs(float(said) - runs) < 3600 for said in outcome.out.split())


CHANNELS = [
    Attack(
        "learn from a clock for how long the machine has been running",
        """
print(time.clock_gettime(time.CLOCK_BOOTTIME), time.clock_gettime(time.CLOCK_MONOTONIC))
print(time.clock_gettime(time.CLOCK_MONOTONIC_RAW), time.monotonic())
info = (ctypes.c_long * 64)()
call(99, 179, info)
print(info[0])
""",
        tells_when_it_began,
    ),
    Attack(
        "message queues of System V",
        "queue = call(68, 186, 0, 0o1600); call(71, 187, queue, 0, None); print('OPENED')",
        opens,
    ),
    Attack(
        "semaphores of System V",
        "found = call(64, 190, 0, 1, 0o1600); call(66, 191, found, 0, 0, 0); print('OPENED')",
        opens,
    ),
    Attack(
        "message queues of POSIX",
        """
name = facts['mark'].encode()
call(240, 180, name, os.O_CREAT | os.O_RDWR, 0o600, None)
call(241, 181, name)
print('OPENED')
""",
        opens,
    ),
    Attack("open a socket of ICMP", "socket.socket(2, 2, 1); print('OPENED')", opens),
    Attack(
        "take a descriptor of a process",
        "call(438, 438, os.pidfd_open(facts['victim']), 0, 0); print('OPENED')",
        opens,
    ),
    Attack(
        "make a named pipe in a folder granted for reading",
        "os.mkfifo(facts['project'] + '/pipe')",
        changes_granted,
        READ,
    ),
    *(
        attack
        for kind, grants in (("reading", READ), ("writing", WRITE))
        for attack in (
            Attack(
                f"write into a named pipe of the host under a grant of {kind}",
                "os.write(os.open(facts['fifo'], os.O_WRONLY | os.O_NONBLOCK), b'another')",
                disturbs,
                grants,
            ),
            Attack(
                f"empty a named pipe of the host under a grant of {kind}",
                "os.read(os.open(facts['fifo'], os.O_RDONLY | os.O_NONBLOCK), 1000)",
                disturbs,
                grants,
            ),
            Attack(
                f"connect to a socket in a folder under a grant of {kind}",
                """
s = socket.socket(socket.AF_UNIX); s.connect(facts['inner']); s.sendall(facts['mark'].encode())
""",
                reaches,
                grants,
            ),
            Attack(
                f"connect to a socket deep in a folder under a grant of {kind}",
                """
s = socket.socket(socket.AF_UNIX); s.connect(facts['project'] + '/deep/er/socket')
s.sendall(facts['mark'].encode())
""",
                reaches,
                grants,
            ),
        )
    ),
]
