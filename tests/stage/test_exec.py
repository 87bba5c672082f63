"""Programs that a Player asks for: in a sandbox with a Player's limits, and so many at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from symphony.app.paths import launcher
from symphony.errors import PermissionDenied
from symphony.stage.audit import AuditLog
from symphony.stage.broker import Broker, Caller, Capability
from symphony.stage.capabilities import programs
from symphony.stage.changes.model import ChangeSet
from symphony.stage.manifest import parse_manifest
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember, PlayerLimits

GREEDY = parse_manifest(
    '[extension]\nname = "test/door"\nversion = "1.0.0"\ntype = "operator"\n'
    '[resources]\nmemory = "64GiB"\ncpu = 64.0\n'
)
EAT = "held = bytearray(300 << 20); print(len(held))"


async def keep(caller: Caller, program: str, changes: ChangeSet, *, succeeded: bool) -> None:
    raise AssertionError("nothing may be written here")


def caller(folder: Path, *grants: str) -> Caller:
    folder.mkdir(exist_ok=True)
    member = CastMember("test/door", "1.0.0", folder, GREEDY, grants)
    return Caller(member, Grants(grants), None, "run", "node")


def run(who: Caller, limits: PlayerLimits, *argv: str) -> dict[str, Any]:
    door = programs.capabilities(launcher(), lambda: limits, keep)["exec"]

    async def ask() -> dict[str, Any]:
        return await door.handler(who, {"argv": list(argv), "timeout": 60.0})

    return asyncio.run(ask())


def test_a_program_gets_no_more_memory_than_a_player_whatever_its_manifest_says(tmp_path: Path) -> None:
    who = caller(tmp_path / "extension", "exec:python3")
    assert run(who, PlayerLimits(memory=2 << 30), "python3", "-c", EAT)["stdout"] == b"314572800\n"
    ended = run(who, PlayerLimits(memory=128 << 20), "python3", "-c", EAT)
    assert ended["exit_code"] != 0 and ended["stdout"] == b""


@pytest.mark.parametrize("name", ["python3.99", "../python3", "/usr/bin/python3", "./python3", ""])
def test_only_the_name_that_was_granted_is_started(tmp_path: Path, name: str) -> None:
    who = caller(tmp_path / "extension", "exec:python3")
    with pytest.raises(PermissionDenied):
        run(who, PlayerLimits(), name, "-c", "pass")
    assert run(who, PlayerLimits(), "python3", "-c", "pass")["exit_code"] == 0


def test_a_program_has_no_more_of_the_host_than_its_player(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`exec` widens nothing."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    look = f"import os; print(os.path.exists({str(secret)!r}), 'SECRET_TOKEN' in os.environ)"
    said = run(caller(tmp_path / "extension", "exec:python3"), PlayerLimits(), "python3", "-c", look)
    assert said["stdout"] == b"False False\n", said


class Troupe:
    """One Player."""

    def __init__(self, who: Caller) -> None:
        self.caller = who

    def who(self, _key: str) -> tuple[CastMember, Path | None]:
        return self.caller.member, self.caller.project


async def test_an_extension_has_so_many_under_way_and_its_neighbour_waits_for_none(tmp_path: Path) -> None:
    most, under_way, begun = 0, 0, asyncio.Semaphore(0)
    go_on = asyncio.Event()

    async def work(_caller: Caller, _body: Any) -> dict[str, Any]:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        begun.release()
        await go_on.wait()
        under_way -= 1
        return {}

    log = AuditLog(tmp_path / "audit.jsonl")
    troupe = Troupe(caller(tmp_path / "extension"))
    answered: list[int] = []
    done = asyncio.Event()

    def answer(request: int, *_: Any) -> None:
        answered.append(request)
        done.set() if len(answered) == asked + 1 else None

    doors = {"exec": Capability(work, str, at_once=programs.AT_ONCE)}
    asked = programs.AT_ONCE + 12
    broker = Broker(troupe, log, doors, answer, answer)  # type: ignore[arg-type]
    for request in range(asked):
        broker.handle({"id": request, "key": "a", "method": "exec", "body": {}})
    for _ in range(programs.AT_ONCE):
        await asyncio.wait_for(begun.acquire(), 30)
    assert under_way == programs.AT_ONCE
    broker.withdraw(asked - 1)  # one that waits for its turn
    member = CastMember("test/neighbour", "1.0.0", tmp_path, GREEDY, ())
    troupe.caller = Caller(member, Grants(()), None, "", "")
    broker.handle({"id": asked, "key": "b", "method": "exec", "body": {}})
    await asyncio.wait_for(begun.acquire(), 30)
    broker.handle({"id": asked + 1, "key": "b", "method": "exec", "body": {}})
    go_on.set()
    await asyncio.wait_for(done.wait(), 30)
    assert most <= programs.AT_ONCE + 2 and sorted(answered) == [*range(asked - 1), asked, asked + 1]
    log.close()
