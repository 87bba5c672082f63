"""Homes that former states of Symphony wrote: the present host finds all of it and goes on.

`homes/COMMIT.tar.xz` was written by the host of that commit, which was killed in a run; `homes/COMMIT.json` is what it
said of its home. A commit that changes a format adds one, written by the commit before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from symphony.config.home import Home
from symphony.stage.audit import AuditLog
from tests.hosting import hosted

Json = dict[str, Any]
HOMES = sorted(Path(__file__).with_name("homes").glob("*.tar.xz"))


@pytest.fixture(params=HOMES, ids=lambda file: file.name.partition(".")[0])
def former(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Json]:
    """A home of then, unpacked, and what was in it."""
    file: Path = request.param
    assert file.stat().st_size < 100_000
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path, filter="data")
    said: Json = json.loads(file.with_name(file.name.replace(".tar.xz", ".json")).read_text())
    return tmp_path / "home", said


def test_there_is_a_former_home() -> None:
    assert HOMES


async def test_everything_is_there_and_goes_on(former: tuple[Path, Json]) -> None:
    home, said = former
    async with hosted(home) as host:
        runs = (await host.list_runs())["runs"]
        assert [{name: run[name] for name in ("id", "name", "status")} for run in runs] == said["runs"]
        artifacts = (await host.list_artifacts())["artifacts"]
        found = [{name: a[name] for name in ("id", "name", "bytes")} for a in artifacts]
        assert sorted(found, key=lambda a: (a["name"], a["id"])) == said["artifacts"]
        for artifact in found:
            _, content = await host.get_artifact(artifact["id"])
            assert "sha256:" + hashlib.sha256(content).hexdigest() == artifact["id"]
        names = [artifact["name"] for artifact in said["artifacts"]]
        versions = (await host.artifact_versions("report.md"))["versions"]
        assert len(versions) == names.count("report.md") == 2
        assert (await host.list_artifacts("commits"))["artifacts"], (
            "the full-text search finds what was stored"
        )
        rows = {row["key"]: row["value"] for row in (await host.settings())["settings"]}
        assert {key: rows[key] for key in said["settings"]} == said["settings"]
        melodies = (await host.list_melodies())["melodies"]
        assert [{name: m[name] for name in ("name", "version")} for m in melodies] == said["melodies"]
        extensions = {row["name"]: row for row in (await host.list_extensions())["extensions"]}
        for name, then in said["extensions"].items():
            assert {key: extensions[name][key] for key in then} == then
        audit = await host.audit()
        assert audit["tampered"] is None and "of before" in audit["entries"][-1]["detail"]
        assert (home / "audit-unsealed.jsonl").read_text().count("\n") > 1
        assert (await host.verify_artifacts())["findings"] == []


async def test_what_was_interrupted_goes_on_and_new_runs_stand_before_old_ones(
    former: tuple[Path, Json], tmp_path: Path
) -> None:
    home, said = former
    project = tmp_path / "project"
    project.mkdir()
    run = next(run["id"] for run in said["runs"] if run["status"] == "interrupted")
    summary = Home(home).runs / run / "run.json"
    body = json.loads(summary.read_text())
    summary.write_text(json.dumps({**body, "run": {**body["run"], "project": str(project)}}))
    done = {node["id"]: node["artifacts"] for node in body["run"]["nodes"] if node["status"] == "succeeded"}
    assert done
    async with hosted(home, project=project) as host:
        await host.resume_run(run, agreed=True)
        await asyncio.wait_for(host.services.engine.ended(run), 120)
        info = (await host.get_run(run))["run"]
        assert info["status"] == "succeeded", info
        # Their project is another one now, so that they ran anew: what they had made is kept beside it.
        assert all(host.services.pit.store.info(id)["id"] == id for made in done.values() for id in made)
        fresh = (await host.execute_melody(body["melody"], project=str(project), agreed=True))["run"]
        await asyncio.wait_for(host.services.engine.ended(fresh), 120)
        listed = [r["id"] for r in (await host.list_runs())["runs"]]
        assert listed == [fresh, *(r["id"] for r in said["runs"])]
    async with hosted(home) as host:
        assert [r["id"] for r in (await host.list_runs())["runs"]] == listed
        assert (await host.verify_artifacts())["findings"] == []


def plain_log(path: Path, details: list[str]) -> None:
    """A log as it was written before there were seals: anybody can write one."""
    last = "0" * 64
    with path.open("w") as file:
        for detail in details:
            entry: Json = {
                "time": 1.0,
                "extension": "a/b",
                "capability": "exec",
                "detail": detail,
                "allowed": True,
            }
            last = hashlib.sha256((last + json.dumps(entry, sort_keys=True)).encode()).hexdigest()
            file.write(json.dumps({**entry, "hash": last}) + "\n")


def test_a_log_of_before_is_put_aside_once_and_said(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    plain_log(path, ["one", "two"])
    log = AuditLog(path)
    assert log.verify() is None and "2 lines" in log.entries()[0]["detail"]
    # Who has taken the key away could have written it: that stays to be seen.
    status, detail, remedy = log.look()
    assert status == "degraded" and "audit-unsealed.jsonl was never sealed" in detail and "move it" in remedy
    log.close()
    # Now there is a key: a made-up log of the old kind in the place of this one is found.
    plain_log(path, ["nothing happened"])
    log = AuditLog(path)
    assert log.verify() == 1
    log.close()


def test_a_log_of_before_that_does_not_fit_stays_and_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    plain_log(path, ["one", "two"])
    path.write_text(path.read_text().replace("one", "eins"))
    log = AuditLog(path)
    assert log.verify() == 1 and not (tmp_path / "audit-unsealed.jsonl").exists()
    log.close()
