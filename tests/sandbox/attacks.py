"""Attempts to break out, each as a script, with a judge that looks only at the world outside."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sandbox.conftest import Outcome
    from tests.sandbox.world import World

Judge = Callable[["World", "Outcome"], bool]

PRELUDE = """
import ctypes, errno, json, os, signal, socket, struct, subprocess, sys, time
facts = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(x86_64, aarch64, *arguments):
    number = x86_64 if os.uname().machine == "x86_64" else aarch64
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""


def leaks(world: World, outcome: Outcome) -> bool:
    """The secret came out."""
    return world.token in outcome.out


def changes_target(world: World, _: Outcome) -> bool:
    """A file of the host is not what it was."""
    return not world.target.exists() or world.target.read_text() != "untouched"


def changes_granted(world: World, _: Outcome) -> bool:
    """A file that was granted for reading is not what it was."""
    if not world.granted.exists() or world.granted.read_text() != "untouched":
        return True
    return world.granted.stat().st_mode & 0o777 != 0o600 or set(world.project.iterdir()) != world.entries


def kills(world: World, _: Outcome) -> bool:
    """A process of the host has ended."""
    return world.is_victim_dead()


def reaches(world: World, _: Outcome) -> bool:
    """A listener of the host heard it."""
    return world.received()


def opens(_: World, outcome: Outcome) -> bool:
    """The kernel gave what no sandboxed program may have: the script says so after it really got it."""
    return "OPENED" in outcome.out


@dataclass(frozen=True)
class Attack:
    """A script, who judges it, and what it is given. `only_root` where its control needs the superuser."""

    name: str
    script: str
    judge: Judge
    grants: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    inherits: bool = False
    only_root: bool = False
    machine: str = ""
    change: dict[str, Any] = field(default_factory=dict)

    def runs_here(self) -> bool:
        """Whether this machine's processor is one that the attack is written for."""
        return not self.machine or platform.machine() == self.machine


READ = ("read:project/**",)

