"""The files of the settings are followed: what is good holds, what is bad changes nothing and is told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.config.catalogue import catalogue, holds_at_once, waits_because
from tests.hosting import hosted

Json = dict[str, Any]


@asynccontextmanager
async def watched(host: Host) -> AsyncIterator[asyncio.Queue[Json]]:
    """All events of a host, from now on."""
    events: asyncio.Queue[Json] = asyncio.Queue()

    async def follow() -> None:
        async for event in host.watch():
            events.put_nowait(event)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(events: asyncio.Queue[Json], kind: str, words: str = "") -> Json:
    """The next event of a kind that says these words."""
    while True:
        event = await asyncio.wait_for(events.get(), 30)
        if event["event"] == kind and words in str(event.get("message", "")):
            return event


async def value(host: Host, key: str) -> Any:
    rows = (await host.settings())["settings"]
    return next(row["value"] for row in rows if row["key"] == key)


async def test_an_edit_of_the_users_file_holds_without_a_restart(home: Path) -> None:
    async with hosted(home, '[logging]\nlevel = "info"\n') as host, watched(host) as events:
        (home / "config.toml").write_text('[ui]\ntheme = "dark"\n[logging]\nlevel = "debug"\n')
        await told(events, "settings")
        assert await value(host, "ui.theme") == "dark"
        assert logging.getLogger("symphony").level == logging.DEBUG
        (home / "config.toml").unlink()
        await told(events, "settings")
        assert await value(host, "ui.theme") == "system"
        assert logging.getLogger("symphony").level == logging.INFO


async def test_an_edit_of_the_projects_file_holds_and_one_of_another_project_does_not(
    home: Path, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    async with hosted(home, project=mine) as host, watched(host) as events:
        (other / "conductor.yaml").write_text("engine: {max_nodes: 3}\n")
        (mine / "conductor.yaml").write_text("engine: {max_nodes: 7}\n")
        await told(events, "settings")
        assert await value(host, "engine.max_nodes") == 7
        await host.open_project(str(other))
        assert await value(host, "engine.max_nodes") == 3
        (other / "conductor.yaml").write_text("engine: {max_nodes: 30}\n")
        await told(events, "settings")
        assert await value(host, "engine.max_nodes") == 30


async def test_a_bad_edit_keeps_the_old_and_says_where_and_why(home: Path) -> None:
    async with hosted(home, '[ui]\ntheme = "dark"\n') as host, watched(host) as events:
        file = home / "config.toml"
        file.write_text('[ui]\ntheme = "dark"\n\n[engine]\nmax_nodes = "many"\n')
        notice = await told(events, "notice", "stay")
        assert f"{file}:5:" in notice["message"] and notice["show"]
        assert await value(host, "ui.theme") == "dark"
        assert await value(host, "engine.max_nodes") == 10_000
        own = {status.name: status for status in await host.services.health()}
        assert own["configuration"].status == "degraded" and ":5:" in own["configuration"].detail
        lines = [json.loads(line) for line in (home / "logs" / "host.jsonl").read_text().splitlines()]
        assert any(line["level"] == "error" and f"{file}:5:" in line["message"] for line in lines)
        file.write_text('[ui]\ntheme = "light"\n')
        await told(events, "notice", "again")
        assert await value(host, "ui.theme") == "light"


async def test_what_holds_from_the_next_start_is_told(home: Path) -> None:
    async with hosted(home) as host, watched(host) as events:
        (home / "config.toml").write_text('[pit.pool]\ncapacity = 9\n[ui]\ntheme = "dark"\n')
        notice = await told(events, "notice", "next start")
        assert "pit.pool.capacity holds" in notice["message"] and "ui.theme" not in notice["message"]
        await host.set_setting("host.port", 8123)
        assert "host.port holds" in (await told(events, "notice", "next start"))["message"]
        (home / "config.toml").write_text("[engine]\nenabled = false\n")
        assert "engine.enabled is false" in (await told(events, "notice", "will fail"))["message"]


async def test_a_setting_of_an_extension_reaches_its_next_activation(home: Path) -> None:
    async with hosted(home) as host, watched(host) as events:
        before = host.services.roster.find("symphony/git")
        assert before is not None and before.configuration.get("unknown") is None
        (home / "config.toml").write_text('[extensions."symphony/git"]\nunknown = 1\n')
        await told(events, "extensions")


async def test_another_registry_is_offered_at_once(home: Path, tmp_path: Path) -> None:
    async with hosted(home) as host, watched(host) as events:
        assert host.services.extensions.registry.names()
        (home / "config.toml").write_text(f'[registry]\nfolder = "{tmp_path / "nothing"}"\n')
        await told(events, "settings")
        assert host.services.extensions.registry.names() == []


async def test_another_strategy_chooses_among_those_that_wait_already(home: Path) -> None:
    async with hosted(home, "[pit.arbitration]\ncpu = 1\n") as host, watched(host) as events:
        arbiter = host.services.pit.arbiter
        held = arbiter.request("first", {"cpu": 1.0})
        assert held is not None
        # By fairness, at first, the higher priority goes first; by the shortest the other one.
        assert arbiter.request("long", {"cpu": 1.0}, 6, seconds=100.0) is None
        assert arbiter.request("short", {"cpu": 1.0}, 5, seconds=1.0) is None
        (home / "config.toml").write_text('[pit.arbitration]\ncpu = 1\nstrategy = "shortest"\n')
        await told(events, "settings")
        assert [grant.owner for grant in arbiter.release(held)] == ["short"]


@pytest.mark.parametrize(
    ("key", "at_once"),
    [
        ("ui.theme", True),
        ("model.endpoint", True),
        ("stage.crashes.limit", True),
        ("engine.node_timeout", True),
        ("pit.arbitration.strategy", True),
        ("pit.arbitration.cpu", False),
        ("host.port", False),
        ("stage.player.memory", True),
        ("conductor.language_model", True),
        ("pit.stale.active_days", True),
        ("pit.stale.timeout", False),
        ("pit.stale.cloud.timeout", True),
        ("pit.store.encryption", False),
        ("engine.max_parallel", False),
    ],
)
def test_the_description_says_what_waits_for_a_start(key: str, at_once: bool) -> None:
    assert holds_at_once(key) is at_once
    assert ("a change holds from the next start, because" in catalogue()[key].description) is not at_once


def test_every_setting_that_waits_says_why() -> None:
    for key in catalogue():
        assert bool(waits_because(key)) is not holds_at_once(key)


async def test_players_start_under_the_limits_of_now(home: Path, tmp_path: Path) -> None:
    async with hosted(home, project=tmp_path) as host:
        services = host.services
        key = services.roster.key("symphony/text", tmp_path)

        def held() -> Json:
            return services.pit.player_states()[key]

        async def call() -> None:
            await host.call_function("symphony/text#count_words", {}, {"text": "two words"})

        await call()
        before = held()
        await host.set_setting("stage.player.memory", "300MiB")
        await services.reconfiguration.settled()
        await call()
        assert held()["pid"] != before["pid"]
        limit = next(
            row for row in (await host.list_extensions())["extensions"] if row["name"] == "symphony/text"
        )
        assert limit["usage"]["limits"]["memory"] <= 300 << 20


async def test_another_policy_of_retention_holds_at_once_and_a_senseless_one_not(home: Path) -> None:
    archive = home.parent / "archive"
    archive.mkdir()
    async with hosted(home) as host, watched(host) as events:
        host.services.pit.store.put(b"words", name="a.txt", type="text/plain", meta={})
        assert (await host.tier_artifacts(dry_run=True))["actions"] == []
        await host.set_setting("pit.stale.archive.folder", str(archive))
        await host.set_setting("pit.stale.active_days", 0)
        await host.services.reconfiguration.settled()
        (action,) = (await host.tier_artifacts(dry_run=True))["actions"]
        assert action["action"] == "archive"
        assert (await host.tier_artifacts())["done"] == 1
        await host.set_setting("pit.stale.active_days", 40)  # longer than the archive keeps it
        assert "still does" in (await told(events, "notice", "pit.stale"))["message"]
        assert [tier["name"] for tier in (await host.artifact_tiers())["tiers"]] == ["active", "archive"]


async def test_the_key_of_the_page_is_told_with_its_reason(home: Path) -> None:
    async with hosted(home) as host:
        rows = {row["key"]: row for row in (await host.settings())["settings"]}
        assert "because the address of the page is in use" in rows["host.port"]["description"]
