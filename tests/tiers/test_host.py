"""The host with its tiers: commands, the schedule, holds, keys; on a real home and the real command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pit_native
from symphony.app.host import Host
from symphony.app.tiering import KEY_NAME, Tiers
from symphony.config.home import Home
from symphony.errors import ArtifactHeld, BadInput, NotFound, TierUnreachable
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.s3 import S3Tier
from tests.conftest import Done
from tests.hosting import hosted
from tests.tiers.conftest import KEYS

TEXT = b"zebras graze at dawn, and nobody knows why they do"


def settings(home: Path, **values: object) -> None:
    """Writes settings of `pit.stale`; a double underscore is a dot."""
    home.mkdir(parents=True, exist_ok=True)
    lines = [f"pit.stale.{key.replace('__', '.')} = {json.dumps(value)}" for key, value in values.items()]
    (home / "config.toml").write_text("\n".join(lines) + "\n")


def stored(host: Host, content: bytes = TEXT, name: str = "a.txt") -> str:
    return str(host.services.pit.store.put(content, name=name, type="text/plain"))


async def tier_of(host: Host, id: str) -> str:
    listed = (await host.list_artifacts())["artifacts"]
    return next(str(one["tier"]) for one in listed if one["id"] == id)


def test_the_commands_show_plan_move_and_bring_back(
    home: Path, tmp_path: Path, symphony: Callable[..., Done]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, archive__folder=str(archive), active_days=0)
    with pit_native.ArtifactStore(Home(home).create().store) as store:
        id = store.put(TEXT, name="a.txt", type="text/plain")

    def answer(*arguments: str, code: int = 0) -> Any:
        done = symphony("artifacts", *arguments, "--json")
        assert done.code == code, done.err
        return json.loads(done.out)

    planned = answer("tier", "--dry-run")
    assert [(one["action"], one["id"], one["from"]) for one in planned["actions"]] == [
        ("archive", id, "active")
    ]
    assert "archived from 0 days" in planned["actions"][0]["reason"]
    done = symphony("artifacts", "tier")
    assert done.code == 0 and "1 of 1 done" in done.out, done
    found = answer("search", "zebras")["artifacts"]
    assert [(one["id"], one["tier"]) for one in found] == [(id, "archive")]
    rows = {row["name"]: row for row in answer("tiers")["tiers"]}
    assert (rows["active"]["artifacts"], rows["archive"]["artifacts"]) == (0, 1)
    away = archive.rename(tmp_path / "away")
    refused = symphony("artifacts", "show", "a.txt")
    assert refused.code == 3 and refused.err.count("\n") == 1
    assert str(archive) in refused.err and "Traceback" not in refused.err
    away.rename(archive)
    assert symphony("artifacts", "show", "a.txt").out.encode() == TEXT
    assert answer("list")["artifacts"][0]["tier"] == "active"


async def test_a_plan_goes_through_s3_and_what_is_read_comes_back(
    home: Path, s3_port: int, make_s3: Callable[..., S3Tier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
    tier = make_s3()
    settings(
        home,
        active_days=0,
        archive_days=0,
        cloud__kind="s3",
        cloud__container=tier._bucket,
        cloud__endpoint=f"http://127.0.0.1:{s3_port}",
        cloud__region="us-east-1",
    )
    async with hosted(home) as host:
        id = stored(host)
        pinned = stored(host, b"pinned", "pinned.txt")
        await host.pin_artifact("pinned.txt")
        answer = await host.tier_artifacts()
        assert (answer["done"], answer["failures"]) == (1, [])
        assert await tier_of(host, id) == "cloud" and await tier_of(host, pinned) == "active"
        assert (await host.tier_artifacts(dry_run=True))["actions"] == [], "once executed, nothing is due"
        assert (await host.tier_artifacts())["actions"] == []
    # Another host finds it where it is.
    async with hosted(home) as host:
        assert await tier_of(host, id) == "cloud"
        assert (await host.get_artifact(id))[1] == TEXT
        assert (await host.get_artifact("a.txt", 6, 7))[1] == TEXT[7:13]
        rows = (await host.artifact_tiers())["tiers"]
        assert rows[1]["status"] == "ok" and not any(key in json.dumps(rows) for key in KEYS)
        await host.pin_artifact("pinned.txt", False)
        planned = (await host.tier_artifacts(dry_run=True))["actions"]
        assert {one["id"] for one in planned} == {id, pinned}
        await host.tier_artifacts(artifacts=["a.txt"], target="cloud")
        assert await tier_of(host, id) == "cloud"
        await host.tier_artifacts(artifacts=["a.txt"], target="active")
        assert await tier_of(host, id) == "active"
        with pytest.raises(BadInput, match="attic"):
            await host.tier_artifacts(artifacts=["a.txt"], target="attic")
    logs = "".join(file.read_text() for file in (home / "logs").rglob("*") if file.is_file())
    assert KEYS[1] not in logs


async def test_a_hold_outlives_collection_removal_and_restart(home: Path) -> None:
    settings(home, active_days=0, delete_days=1e-9, keep_value=1)
    async with hosted(home) as host:
        id = stored(host)
        other = stored(host, b"other", "other.txt")
        with pytest.raises(BadInput, match="reason"):
            await host.hold_artifact(id, " ")
        await host.hold_artifact("a.txt", "case 7")
        assert (await host.collect_artifacts())["removed"] == 1
        with pytest.raises(NotFound):
            await host.get_artifact(other)
    async with hosted(home) as host:
        assert (await host.collect_artifacts())["removed"] == 0
        with pytest.raises(ArtifactHeld):
            host.services.pit.store.remove(id)
        assert (await host.get_artifact(id))[1] == TEXT
        await host.hold_artifact(id, None)
        assert (await host.collect_artifacts(dry_run=True))["removed"] == 1
        assert (await host.collect_artifacts())["removed"] == 1
        assert (await host.list_artifacts())["artifacts"] == []


async def test_the_schedule_archives_and_leaves_the_cloud_to_the_command(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, active_days=0, interval="20ms", archive__folder=str(archive))
    async with hosted(home) as host:
        watch = host.watch()
        id = stored(host)
        async with asyncio.timeout(60):
            while host.services.pit.store.is_local(id):
                await asyncio.sleep(0.01)
        assert await tier_of(host, id) == "archive"
        await watch.aclose()  # type: ignore[attr-defined]


async def test_what_the_schedule_removes_stands_in_the_history(home: Path) -> None:
    settings(home, active_days=0, delete_days=1e-9, keep_value=1, interval="20ms")
    async with hosted(home) as host:
        watch = host.watch()
        stored(host)
        async with asyncio.timeout(60):
            async for event in watch:
                if event["event"] == "actions":
                    break
        (row,) = (await host.list_actions())["actions"]
        assert row["said"] == "Removed 1 artifact that nothing keeps" and row["by"] == "Symphony"
        assert row["can"] == "" and (await host.list_artifacts())["artifacts"] == []
    settings(home, active_days=0, delete_days=1e-9, keep_value=1, interval="0s")
    async with hosted(home) as host:
        stored(host, b"again", "b.txt")
        assert (await host.collect_artifacts())["removed"] == 1
        await host.services.actions.stop()
        row = (await host.list_actions(1))["actions"][0]
        assert row["kind"] == "artifacts" and row["by"] == "you"


async def test_nothing_moves_while_a_run_plays(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, active_days=0, interval="0s", archive__folder=str(archive))

    class Playing:
        """An engine with one run, which ends when it is told."""

        over = asyncio.Event()

        def playing(self) -> list[str]:
            return [] if self.over.is_set() else ["r1"]

        async def ended(self, run: str) -> None:
            await self.over.wait()

    async with hosted(home) as host:
        engine = Playing()
        host.services.tiers._engine = engine  # type: ignore[assignment]
        id = stored(host)
        cleaning = asyncio.create_task(host.tier_artifacts())
        while not host.services.tiers._executing.locked():
            await asyncio.sleep(0.005)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not cleaning.done() and host.services.pit.store.is_local(id)
        engine.over.set()
        assert (await cleaning)["done"] == 1
        assert not host.services.pit.store.is_local(id)


async def test_a_host_that_uses_no_tiers_opens_nothing(home: Path) -> None:
    async with hosted(home) as host:
        id = stored(host)
        assert await tier_of(host, id) == "active"
        assert (await host.get_artifact(id))[1] == TEXT
        assert [row["name"] for row in (await host.artifact_tiers())["tiers"]] == ["active"]
        assert not Home(home).tiers.exists()


async def test_a_tier_that_fails_stops_the_plan_and_says_so(home: Path, tmp_path: Path) -> None:
    settings(home, active_days=0, archive__folder=str(tmp_path / "nowhere"))
    async with hosted(home) as host:
        ids = [stored(host, b"%d" % n, f"n{n}") for n in range(3)]
        answer = await host.tier_artifacts()
        assert answer["done"] == 0 and len(answer["actions"]) == 3
        assert [one["code"] for one in answer["failures"]] == ["tier_unreachable"], (
            "the others would fail too"
        )
        for id in ids:
            assert await tier_of(host, id) == "active"
        assert (await host.artifact_tiers())["tiers"][1]["status"] == "failed"


def test_the_key_of_what_leaves_lies_in_the_store_held_and_hidden(tmp_path: Path) -> None:
    key = bytes(range(32))

    class Pit:
        """What Tiers needs of the Pit."""

        store: pit_native.ArtifactStore

    tiers: list[bytes | None] = []
    for _ in range(2):
        with pit_native.ArtifactStore(tmp_path / "store", key) as store:
            Pit.store = store
            # A Player may choose any name, but it cannot hold.
            store.put(b"\0" + bytes(32), name=KEY_NAME)
            own = Tiers(Home(tmp_path), None, Pit(), None, None)  # type: ignore[arg-type]
            tiers.append(own._secret())
            (id,) = store.held()
            assert own.is_key(id)
            with pytest.raises(ArtifactHeld):
                store.remove(id)
    assert tiers[0] == tiers[1] and tiers[0] not in (None, bytes(32))
    raw = b"".join(file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file())
    assert tiers[0] is not None and tiers[0] not in raw
    with pit_native.ArtifactStore(tmp_path / "plain") as store:
        Pit.store = store
        assert Tiers(Home(tmp_path), None, Pit(), None, None)._secret() is None  # type: ignore[arg-type]


async def test_what_leaves_an_encrypted_store_is_encrypted_and_its_key_stays(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, active_days=0, delete_days=1e-9, keep_value=0.4, archive__folder=str(archive))
    with (home / "config.toml").open("a") as file:
        file.write('pit.store.encryption = "passphrase"\n')
    monkeypatch.setenv("SYMPHONY_STORE_PASSPHRASE", "correct horse")
    async with hosted(home) as host:
        id = stored(host, TEXT * 20)
        assert (await host.tier_artifacts())["done"] == 1
        assert (await host.tier_artifacts(dry_run=True))["actions"] == [], "the key stays"
        assert [one["id"] for one in (await host.list_artifacts())["artifacts"]] == [id], "and is not shown"
        for ask in (
            host.tier_artifacts(artifacts=[KEY_NAME], target="archive"),
            host.hold_artifact(KEY_NAME, None),
        ):
            with pytest.raises(BadInput, match="key of what has left"):
                await ask
        (left,) = [file for file in archive.rglob("*") if file.is_file() and file.stat().st_size]
        assert id[7:] not in left.parent.name + left.name and b"zebras" not in left.read_bytes()
    async with hosted(home) as host:
        assert (await host.get_artifact(id))[1] == TEXT * 20


async def test_what_runs_teach_counts_for_what_they_made(home: Path) -> None:
    from symphony.app.worth import run_facts
    from symphony.engine.record import RunRecord
    from symphony.types.runs import NodeRun, RunInfo

    settings(home, active_days=0, delete_days=1e-9, keep_value=0.8)
    async with hosted(home) as host:

        def record(run: str, status: Any, created: float, player: str) -> RunRecord:
            nodes = [NodeRun("n", player, status=status, attempts=1)]
            info = RunInfo(run, "m", status, 1.0, nodes, prompt="list commits", created=created)
            melody = {"nodes": [{"id": "n", "player": player}]}
            return RunRecord(info, melody, [])

        history = host.services.history
        history.add(record("r1", "failed", 1.0, "symphony/git#log"))
        history.add(record("r2", "succeeded", 2.0, "symphony/git#commits"))
        facts = run_facts(history)
        assert [fact["corrections"] for fact in facts] == [0, 1], "another Melody for the same prompt"
        store = host.services.pit.store
        ids = {
            run: store.put(
                b"x" * 7 + run.encode(), name=run, type="application/octet-stream", meta={"run": run}
            )
            for run in ("r1", "r2", "r3")
        }
        names = {action.name for action in host.services.tiers.plan()}
        # The correction that succeeded is worth 0.93, the failure before it 0.76.
        assert names == {"r1", "r3"}, ids


async def test_a_tier_that_is_gone_is_one_clear_error(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, active_days=0, archive__folder=str(archive))
    async with hosted(home) as host:
        id = stored(host)
        await host.tier_artifacts()
    settings(home)
    async with hosted(home) as host:
        with pytest.raises(TierUnreachable, match="archive"):
            await host.get_artifact(id)
        assert await tier_of(host, id) == "archive"


async def test_what_an_earlier_host_left_half_done_is_ended(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings(home, active_days=0, archive__folder=str(archive))
    async with hosted(home) as host:
        id = stored(host)
        await host.tier_artifacts()
        name = host.services.tiers.retention.tiering.object_of(id)
    catalogue = Catalogue(Home(home).tiers)
    catalogue.set_copy(name, "archive", "leaving")
    catalogue.set_copy("ab" * 32, "archive", "writing")
    catalogue.close()
    async with hosted(home) as host:
        await host.tier_artifacts()
        assert await tier_of(host, id) == "archive"
    catalogue = Catalogue(Home(home).tiers)
    assert [(copy.object, copy.state) for copy in catalogue.copies()] == [(name, "held")]
    catalogue.close()


def test_a_host_starts_without_what_only_tiers_need() -> None:
    code = (
        "import sys, symphony.app.host, symphony.cli.artifacts;"
        "bad = {'boto3', 'botocore', 'azure', 'zstandard', 'keyring'} & set(sys.modules);"
        "sys.exit(' '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_run_goes_on_from_results_that_were_archived(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    settings(home, active_days=0, archive__folder=str(archive))

    def melody(second: str) -> dict[str, Any]:
        def node(id: str, command: str) -> dict[str, Any]:
            call = {"command": ["sh", "-c", command]}
            return {"id": id, "kind": "operator", "player": "symphony/shell#run", "params": call}

        # What the first prints is another thing each time.
        first = node("first", "date +%s%N")
        edges = [{"kind": "control", "from": "first", "to": "second"}]
        document = {"format": "symphony.melody/1", "name": "two", "version": "1.0.0"}
        return {**document, "nodes": [first, node("second", second)], "edges": edges}

    async with hosted(home) as host:
        play = {"project": str(project), "agreed": True}
        run = (await host.execute_melody(melody("exit 1"), **play))["run"]
        assert (await host.services.engine.ended(run)).info.status == "failed"
        before = host.services.history.get(run).node("first").artifacts
        assert before and (await host.tier_artifacts())["done"] > 0
        assert not any(host.services.pit.store.is_local(id) for id in before)
        await host.execute_melody(melody("exit 0"), resume=run, **play)
        assert (await host.services.engine.ended(run)).info.status == "succeeded"
        assert host.services.history.get(run).node("first").artifacts == before, "it did not run again"