FILES = [
    Attack("read a file by its path", "print(open(facts['secret']).read())", leaks),
    Attack("read a file by a path with ..", "print(open('/tmp/..' + facts['secret']).read())", leaks),
    Attack(
        "follow a link out of a granted folder",
        "print(open(facts['project'] + '/link.txt').read())",
        leaks,
        READ,
    ),
    Attack(
        "climb out of a granted folder",
        "print(open(facts['project'] + '/../secret.txt').read())",
        leaks,
        READ,
    ),
    Attack(
        "list every folder up to the root",
        """
for folder in ('/', '/..', os.path.dirname(facts['secret'])):
    for base, _, names in os.walk(folder):
        if base.startswith(('/usr', '/proc', '/lib', '/sys', '/dev')): continue
        if 'secret.txt' in names: print(open(base + '/secret.txt').read())
        if len(base) > 200: break
""",
        leaks,
    ),
    Attack(
        "make a link to the secret and read that",
        """
os.symlink(facts['secret'], '/tmp/a' + facts['mark'])
try: print(open('/tmp/a' + facts['mark']).read())
finally: os.unlink('/tmp/a' + facts['mark'])
""",
        leaks,
    ),
    Attack("write a file by its path", "open(facts['target'], 'w').write('changed')", changes_target),
    Attack("delete a file", "os.unlink(facts['target'])", changes_target),
    Attack(
        "write into a folder granted for reading",
        "open(facts['granted'], 'w').write('changed')",
        changes_granted,
        READ,
    ),
    Attack(
        "create in a folder granted for reading",
        "open(facts['project'] + '/new', 'w')",
        changes_granted,
        READ,
    ),
    Attack("change the mode of a granted file", "os.chmod(facts['granted'], 0o666)", changes_granted, READ),
    Attack(
        "reopen a granted file for writing through /proc",
        """
fd = os.open(facts['granted'], os.O_RDONLY)
os.write(os.open(f'/proc/self/fd/{fd}', os.O_RDWR | os.O_TRUNC), b'changed')
""",
        changes_granted,
        READ,
    ),
    Attack(
        "hard-link a granted file and write that",
        """
copy = facts['project'] + '/hard'
os.link(facts['granted'], copy)
open(copy, 'w').write('changed')
""",
        changes_granted,
        READ,
    ),
    Attack(
        "write under a grant of writing",
        "open(facts['granted'], 'w').write('changed')",
        changes_granted,
        ("write:project/**",),
    ),
    Attack(
        "delete under a grant of writing",
        "os.unlink(facts['granted'])",
        changes_granted,
        ("write:project/**",),
    ),
    Attack(
        "change a mode under a grant of writing",
        "os.chmod(facts['granted'], 0o666)",
        changes_granted,
        ("write:project/**",),
    ),
    Attack(
        "read the host's passwords",
        """
print('OPENED') if open('/etc/shadow').read().startswith('root:') else None
""",
        opens,
        only_root=True,
    ),
    Attack("read shared memory of the host", "print(open(facts['shm']).read())", leaks),
    Attack(
        "read the disk itself",
        """
path = '/tmp/d' + facts['mark']
os.mknod(path, 0o60600, facts['device'])
try:
    if len(os.read(os.open(path, os.O_RDONLY), 512)) == 512: print('OPENED')
finally: os.unlink(path)
""",
        opens,
        only_root=True,
    ),
    Attack(
        "change a device file of the host",
        """
before = os.stat('/dev/full').st_mode
os.chmod('/dev/full', before | 0o1000)
os.chmod('/dev/full', before)
print('OPENED')
""",
        opens,
        only_root=True,
    ),
    Attack(
        "change a setting of the kernel",
        """
path = '/proc/sys/kernel/printk_ratelimit_burst'
before = open(path).read()
open(path, 'w').write(before)
print('OPENED')
""",
        opens,
        only_root=True,
    ),
    Attack(
        "open a file by its handle",
        """
handle = (ctypes.c_char * 136)()
struct.pack_into('I', handle, 0, 128)
mount = ctypes.c_int()
here = os.open('/usr', os.O_RDONLY)
call(303, 264, ctypes.c_int(-100), b'/usr', handle, ctypes.byref(mount), 0)
call(304, 265, here, handle, 0)
print('OPENED')
""",
        opens,
        only_root=True,
    ),
]

PROCESSES = [
    Attack(
        "read the root of pid 1",
        "print(open('/proc/1/root' + facts['secret']).read())",
        leaks,
        only_root=True,
    ),
    Attack(
        "read the root of every process",
        """
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: print(open(f'/proc/{pid}/root' + facts['secret']).read())
    except OSError: pass
""",
        leaks,
    ),
    Attack(
        "read the environment of every process",
        """
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: print(open(f'/proc/{pid}/environ').read())
    except OSError: pass
""",
        leaks,
    ),
    Attack(
        "read the environment that the host has",
        "print(dict(os.environ))",
        leaks,
        env={"HOST_SECRET": "TOKEN"},
    ),
    Attack(
        "read an inherited descriptor",
        """
for fd in range(3, 256):
    try: print(os.pread(fd, 100, 0).decode())
    except OSError: pass
""",
        leaks,
        inherits=True,
    ),
    Attack("kill a process of the host", "os.kill(facts['victim'], signal.SIGKILL)", kills),
    Attack(
        "kill it through a pidfd",
        "signal.pidfd_send_signal(os.pidfd_open(facts['victim']), signal.SIGKILL)",
        kills,
    ),
    Attack(
        "read a process's memory",
        """
buffer = ctypes.create_string_buffer(32)
class Piece(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
local = Piece(ctypes.addressof(buffer), 32); remote = Piece(facts['address'], 32)
call(310, 270, facts['victim'], ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
print(buffer.raw.decode())
""",
        leaks,
    ),
    Attack(
        "trace a process and end it",
        """
call(101, 117, 16, facts['victim'], None, None)
os.waitpid(facts['victim'], 0x40000000)
call(101, 117, 8, facts['victim'], None, None)
""",
        kills,
    ),
    Attack(
        "trace a child",
        """
pid = os.fork()
if pid == 0:
    time.sleep(100)
try:
    call(101, 117, 16, pid, None, None)
    os.waitpid(pid, 0)
    print('OPENED')
finally: os.kill(pid, signal.SIGKILL)
""",
        opens,
    ),
    Attack(
        "leave a daemon behind",
        """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open('/dev/null', os.O_RDWR)
        for fd in range(3): os.dup2(null, fd)
        os.execv('/bin/sleep', ['sleep', '0.2718281828', '600'])
    os._exit(0)
os.wait()
""",
        lambda world, outcome: is_daemon_left(),
    ),
    Attack(
        "become the superuser by a set-user-id program",
        """
out = subprocess.run([facts['project'] + '/id', '-u'], capture_output=True, text=True).stdout
print('OPENED') if out.strip() == '0' else None
""",
        opens,
        READ,
    ),
]


