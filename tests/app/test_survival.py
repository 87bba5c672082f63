"""What was acknowledged survives: kill -9 of the host in a run, kill -9 of a Player, two hosts on one home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from symphony.app.lock import HomeLock
from tests.processes import descendants, descendants_named, ended, mounting

Run = Callable[..., Any]
SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")
LONG = 60.0


def melody(folder: Path, *commands: str) -> Path:
    """A chain of shell nodes, one after the other."""
    lines = ["format: symphony.melody/1", "name: chain", "nodes:"]
    for index, command in enumerate(commands):
        call = json.dumps({"command": ["sh", "-c", command]})
        lines.append(f"  - {{id: s{index}, kind: operator, player: symphony/shell#run, params: {call}}}")
    lines.append("edges:")
    lines += [f"  - {{kind: control, from: s{i}, to: s{i + 1}}}" for i in range(len(commands) - 1)]
    if len(commands) == 1:
        lines[-1] = "edges: []"
    file = folder / "chain.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def started(home: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [SYMPHONY, *map(str, arguments)],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], Any], what: str, seconds: float = LONG) -> Any:
    """Waits for something that must come; the limit only ends a broken test."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def summary(home: Path) -> dict[str, Any] | None:
    for file in home.glob("runs/*/run.json"):
        body: dict[str, Any] = json.loads(file.read_text())
        return body
    return None


def states(home: Path) -> dict[str, str]:
    body = summary(home)
    return {n["id"]: n["status"] for n in body["run"]["nodes"]} if body else {}


def test_a_killed_run_is_resumed_without_repeating(symphony: Run, home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = melody(project, "date +%s%N", "echo second", "sleep 30; echo third")
    with started(home, "play", file, "--project", project, "--yes") as process:
        until(
            lambda: states(home).get("s2") == "running" and states(home).get("s1") == "succeeded",
            "the third node",
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = summary(home)
    assert before is not None
    run = before["run"]["id"]
    listed = json.loads(symphony("runs", "list", "--json").out)
    assert [(r["id"], r["status"]) for r in listed["runs"]] == [(run, "interrupted")]
    changed = melody(project, "date +%s%N", "echo second", "echo third")
    done = symphony("play", changed, "--project", project, "--resume", run, "--yes", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    nodes = {n["id"]: n for n in answer["run"]["nodes"]}
    assert answer["run"]["id"] == run
    assert [n["status"] for n in nodes.values()] == ["succeeded"] * 3
    old = {n["id"]: n for n in before["run"]["nodes"]}
    # The first node prints the time in nanoseconds: had it run again, its artifacts would differ.
    assert nodes["s0"]["artifacts"] == old["s0"]["artifacts"]


def test_no_process_outlives_a_killed_host(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with started(home, "play", melody(project, "sleep 300"), "--project", project, "--yes") as process:
        until(lambda: states(home).get("s0") == "running", "the node")
        until(lambda: descendants_named("sleep", process.pid), "the program")
        children = [child for child, _ in descendants(process.pid)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: all(ended(child) for child in children), "the end of every process")


def test_a_killed_player_fails_or_retries_only_its_node(
    symphony: Run, home: Path, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "format: symphony.melody/1\nname: two\nnodes:\n"
        '  - {id: victim, kind: operator, player: symphony/shell#run, params: {command: [sleep, "5"]},'
        " retry: {attempts: 2, backoff: none}}\n"
        "  - {id: other, kind: operator, player: symphony/git#log}\nedges: []\n"
    )
    with started(home, "play", file, "--project", repository, "--yes", "--json") as process:
        until(lambda: states(home).get("victim") == "running", "the victim")
        players = until(lambda: _players(process.pid, "shell"), "the Player of shell")
        for player in players:
            player.kill()
        out, err = process.communicate(timeout=LONG)
    answer = json.loads(out)
    nodes = {n["id"]: n for n in answer["run"]["nodes"]}
    assert nodes["other"]["status"] == "succeeded", err
    assert nodes["victim"]["status"] == "succeeded"
    assert nodes["victim"]["attempts"] == 2


def _players(host: int, extension: str) -> list[psutil.Process]:
    """The sandboxed interpreters whose extension folder is `extension`, found by what they have mounted."""
    folder = f"extensions/{extension} "
    return [p for p in descendants_named("python", host) if folder in mounting(p).replace("\n", " ")]


def test_a_second_host_prints_the_page_of_the_first(symphony: Run, home: Path) -> None:
    with started(home, "serve") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        done = symphony("serve")
        assert (done.code, done.out.strip()) == (0, address)
        answer = json.loads(symphony("runs", "list", "--json").out)
        assert answer == {"runs": []}
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0


def test_of_hosts_that_start_at_once_one_serves_and_all_know_its_page(home: Path) -> None:
    with ExitStack() as stack:
        hosts = [stack.enter_context(started(home, "serve")) for _ in range(4)]
        addresses = set()
        for host in hosts:
            assert host.stdout is not None
            addresses.add(host.stdout.readline().strip())
        assert len(addresses) == 1 and addresses.pop().startswith("http://127.0.0.1:")
        until(lambda: sum(host.poll() is None for host in hosts) == 1, "the end of those that serve not")
        assert sorted(host.returncode or 0 for host in hosts) == [0] * 4
        lock = HomeLock(home / "lock")
        assert not lock.acquire() and lock.is_for_page()
        assert lock.holder() in [host.pid for host in hosts if host.poll() is None]


def test_the_page_of_a_killed_host_is_not_shown(symphony: Run, home: Path, tmp_path: Path) -> None:
    with started(home, "serve") as first:
        assert first.stdout is not None
        dead = first.stdout.readline().strip()
        first.send_signal(signal.SIGKILL)
        first.wait()
    project = tmp_path / "project"
    project.mkdir()
    # Now a command is the host, and it serves no page.
    with started(home, "play", melody(project, "sleep 300"), "--project", project, "--yes"):
        until(lambda: states(home).get("s0") == "running", "the run")
        second = symphony("serve")
        assert second.code != 0 and dead not in second.out
        assert "without a page" in second.err


def test_an_interrupt_cancels_in_order(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = melody(project, "echo first", "sleep 300")
    with started(home, "play", file, "--project", project, "--yes", "--json") as process:
        until(lambda: states(home).get("s1") == "running", "the second node")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=LONG)
    answer = json.loads(out)
    assert process.returncode == 1
    assert answer["run"]["status"] == "cancelled"
    assert [n["status"] for n in answer["run"]["nodes"]] == ["succeeded", "cancelled"]
