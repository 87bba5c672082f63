"""More attempts: ways to speak with the host, or to take from it, that are neither files nor the network."""

from __future__ import annotations

from tests.sandbox.attacks import READ, Attack, changes_granted, opens

CHANNELS = [
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
]