def is_daemon_left() -> bool:
    """Ends daemons of the attack that outlived it; whether there were any."""
    import os
    import signal
    from pathlib import Path

    found = False
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"0.2718281828" in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                found = True
        except OSError:
            continue
    return found


def _socket(name: str, family: int, kind: int, protocol: int, only_root: bool = False) -> Attack:
    script = f"socket.socket({family}, {kind}, {protocol}); print('OPENED')"
    return Attack(f"open a socket of {name}", script, opens, only_root=only_root)


NETWORK = [
    Attack(
        "connect over TCP",
        """
socket.create_connection(('127.0.0.1', facts['tcp']), 2).sendall(facts['mark'].encode())
""",
        reaches,
    ),
    Attack(
        "send over UDP",
        """
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(facts['mark'].encode(), ('127.0.0.1', facts['udp']))
""",
        reaches,
    ),
    Attack(
        "connect to a socket of the file system",
        """
s = socket.socket(socket.AF_UNIX); s.connect(facts['unix']); s.sendall(facts['mark'].encode())
""",
        reaches,
    ),
    Attack(
        "connect to an abstract socket",
        """
s = socket.socket(socket.AF_UNIX); s.connect('\\0' + facts['abstract']); s.sendall(facts['mark'].encode())
""",
        reaches,
    ),
    _socket("netlink", 16, 3, 0),
    _socket("packets", 17, 3, 768, only_root=True),
    _socket("raw packets", 2, 3, 1, only_root=True),
    _socket("the kernel's cryptography", 38, 5, 0),
    _socket("the hypervisor", 40, 1, 0),
]

KERNEL = [
    Attack("make a user namespace", "call(272, 97, 0x10000000); print('OPENED')", opens),
    Attack(
        "clone into new namespaces",
        """
pid = call(56, 220, 0x10000000 | 0x20000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
print('OPENED')
""",
        opens,
    ),
    Attack(
        "clone3 into new namespaces",
        """
arguments = (ctypes.c_uint64 * 8)(0x10000000 | 0x20000, 0, 0, 0, 17, 0, 0, 0)
pid = call(435, 435, arguments, 64)
if pid == 0: os._exit(0)
print('OPENED')
""",
        opens,
    ),
    Attack(
        "mount",
        """
call(272, 97, 0x10000000 | 0x20000)
call(165, 40, b'none', b'/tmp', b'tmpfs', 0, None)
print('OPENED')
""",
        opens,
    ),
    Attack("open a file system", "call(430, 430, b'tmpfs', 0); print('OPENED')", opens, only_root=True),
    Attack(
        "leave by chroot",
        """
os.makedirs('/tmp/c' + facts['mark'])
os.chroot('/tmp/c' + facts['mark'])
os.chdir('../../../../../..'); os.chroot('.')
print(open(facts['secret']).read())
""",
        leaks,
        only_root=True,
    ),
    Attack("io_uring", "call(425, 425, 4, (ctypes.c_char * 120)()); print('OPENED')", opens),
    Attack(
        "bpf",
        "call(321, 280, 0, struct.pack('IIIII', 2, 4, 8, 1, 0) + bytes(100), 72); print('OPENED')",
        opens,
        only_root=True,
    ),
    Attack("userfaultfd", "call(323, 282, 1); print('OPENED')", opens),
    Attack(
        "perf_event_open",
        """
call(298, 241, struct.pack('IIQQQQQ', 1, 112, 1, 0, 0, 0, 0x60) + bytes(64), 0, -1, -1, 0); print('OPENED')
""",
        opens,
    ),
    Attack(
        "keep a secret in the user's keyring",
        "call(248, 217, b'user', facts['mark'].encode(), b'x', 1, -4); print('OPENED')",
        opens,
    ),
    Attack("address-space layout off", "call(135, 92, 0x0040000); print('OPENED')", opens),
    Attack("memory queues of System V", "call(29, 194, 0, 4096, 0o1600); print('OPENED')", opens),
    Attack(
        "x32 system calls",
        "call(0x40000000 + 39, 0x40000000); print('OPENED')",
        lambda w, o: o.code != 159,
        machine="x86_64",
    ),
    Attack(
        "32-bit system calls",
        """
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex('b814000000cd80c3'))  # getpid through int 0x80
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
print('OPENED')
""",
        opens,
        machine="x86_64",
    ),
]

