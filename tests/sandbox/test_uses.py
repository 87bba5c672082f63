"""What people do in a sandbox, and must be able to do."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import Identity

PYTHON = ["python3", "-I", "-c"]


@dataclass(frozen=True)
class Use:
    """A program that must work: what it prints, at least, and what it is given."""

    name: str
    argv: list[str]
    prints: str
    needs: str = ""
    request: dict[str, Any] = field(default_factory=dict)


# At least thirty things of which each must work for the superuser and for an ordinary user.
USES = [
    Use("python", [*PYTHON, "import sys; print(sys.version_info >= (3, 11))"], "True"),
    Use(
        "imports",
        [
            *PYTHON,
            "import asyncio, ctypes, decimal, email, http, json, lzma, re, sqlite3, ssl, zoneinfo; print('all')",
        ],
        "all",
    ),
    Use(
        "sqlite",
        [
            *PYTHON,
            """
import sqlite3
base = sqlite3.connect('/tmp/a.db'); base.execute('pragma journal_mode=wal')
base.execute('create table t(x)'); base.executemany('insert into t values (?)', [(n,) for n in range(1000)])
base.commit(); print(base.execute('select sum(x) from t').fetchone()[0])
""",
        ],
        "499500",
    ),
    Use(
        "temporary files",
        [
            *PYTHON,
            """
import tempfile, os
with tempfile.NamedTemporaryFile() as a, tempfile.TemporaryDirectory() as b:
    a.write(b'x'); print(os.path.isdir(b), a.name[:5])
""",
        ],
        "True /tmp/",
    ),
    Use(
        "threads",
        [
            *PYTHON,
            """
import threading
done = []; ts = [threading.Thread(target=done.append, args=(n,)) for n in range(50)]
[t.start() for t in ts]; [t.join() for t in ts]; print(len(done))
""",
        ],
        "50",
    ),
    Use(
        "processes of python",
        [
            *PYTHON,
            """
import multiprocessing as m
if __name__ == '__main__':
    with m.Pool(3) as pool: print(sum(pool.map(abs, range(-10, 0))))
""",
        ],
        "55",
    ),
    Use(
        "subprocess",
        [
            *PYTHON,
            "import subprocess; print(subprocess.check_output(['sort', '-r'], input='a\\nb\\n', text=True))",
        ],
        "b\na",
    ),
    Use(
        "asyncio subprocess",
        [
            *PYTHON,
            """
import asyncio
async def main():
    p = await asyncio.create_subprocess_exec('echo', 'hi', stdout=-1)
    print((await p.communicate())[0], p.returncode)
asyncio.run(main())
""",
        ],
        "b'hi\\n' 0",
    ),
    Use(
        "its own loopback",
        [
            *PYTHON,
            """
import socket, threading
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b'pong')).start()
print(socket.create_connection(server.getsockname()).recv(10), socket.gethostbyname('localhost'))
""",
        ],
        "b'pong' 127.0.0.1",
    ),
    Use(
        "pipes of a shell",
        [
            "sh",
            "-c",
            "seq 1 1000 | grep 7 | wc -l; (exit 3) || echo $?; cat </dev/null >/dev/null; head -c4 /dev/zero | wc -c",
        ],
        "271\n3\n4",
    ),
    Use(
        "who and where",
        ["sh", "-c", "id -un; hostname; pwd; echo $HOME; date +%Z"],
        "player\nsymphony\n/tmp\n/tmp\nUTC",
    ),
    Use(
        "sort of a large file",
        ["sh", "-c", "seq 1 400000 | tac > /tmp/n && sort -n -S 1M /tmp/n | head -1"],
        "1",
    ),
    Use("a named pipe", ["sh", "-c", "mkfifo /tmp/p; (echo through > /tmp/p &); cat /tmp/p"], "through"),
    Use(
        "node",
        [
            "node",
            "-e",
            "setTimeout(() => console.log([1,2,3].map(x => x * 2).join(), require('fs').existsSync('/usr')), 5)",
        ],
        "2,4,6 true",
        "node",
    ),
    Use(
        "node's threads and hashes",
        ["node", "-e", "require('crypto').pbkdf2('a','b',1000,16,'sha256',(e,k)=>console.log(k.length))"],
        "16",
        "node",
    ),
    Use(
        "a C compiler",
        [
            "sh",
            "-c",
            "echo 'int puts(); int main() { puts(\"compiled\"); }' > /tmp/a.c && gcc -O1 -o /tmp/a /tmp/a.c && /tmp/a",
        ],
        "compiled",
        "gcc",
    ),
    Use("perl", ["perl", "-e", "print join(',', map { $_ * 2 } 1..3)"], "2,4,6", "perl"),
    Use(
        "archives",
        [
            "sh",
            "-c",
            "cd /tmp && mkdir d && echo x > d/f && tar czf d.tgz d && rm -r d && tar xzf d.tgz && cat d/f",
        ],
        "x",
    ),
    Use(
        "ruff",
        ["ruff", "--isolated", "check", "--no-cache", "--output-format=concise", "-"],
        "F401",
        request={"stdin_text": "import os\n"},
    ),
    Use("large output", [*PYTHON, "print('x' * 3_000_000)"], "x" * 1000),
    Use(
        "memory that processes share",
        [
            *PYTHON,
            """
