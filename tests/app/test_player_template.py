"""A host's template: the Players of a melody are copies of it, and the doctor says how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from symphony.app.host import Host
from symphony.app.player_template import WarmTemplate
from symphony.ports.host import Json
from symphony.stage.manifest import parse_manifest
from symphony.stage.roster import CastMember, PlayerLimits, Roster
from tests.hosting import hosted

MELODY: Json = {
    "format": "symphony.melody/1",
    "name": "list",
    "nodes": [{"id": "list", "kind": "operator", "player": "symphony/files#list", "params": {}}],
    "edges": [],
}


@pytest.fixture
async def host(home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A host with a project of one file open."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "one.txt").write_text("one")
    async with hosted(home, "conductor.enabled = false\n", project=project) as host:
        yield host


async def _play(host: Host) -> None:
    run = (await host.execute_melody(MELODY, agreed=True))["run"]
    async with asyncio.timeout(60):
        while (found := (await host.get_run(run))["run"])["status"] == "running":
            await asyncio.sleep(0.01)
    assert found["status"] == "succeeded", found


async def _detail(host: Host) -> str:
    health = {one.name: one for one in await host.services.health()}
    assert health["player template"].status == "ok", health["player template"]
    return health["player template"].detail.partition(" (")[0]


async def test_the_players_of_a_melody_are_copies_of_the_template(host: Host) -> None:
    assert await _detail(host) == "cold; no Player was started yet"
    host._template.warm()
    async with asyncio.timeout(60):
        while not (await _detail(host)).startswith("warm"):
            await asyncio.sleep(0.01)
    await _play(host)
    assert await _detail(host) == "warm; 1 of 1 Players were copied from it"


async def test_the_first_player_warms_the_template_of_the_others(host: Host) -> None:
    await _play(host)
    async with asyncio.timeout(60):
        while (detail := await _detail(host)).startswith(("cold", "starting")):
            await asyncio.sleep(0.01)
    assert detail == "warm; 0 of 1 Players were copied from it"


async def test_a_build_without_a_template_says_so(host: Host, tmp_path: Path) -> None:
    configuration = host.services.configuration
    template = WarmTemplate(configuration, tmp_path / "launcher", tmp_path / "missing.so")
    await template.start()
    template.warm()
    found = await template.health_check()
    await template.stop()
    assert (found.status, found.remedy) == ("degraded", "run `make build`")
    assert "missing.so" in found.detail


@pytest.mark.parametrize(("extra", "is_copied"), [("", True), ("fresh = true\n", False)])
def test_an_extension_may_ask_for_a_start_of_its_own(tmp_path: Path, extra: str, is_copied: bool) -> None:
    class Runtime:
        launch: Json = {}

        def register_player(self, key: str, launch: Json) -> None:
            self.launch = launch

        def unregister_player(self, key: str) -> object: ...

    manifest = parse_manifest(f'[extension]\nname = "ann/one"\nversion = "1.0.0"\ntype = "operator"\n{extra}')
    runtime, template = Runtime(), object()
    roster = Roster(runtime, PlayerLimits, lambda: template)
    roster.cast([CastMember("ann/one", "1.0.0", tmp_path, manifest, ())])
    roster.key("ann/one", None)
    assert (runtime.launch["template"] is template) == is_copied