BOMBS = [
    Attack(
        "more processes than granted",
        """
children = []
try:
    for _ in range(60):
        pid = os.fork()
        if pid == 0: time.sleep(100)
        children.append(pid)
    print('OPENED')
finally:
    for pid in children: os.kill(pid, signal.SIGKILL)
""",
        opens,
        change={"limits": {"processes": 30}},
    ),
    Attack(
        "more threads than granted",
        """
import threading
done = threading.Event()
try:
    for _ in range(60): threading.Thread(target=done.wait, daemon=True).start()
    print('OPENED', flush=True)
finally: done.set()
""",
        opens,
        change={"limits": {"processes": 30}},
    ),
    Attack(
        "more memory than granted, in one process",
        """
blocks = [bytearray(b'x') * (8 << 20) for _ in range(40)]
print('OPENED', flush=True); time.sleep(0.5)
print('HELD')
""",
        lambda w, o: "HELD" in o.out,
        change={"limits": {"memory": 96 << 20}},
    ),
    Attack(
        "more memory than granted, in many processes",
        """
children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        block = bytearray(b'x') * (40 << 20)
        time.sleep(100)
    children.append(pid)
time.sleep(2)
alive = [os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in children]
for pid in children: os.kill(pid, signal.SIGKILL)
print('HELD' if all(alive) else '')
""",
        lambda w, o: "HELD" in o.out,
        change={"limits": {"memory": 128 << 20}},
    ),
    Attack(
        "more scratch space than granted",
        """
path = '/tmp/big' + facts['mark']
try:
    with open(path, 'wb') as file: file.write(bytes(8 << 20))
    print('OPENED')
finally: os.unlink(path)
""",
        opens,
        change={"scratch": {"size": 2 << 20}},
    ),
    Attack(
        "more files than granted",
        """
folder = '/tmp/many' + facts['mark']
os.mkdir(folder)
try:
    for n in range(300): open(f'{folder}/{n}', 'w').close()
    print('OPENED')
finally:
    for name in os.listdir(folder): os.unlink(f'{folder}/{name}')
    os.rmdir(folder)
""",
        opens,
        change={"scratch": {"inodes": 100}},
    ),
    Attack(
        "a larger file than granted",
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = '/tmp/large' + facts['mark']
try:
    with open(path, 'wb') as file: file.write(bytes(4 << 20))
    print('OPENED')
finally: os.unlink(path)
""",
        opens,
        change={"limits": {"file_size": 1 << 20}},
    ),
    Attack(
        "more descriptors than granted",
        """
held = [os.open('/dev/null', os.O_RDONLY) for _ in range(200)]
print('OPENED')
""",
        opens,
        change={"limits": {"files": 64}},
    ),
    Attack(
        "raise its own limits",
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
print('OPENED')
""",
        opens,
        only_root=True,
        change={"limits": {"files": 64}},
    ),
]

ATTACKS = [*FILES, *PROCESSES, *NETWORK, *KERNEL, *BOMBS]