import mmap, os
shared = mmap.mmap(-1, 4096)
if (child := os.fork()) == 0: shared[:5] = b'child'; os._exit(0)
os.waitpid(child, 0); print(shared[:5])
""",
        ],
        "b'child'",
    ),
    Use(
        "POSIX shared memory",
        [
            *PYTHON,
            """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=1 << 20); block.buf[:3] = b'abc'
again = shared_memory.SharedMemory(block.name); print(bytes(again.buf[:3]))
again.close(); block.close(); block.unlink()
""",
        ],
        "b'abc'",
    ),
    Use(
        "a memory file with seals",
        [
            *PYTHON,
            """
import fcntl, os
fd = os.memfd_create('x', os.MFD_ALLOW_SEALING); os.write(fd, b'sealed')
fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE); print(os.pread(fd, 9, 0))
""",
        ],
        "b'sealed'",
    ),
    Use(
        "descriptors passed between its own processes",
        [
            *PYTHON,
            """
import os, socket
a, b = socket.socketpair(); r, w = os.pipe()
socket.send_fds(a, [b'x'], [w]); _, (got,), *_ = socket.recv_fds(b, 1, 1)
os.write(got, b'through'); print(os.read(r, 9))
""",
        ],
        "b'through'",
    ),
    Use(
        "signals, timers and alarms",
        [
            *PYTHON,
            """
import signal, time
signal.signal(signal.SIGALRM, lambda *_: print('rang')); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
signal.signal(signal.SIGUSR1, lambda *_: print('heard')); signal.raise_signal(signal.SIGUSR1)
""",
        ],
        "rang\nheard",
    ),
    Use(
        "epoll, eventfd and select",
        [
            *PYTHON,
            """
import os, select
event = os.eventfd(0); poll = select.epoll(); poll.register(event, select.EPOLLIN)
os.eventfd_write(event, 7); print(poll.poll(1)[0][0] == event, os.eventfd_read(event))
""",
        ],
        "True 7",
    ),
    Use(
        "locks on files",
        [
            *PYTHON,
            """
import fcntl
a, b = open('/tmp/lock', 'w'), open('/tmp/lock', 'w'); fcntl.flock(a, fcntl.LOCK_EX)
try: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: print('held')
fcntl.lockf(a, fcntl.LOCK_EX); fcntl.flock(a, fcntl.LOCK_UN); fcntl.flock(b, fcntl.LOCK_EX); print('taken')
""",
        ],
        "held\ntaken",
    ),
    Use(
        "randomness and digests",
        [
            *PYTHON,
            """
