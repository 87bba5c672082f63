"""A template's life: what its end, its Players' and the host's mean to the others; when another takes its place."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.conftest import TEMPLATE_LIBRARY, Identity
from tests.sandbox.template_host import Driver, driver, entry

STAY = "import time\ntime.sleep(1000)"


@pytest.fixture
def host(identity: Identity, template_library: Path) -> Iterator[Driver]:
    """A host of this test alone, with a warm template."""
    with driver(identity, template_library) as host:
        assert host.ask("warm")["state"] == "warm"
        yield host


def _has_ended(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def test_players_outlive_the_template_and_another_takes_its_place(host: Driver) -> None:
    player = host.play(STAY, leave=True)
    descriptor = os.pidfd_open(player["player"])
    before = host.ask("status")["pid"]
    os.kill(before, signal.SIGKILL)
    while host.ask("await", states=["warm"])["pid"] == before:
        time.sleep(0.01)
    assert not _has_ended(descriptor, 0), "the Player ended with the template"
    assert host.play(entry("print('anew')"))["out"] == "anew\n"
    assert not _has_ended(descriptor, 0)
    os.close(descriptor)


def test_the_template_outlives_its_players(host: Driver) -> None:
    before = host.ask("status")["pid"]
    for _ in range(3):
        player = host.play(STAY, leave=True)
        descriptor = os.pidfd_open(player["player"])
        os.kill(player["pid"], signal.SIGKILL)
        assert _has_ended(descriptor, 10)
        os.close(descriptor)
    assert host.ask("status")["pid"] == before
    assert host.play(entry("raise SystemExit(3)"))["code"] in (1, 3)


def test_the_host_s_end_is_that_of_all(host: Driver) -> None:
    pids = [host.play(STAY, leave=True)["player"] for _ in range(2)] + [host.ask("status")["pid"]]
    descriptors = [os.pidfd_open(pid) for pid in pids]
    host.process.kill()
    for descriptor in descriptors:
        assert _has_ended(descriptor, 10), "it outlived the host"
        os.close(descriptor)


def test_a_changed_library_replaces_the_template(identity: Identity, template_library: Path) -> None:
    watched = identity.own_new(identity.base / f"watched-{os.getpid()}")
    source = watched / "module.py"
    source.write_text("one")
    with driver(identity, template_library, watched=[str(watched)]) as host:
        before = host.ask("warm")["pid"]
        source.write_text("another")
        answer = host.ask("play", script=entry("print('safe')"))
        assert answer["out"] == "safe\n"
        assert "changed" in answer["why"]
        while host.ask("await", states=["warm"])["pid"] == before:
            time.sleep(0.01)
        host.play(entry("print('from the new one')"))
    shutil.rmtree(watched)


def test_without_a_template_the_launcher_starts_all(identity: Identity, template_library: Path) -> None:
    broken = template_library / f"broken-{os.getpid()}.so"
    broken.write_text("no library")
    with driver(identity, template_library, native=str(broken)) as host:
        status = host.ask("warm")
        assert status["state"] == "failed" and status["reason"]
        answer = host.ask(
            "play", script="import os\nprint(open('/proc/self/status').read(), flush=True); os._exit(0)"
        )
        assert answer["why"] == status["reason"]
        assert "Seccomp:\t2" in answer["out"] and "NoNewPrivs:\t1" in answer["out"]
    broken.unlink()


def test_another_program_or_environment_is_not_a_copy(host: Driver) -> None:
    for change, words in (
        ({"argv": ["/usr/bin/env"]}, "program"),
        (
            {"env": [("PATH", "/usr/bin"), ("LANG", "C"), ("SYMPHONY_ENTRY", "/extension/player.py")]},
            "environment",
        ),
    ):
        answer = host.ask("play", script=entry("print('started')"), change=change)
        assert words in answer["why"], answer


def test_a_refusal_is_the_launcher_s(host: Driver) -> None:
    """What the template cannot do is tried by the launcher, which refuses as always; the template stays."""
    missing = [{"source": "/no/such/folder", "target": "/no/such/folder", "mode": "read_only"}]
    before = host.ask("status")["pid"]
    spec = host.ask("play", script="", change={"cwd": "/no/such/folder"})
    assert spec["code"] == 200 and "/no/such/folder" in spec["err"], (spec, missing)
    assert host.ask("status")["pid"] == before


def test_the_library_is_built() -> None:
    assert TEMPLATE_LIBRARY.exists(), "run `make native`"
