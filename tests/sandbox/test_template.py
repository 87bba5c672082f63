"""What is copied from a warm template is walled off as what the launcher starts, and nothing passes through it."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandbox.attacks import ATTACKS, PRELUDE, Attack
from tests.sandbox.attacks_channels import CHANNELS
from tests.sandbox.conftest import Identity, Outcome
from tests.sandbox.template_host import Driver, driver, entry
from tests.sandbox.test_uses import PYTHON, USES, Use
from tests.sandbox.world import World


@pytest.fixture(scope="session")
def warm(identity: Identity, template_library: Path) -> Iterator[Driver]:
    """A host with a warm template, which knows a secret and has left a descriptor open."""
    secret = Path(tempfile.mkdtemp(dir=identity.base)) / "left-open"
    secret.write_text("the descriptor's secret")
    identity.own(secret.parent)
    identity.own(secret)
    with driver(
        identity, template_library, env={"HOST_SECRET": "the host's secret"}, inherit=str(secret)
    ) as host:
        status = host.ask("warm")
        assert status["state"] == "warm", status
        yield host


@pytest.mark.parametrize("attack", [*ATTACKS, *CHANNELS], ids=lambda attack: attack.name.replace(" ", "-"))
def test_attack_fails(attack: Attack, warm: Driver, make_world: Callable[[], World]) -> None:
    """Its positive control is the attack outside, in `test_attacks.py`."""
    if not attack.runs_here():
        pytest.skip(f"written for {attack.machine}")
    if "set-user-id" in attack.name and os.geteuid() != 0:
        pytest.skip("only the superuser can make such a program")
    world = make_world()
    answer = warm.play(
        entry(PRELUDE + attack.script.replace("TOKEN", ""), world.facts()),
        grants=list(attack.grants),
        project=str(world.project),
        env=dict.fromkeys(attack.env, world.token),
        change=attack.change,
    )
    outcome = Outcome(answer["code"], answer["out"], answer["err"])
    assert not attack.judge(world, outcome), outcome


@pytest.mark.parametrize(
    "use",
    [use for use in USES if use.argv[: len(PYTHON)] == PYTHON],
    ids=lambda use: use.name.replace(" ", "-"),
)
def test_use(use: Use, warm: Driver) -> None:
    answer = warm.play(entry(use.argv[-1]))
    assert use.prints in answer["out"], answer


WORKERS = """
import multiprocessing, os
def square(number): return number * number
if __name__ == '__main__':
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(sum(pool.map(square, range(5))), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("cold", [False, True], ids=["copied", "launched"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_player_has_workers(method: str, cold: bool, warm: Driver) -> None:
    """Those that are not forked import the entry anew, by the path under which its Player ran it."""
    answer = warm.play(WORKERS.format(method=method), cold=cold)
    assert answer["out"] == "30\n", answer


STATE = """
import json, os, resource, sys, threading
def lines(path): return open(path).read().splitlines()
status = dict(line.split(':\\t', 1) for line in lines('/proc/self/status') if ':\\t' in line)
mounts = [line.split() for line in lines('/proc/self/mountinfo')]
def shown(mount):
    # Where in its file system a Player's own folder lies is its own.
    where = '' if mount[4] in ('/extension', '/opt/symphony/lib/symphony/sdk') else mount[3]
    return [mount[4], where, mount[5], *mount[mount.index('-') + 1:]]
def denied(path):
    try: open(path, 'rb').read(1)
    except OSError as error: return error.errno in (1, 2)  # absent, once its name was looked up: not permitted
print(json.dumps({
    'status': {name: status[name] for name in (
        'Name', 'Umask', 'PPid', 'TracerPid', 'Uid', 'Gid', 'Groups', 'NSpid', 'NSpgid', 'NSsid', 'Threads', 'SigBlk',
        'SigIgn', 'SigCgt', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp',
        'Seccomp_filters')},
    'limits': [list(resource.getrlimit(number)) for number in range(16)],
    'mounts': sorted(map(shown, mounts)),
    'root': sorted(os.listdir('/')),
    'descriptors': sorted(os.listdir('/proc/self/fd'))[:3],
    'count': len(os.listdir('/proc/self/fd')),
    'first is closed': [denied('/proc/1/mem'), denied('/proc/1/environ'), denied('/proc/1/maps')],
    'environment': dict(os.environ),
    'arguments': lines('/proc/self/cmdline'),
    'original': sys.orig_argv,
    'path': sys.path,
    'flags': str(sys.flags),
    'folder': os.getcwd(),
    'terminal': os.isatty(0),
    'thread': threading.main_thread().native_id == os.getpid(),
    'host name': os.uname().nodename,
    'personality': lines('/proc/self/personality') if os.path.exists('/proc/self/personality') else None,
    'not importable': [name for name in ('ctypes', 'random', 'ssl', 'hashlib', 'uuid') if name in sys.modules],
}))
"""


def test_a_copy_is_in_the_state_of_a_fresh_start(warm: Driver) -> None:
    """But for two mounts: a copy is shown `/etc` and `/dev` as they stand in the template, in one piece each."""
    copied, launched = (warm.play(entry(STATE), cold=cold) for cold in (False, True))
    assert (copied["code"], launched["code"]) == (0, 0), copied["err"] + launched["err"]
    found, wanted = json.loads(copied["out"]), json.loads(launched["out"])
    pieces = {mount[0]: mount[2].split(",") for mount in found["mounts"] if mount[0] in ("/etc", "/dev")}
    assert set(pieces) == {"/etc", "/dev"}
    for options in pieces.values():
        assert {"ro", "nosuid", "nodev"} <= set(options), pieces
    found["mounts"] = [mount for mount in found["mounts"] if mount[0] not in pieces]
    assert found == wanted


def test_the_first_process_of_a_copy_is_in_the_state_of_a_launcher(warm: Driver) -> None:
    wanted = (
        "Uid",
        "Gid",
        "SigBlk",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "NSsid",
    )
    found = []
    for cold in (False, True):
        first = warm.play("import time; time.sleep(1000)", leave=True, cold=cold)["pid"]
        status = Path(f"/proc/{first}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in status)
        descriptors = sorted(str(name.readlink()) for name in Path(f"/proc/{first}/fd").iterdir())
        kinds = [name.split("[")[0].split(":")[0] for name in descriptors]
        found.append(({name: fields[name].split()[-1] for name in wanted}, kinds))
        os.kill(first, signal.SIGKILL)
    assert found[0] == found[1]


def test_every_namespace_is_its_own(warm: Driver) -> None:
    players = [warm.play("import time; time.sleep(1000)", leave=True) for _ in range(2)]
    pids = [player["player"] for player in players] + [warm.ask("status")["pid"], warm.process.pid]
    shared = []
    for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"):
        first, second, *others = (str(Path(f"/proc/{pid}/ns/{name}").readlink()) for pid in pids)
        if first == second or first in others or second in others:
            shared.append(name)
    for player in players:
        os.kill(player["pid"], signal.SIGKILL)
    assert shared == []


def test_a_copy_is_in_its_own_control_group(warm: Driver, identity: Identity) -> None:
    answer = warm.play("import time; time.sleep(1000)", leave=True)
    groups = Path(f"/proc/{answer['player']}/cgroup").read_text()
    own = Path(f"/proc/{warm.process.pid}/cgroup").read_text()
    os.kill(answer["pid"], signal.SIGKILL)
    if identity.uid == 0:
        assert groups != own and "symphony-" in groups
    assert f"symphony-{warm.process.pid}" not in own


RANDOM = """
import os, random, secrets, tempfile, uuid
import ssl
print([random.random(), secrets.token_hex(8), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(),
       next(tempfile._get_candidate_names()), os.urandom(8).hex()])
"""


def test_randomness_is_its_own(warm: Driver) -> None:
    first, second = (eval(warm.play(entry(RANDOM))["out"]) for _ in range(2))
    assert [one for one, other in zip(first, second, strict=True) if one == other] == []


SCAN = """
import os, re
def found(patterns):
    # A pattern does not match itself, so that looking for a word does not bring it into memory.
    hits = set()
    with open('/proc/self/mem', 'rb', 0) as memory:
        for line in open('/proc/self/maps').read().splitlines():
            span, rights, *_ = line.split()
            if 'r' not in rights or '[v' in line: continue
            low, high = (int(part, 16) for part in span.split('-'))
            memory.seek(low)
            try: content = memory.read(high - low)
            except OSError: continue
            hits |= {number for number, pattern in enumerate(patterns) if re.search(pattern, content)}
            del content
    return sorted(hits)
"""


def _pattern(word: str) -> bytes:
    return "".join(f"[{letter}]" for letter in word).encode()


def test_nothing_of_another_extension_is_in_its_memory(warm: Driver) -> None:
    mark = "kram-a-fo-eludom"
    files = {"own_module.py": f"mark = {mark!r}[::-1]\nprint('own', __name__)"}
    first = warm.play("import own_module, os\nprint(own_module.mark, flush=True); os._exit(0)", files=files)
    assert first["out"].split() == ["own", "own_module", mark[::-1]], first
    script = f"""
try: import own_module
except ImportError: print('absent')
{SCAN}
control = 'elbisiv-si-siht'[::-1]
print(found({[_pattern(word) for word in (mark[::-1], "this-is-visible")]}), flush=True); os._exit(0)
"""
    assert warm.play(script)["out"].split("\n") == ["absent", "[1]", ""]


def test_nothing_of_the_host_is_in_its_memory(warm: Driver, identity: Identity) -> None:
    """Neither what the template was started with, nor the paths from which its sandbox was built."""
    # What was given back to the allocator loses its first bytes in any case.
    words = ["the host's secret", "the descriptor's secret", identity.base.name, "long-name-of-the-host"]
    folder = Path(tempfile.mkdtemp(dir=identity.base))
    files = [folder / f"{'a-long-name-of-the-host' * 4}-{number}" for number in range(100)]
    for file in files:
        file.touch()
    for path in (folder, *files):
        identity.own(path)
    script = f"{SCAN}\nprint(found({[_pattern(word) for word in words]}), flush=True); os._exit(0)"
    answer = warm.play(script, shown=[str(file) for file in files])
    assert answer["out"].strip() == "[]", answer


EXECUTABLE = """
import os
status = os.statvfs('/proc/self/exe')
print(bool(status.f_flag & os.ST_RDONLY))
for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC):
    try: os.close(os.open('/proc/self/exe', flags)); print('OPENED')
    except OSError: print('refused')
"""


def test_the_interpreter_cannot_be_written_through_its_process(warm: Driver) -> None:
    """It was executed before the sandbox was built, by a path that is not the sandbox's."""
    answer = warm.play(entry(EXECUTABLE))
    assert answer["out"].split() == ["True", "refused", "refused", "refused"], answer


@pytest.mark.parametrize(
    "attack",
    [
        attack
        for attack in ATTACKS
        if attack.name
        in (
            "kill a process of the host",
            "kill it through a pidfd",
            "read a process's memory",
            "trace a process and end it",
        )
    ],
    ids=lambda attack: attack.name.replace(" ", "-"),
)
def test_the_template_cannot_be_reached(attack: Attack, warm: Driver) -> None:
    template = warm.ask("status")["pid"]
    for victim in (template, warm.process.pid):
        facts = json.dumps({"victim": victim, "address": 0, "mark": "x"})
        answer = warm.play(entry(PRELUDE + attack.script, facts))
        assert answer["code"] != 0, answer
    assert warm.ask("status") | {"copied": 0} == warm.ask("status") | {"pid": template, "copied": 0}
    assert warm.process.poll() is None


def test_the_first_process_cannot_be_used(warm: Driver) -> None:
    script = """
import os
for name in ('fd', 'fd/3', 'fdinfo', 'mem', 'maps', 'environ', 'root', 'cwd', 'exe', 'task/1/fd'):
    path = '/proc/1/' + name
    try:
        os.readlink(path) if name in ('fd/3', 'root', 'cwd', 'exe') else (
            os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1))
        print('OPENED', name)
    except OSError: pass
"""
    answer = warm.play(entry(script))
    assert answer["out"] == "", answer