import hashlib, os, secrets, uuid
print(len({secrets.token_hex(8), uuid.uuid4().hex, os.urandom(8).hex(), os.getrandom(8).hex()}))
print(hashlib.scrypt(b'x', salt=b'y', n=2**10, r=8, p=1).hex()[:8], hashlib.blake2b(b'x').hexdigest()[:8])
""",
        ],
        "4\n",
    ),
    Use(
        "archives, packed and unpacked",
        [
            "sh",
            "-c",
            "cd /tmp && mkdir d && echo inside > d/f && tar czf a.tgz d && rm -r d && tar xzf a.tgz && cat d/f",
        ],
        "inside",
    ),
    Use(
        "what a process may know of itself",
        [
            *PYTHON,
            """
import os, resource
print(os.getpid() > 1, 'VmRSS' in open('/proc/self/status').read(), os.path.exists('/proc/self/fd/1'))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0, os.sched_getaffinity(0) != set(), end=' ')
print(os.nice(0) + 1 in (os.nice(1), 20))
""",
        ],
        "True True True\nTrue True True",
    ),
    Use(
        "links, modes and times in its own folder",
        [
            *PYTHON,
            """
import os
os.chdir('/tmp'); open('f', 'w').close(); os.symlink('f', 's'); os.link('f', 'h'); os.chmod('f', 0o640)
os.utime('f', ns=(5, 7)); os.rename('h', 'g'); os.truncate('g', 9)
about = os.stat('s'); print(about.st_nlink, oct(about.st_mode)[-3:], about.st_size, os.readlink('s'))
""",
        ],
        "2 640 9 f",
    ),
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name.replace(" ", "-"))
def test_use(use: Use, identity: Identity) -> None:
    if use.needs and shutil.which(use.needs, path="/usr/bin:/bin") is None:
        pytest.skip(f"{use.needs} is not installed")
    request = dict(use.request)
    text = request.pop("stdin_text", None)
    if text is not None:
        reader, writer = os.pipe()
        os.write(writer, text.encode())
        os.close(writer)
        request["stdin"] = reader
    outcome = identity.sandbox(use.argv, **request)
    if text is not None:
        os.close(reader)
    assert use.prints in outcome.out, outcome


def _git(identity: Identity, folder: Path, *arguments: str) -> None:
    names = {
        f"GIT_{who}_{what}": "ada@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = identity.run(
        ["git", *arguments], cwd=folder, env={**names, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    )
    assert done.code == 0, done


@pytest.fixture
def repository(identity: Identity, folder: Path) -> Path:
    """A repository of one commit, with a subfolder, in a folder with a comma and a space in its name."""
    path = identity.own_new(folder / "a, b:c")
    _git(identity, path, "init", "-q", "-b", "main")
    identity.own(_write(identity.own_new(path / "sub") / "file.txt", "one\n"))
    _git(identity, path, "add", "-A")
    _git(identity, path, "commit", "-q", "-m", "the first")
    return path


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("place", ["top", "subfolder", "worktree", "shared clone", "another's"])
def test_git_works_on_a_granted_project(identity: Identity, repository: Path, place: str) -> None:
    project = repository
    if place == "subfolder":
        project = repository / "sub"
    elif place == "worktree":
        project = repository.parent / "tree"
        _git(identity, repository, "worktree", "add", "-q", str(project))
    elif place == "shared clone":
        project = repository.parent / "clone"
        _git(identity, repository.parent, "clone", "-q", "--shared", str(repository), str(project))
    elif place == "another's" and os.geteuid() == 0:
        os.chown(repository, 12345, 12345)
    before = sorted(str(path) for path in repository.rglob("*"))
    for arguments, expected in (
        (["log", "--format=%s"], "the first"),
        (["status", "--short"], ""),
        (["show", "HEAD"], "+one"),
    ):
        outcome = identity.sandbox(["git", *arguments], grants=["read:project/**"], project=str(project))
        assert outcome.code == 0, outcome
        assert expected in outcome.out, outcome
    assert sorted(str(path) for path in repository.rglob("*")) == before


def test_writing_is_seen_inside_and_ends_with_the_sandbox(identity: Identity, repository: Path) -> None:
    script = (
        "echo two >> sub/file.txt && rm -r .git && mkdir new && mv sub new/ && cat new/sub/file.txt && ls -A"
    )
    outcome = identity.sandbox(
        ["sh", "-c", script], grants=["read:project/**", "write:project/**"], project=str(repository)
    )
    assert outcome.out.split() == ["one", "two", "new"], outcome
    assert (repository / "sub" / "file.txt").read_text() == "one\n"
    assert (repository / ".git").is_dir()


def test_workdir_is_written_for_real(identity: Identity, folder: Path) -> None:
    outcome = identity.sandbox(["sh", "-c", "pwd; echo made > made.txt"], workdir=str(folder))
    assert outcome.out.strip() == str(folder)
    assert (folder / "made.txt").read_text() == "made\n"
    assert (folder / "made.txt").stat().st_uid == identity.uid


def test_a_player_executes_nothing_but_its_interpreter(identity: Identity) -> None:
    from pit_native import sandbox_layers
    from symphony.stage.sandbox import executables_of

    if not any(layer["name"] == "landlock" and layer["available"] for layer in sandbox_layers()):
        pytest.skip("this kernel has no Landlock")
    python = Path(identity.python).resolve()
    script = """
