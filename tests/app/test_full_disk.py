"""The disk is full at each step: one clear line, nothing of before is lost, and it goes on when there is room."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.errors import StorageFull
from symphony.ui.page import Page
from tests.app.test_disk import fill
from tests.app.test_survival import started
from tests.hosting import hosted

Json = dict[str, Any]
Run = Callable[..., Any]

LISTING: Json = {
    "format": "symphony.melody/1",
    "name": "listing",
    "nodes": [{"id": "files", "kind": "operator", "player": "symphony/files#list"}],
    "edges": [],
}


def shell(command: str) -> Json:
    node = {
        "id": "s",
        "kind": "operator",
        "player": "symphony/shell#run",
        "params": {"command": ["sh", "-c", command]},
    }
    return {**LISTING, "name": "shell", "nodes": [node]}


async def played(host: Host, melody: Json, project: Path) -> Json:
    run = (await host.execute_melody(melody, project=str(project), agreed=True))["run"]
    await asyncio.wait_for(host.services.engine.ended(run), 120)
    answer: Json = (await host.get_run(run))["run"]
    return answer


async def full(work: Awaitable[Any]) -> str:
    """The one line of an error that says that there is no space."""
    with pytest.raises(StorageFull) as raised:
        await work
    said = str(raised.value)
    assert "\n" not in raised.value.message and ("space" in said or "full" in said), said
    assert raised.value.remedy and raised.value.exit_code == 3
    return said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    (place / "a.txt").write_text("a")
    return place


async def test_each_change_of_a_running_host(small: Path, project: Path) -> None:
    home = small / "home"
    async with hosted(home, project=project) as host:
        first = await played(host, LISTING, project)
        assert first["status"] == "succeeded", first
        kept = [id for node in first["nodes"] for id in node["artifacts"]]
        saved = await host.save_melody(LISTING, "kept")
        await host.set_setting("ui.theme", "dark")
        ballast = fill(small)

        await full(host.save_melody({**LISTING, "description": "x" * 200_000}, "lost"))
        await full(host.set_setting("ui.theme", "light"))
        await full(host.install_extension("symphony/markdown", ["read:project/**"]))
        await full(host.enable_extension("symphony/report", False))
        await full(host.execute_melody(LISTING, project=str(project)))
        # What only reads goes on.
        assert [m["id"] for m in (await host.list_melodies())["melodies"]] == [saved["id"]]
        assert [r["id"] for r in (await host.list_runs())["runs"]] == [first["id"]]
        rows = {row["key"]: row["value"] for row in (await host.settings())["settings"]}
        assert rows["ui.theme"] == "dark"
        installed = (await host.list_extensions("", installed_only=True))["extensions"]
        assert all(row["enabled"] for row in installed) and "symphony/markdown" not in {
            row["name"] for row in installed
        }
        assert not list((home / "extensions").glob("*/*/*"))
        for artifact in kept:
            assert await host.get_artifact(artifact)

        ballast.unlink()
        await host.save_melody(LISTING, "late")
        await host.set_setting("ui.theme", "light")
        await host.install_extension("symphony/markdown", ["read:project/**"])
        (project / "b.txt").write_text("b")
        again = await played(host, LISTING, project)
        assert again["status"] == "succeeded", again
        assert (await host.verify_artifacts())["findings"] == []


async def test_a_disk_that_fills_while_a_run_writes(small: Path, project: Path) -> None:
    """The node that finds no space fails with one line; what was stored before stays, and the next run plays."""
    home = small / "home"
    big = shell("head -c 3900000 /dev/urandom | od -An -tx1 -v")
    async with hosted(home, project=project) as host:
        first = await played(host, LISTING, project)
        kept = [id for node in first["nodes"] for id in node["artifacts"]]
        ballast = fill(small)
        os.truncate(ballast, ballast.stat().st_size - (2 << 20))  # room to begin, none for what comes
        failed = await played(host, big, project)
        assert failed["status"] == "failed", failed
        error = failed["nodes"][0]["error"]
        assert "space" in error["message"] + error.get("remedy", ""), error
        assert "\n" not in error["message"] and "Traceback" not in error["message"]
        ballast.unlink()
        again = await played(host, shell("echo fine"), project)
        assert again["status"] == "succeeded", again
        for artifact in kept:
            assert await host.get_artifact(artifact)
        assert (await host.verify_artifacts())["findings"] == []
    async with hosted(home, project=project) as host:
        states = {run["id"]: run["status"] for run in (await host.list_runs())["runs"]}
        assert states == {first["id"]: "succeeded", failed["id"]: "failed", again["id"]: "succeeded"}
        found = await host.list_artifacts("fine")
        assert len(found["artifacts"]) >= 1


def test_a_start_on_a_full_disk_says_so_or_serves(
    symphony: Run,
    small: Path,
    project: Path,
) -> None:
    home = small / "home"
    with started(home, "serve", "--project", project) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    ballast = fill(small)
    here = {"SYMPHONY_HOME": str(home)}
    for command in (
        ("runs", "list"),
        ("artifacts", "list"),
        ("artifacts", "verify"),
        ("ext", "list"),
        ("config", "show"),
        ("melody", "list"),
    ):
        done = symphony(*command, "--json", **here)
        assert done.code in (0, 3), (command, done.out, done.err)
        if done.code == 3:
            error = json.loads(done.out)["error"]
            assert "space" in error["message"] or "full" in error["message"], (command, error)
        assert "Traceback" not in done.err
    ballast.unlink()
    with started(home, "serve", "--project", project) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")


@pytest.mark.parametrize("command", [("serve",), ("app", "--browser")])
def test_neither_server_nor_window_begins_a_home_on_a_full_disk(
    symphony: Run, small: Path, project: Path, command: tuple[str, ...]
) -> None:
    home = small / "home"
    ballast = fill(small)
    refused = symphony(*command, "--project", project, SYMPHONY_HOME=str(home))
    assert refused.code == 3, (refused.code, refused.out, refused.err)
    last = refused.err.strip().splitlines()[-1]
    assert last.startswith("symphony: ") and "space" in last and "free some" in last, refused.err
    assert refused.out == "" and "Traceback" not in refused.err and refused.err.count("\n") <= 3
    ballast.unlink()
    with started(home, "serve", "--project", project) as process:  # what was begun is no obstacle
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")


def test_a_home_whose_disk_has_filled_is_whole_when_there_is_room_again(
    symphony: Run, small: Path, project: Path
) -> None:
    here = {"SYMPHONY_HOME": str(small / "home")}
    (project.parent / "listing.json").write_text(json.dumps(LISTING))
    played = symphony("play", project.parent / "listing.json", "--project", project, "--json", **here)
    kept = [a["id"] for a in json.loads(played.out)["artifacts"]]
    assert played.code == 0 and kept, played.err
    assert symphony("config", "set", "ui.theme", "dark", **here).code == 0
    ballast = fill(small)
    refused = symphony("serve", "--project", project, **here)
    assert refused.code == 3 and "Traceback" not in refused.err, refused.err
    assert "full" in refused.err or "space" in refused.err
    ballast.unlink()
    with started(small / "home", "serve", "--project", project) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        for artifact in kept:
            assert symphony("artifacts", "show", artifact, **here).code == 0
        undone = symphony("undo", "--json", **here)
        assert json.loads(undone.out)["said"] == "Set ui.theme to dark"
        assert json.loads(symphony("artifacts", "verify", "--json", **here).out)["findings"] == []


async def test_an_open_page_says_so_and_goes_on(small: Path, project: Path) -> None:
    async with hosted(small / "home", project=project) as host:
        page = Page(host)
        await page.begin()
        await page.open("settings")
        ballast = fill(small)

        async def do(key: str, event: str, value: Any) -> None:
            page.dispatch(key, event, value)
            await page.idle()

        await do("settings.theme", "change", "dark")
        assert page.state.problem is not None
        assert "full" in page.state.problem.title and "free" in page.state.problem.remedy
        assert page.state.theme == "system", "what was not kept is not shown"
        await page.open("artifacts")
        ballast.unlink()
        await do("settings.theme", "change", "light")
        assert page.state.theme == "light"
        assert host.services.configuration.get("ui.theme") == "light"
        await page.close()