import subprocess, sys
print(subprocess.check_output([sys.executable, '-c', 'print(1)']))
for program in ('/usr/bin/id', '/bin/sh'):
    try: subprocess.run([program])
    except PermissionError: print('refused')
"""
    outcome = identity.sandbox(
        [str(python), "-I", "-c", script], change={"executables": executables_of(python)}
    )
    assert outcome.out.splitlines() == ["b'1\\n'", "refused", "refused"], outcome


def test_folders_of_the_computer_can_be_granted(identity: Identity, folder: Path) -> None:
    identity.own(_write(folder / "data.txt", "here"))
    granted = identity.sandbox(["cat", str(folder / "data.txt")], grants=[f"read:{folder}/**"])
    assert granted.out == "here"
    refused = identity.sandbox(["sh", "-c", f"echo x > {folder}/data.txt"], grants=[f"read:{folder}/**"])
    assert refused.code != 0
    assert (folder / "data.txt").read_text() == "here"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_statuses_pass_through(identity: Identity, script: str, code: int) -> None:
    assert identity.sandbox(["sh", "-c", script]).code == code


def test_ended_for_memory_says_so(identity: Identity) -> None:
    outcome = identity.sandbox(
        [*PYTHON, "b = [bytearray(b'x') * (8 << 20) for _ in range(60)]; import time; time.sleep(2)"],
        change={"limits": {"memory": 64 << 20}},
    )
    assert outcome.code == 137, outcome
    assert "CAUSE memory" in outcome.err


def test_a_missing_program_is_said_so(identity: Identity) -> None:
    outcome = identity.sandbox(["no-such-program"])
    assert "REFUSED program_not_found" in outcome.err
    assert "no-such-program" in outcome.err


def test_the_host_s_end_is_the_sandbox_s(
    identity: Identity, make_held: Callable[[Identity], subprocess.Popen[bytes]]
) -> None:
    with make_held(identity) as held:
        assert held.stdout is not None
        descriptor = os.pidfd_open(json.loads(held.stdout.readline())["player"])
        held.kill()
    assert select.select([descriptor], [], [], 10)[0], "the player outlived its host"
    os.close(descriptor)


HOLD = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pit_native import sandbox_spawn
from symphony.stage.sandbox import spec_for
child = sandbox_spawn(sys.argv[2], spec_for([], argv=["sleep", "1000"]))
print(json.dumps({"player": child.player_pid}), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def make_held() -> Callable[[Identity], subprocess.Popen[bytes]]:
    """A host that holds one sandbox."""

    def make(identity: Identity) -> subprocess.Popen[bytes]:
        options: dict[str, Any] = {}
        if os.geteuid() == 0 and identity.uid != 0:
            options = {"user": identity.uid, "group": identity.uid, "extra_groups": []}
        return subprocess.Popen(
            [identity.python, "-B", "-c", HOLD, str(identity.library), str(identity.launcher)],
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PATH": "/usr/bin"},
            **options,
        )

    return make
