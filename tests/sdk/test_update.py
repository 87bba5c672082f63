"""An update while an extension plays: what began ends with its version and rights, what begins has the new one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from symphony.stage.manifest import load_manifest
from tests.hosting import hosted
from tests.sdk.hosts import call, carets

MANIFEST = """
[extension]
name = "ann/voice"
version = "{version}"
type = "operator"
[[functions]]
name = "say"
description = "Says which version it is, once a file is there"
outputs = {{ said = "text/plain" }}
params = {{ until = {{ type = "string", default = "" }} }}
[capabilities]
files = ["read:project/*.txt"{more}]
"""
PLAYER = """
import time
from symphony.sdk import PlayerFailure, player

@player.function
def say(ctx, until=""):
    while until:
        try:
            ctx.read(until)
            break
        except PlayerFailure:
            ctx.log("waits")
            time.sleep(0.02)
    return "VERSION"

player.serve()
"""


def packed(tmp_path: Path, version: str, more: str = "") -> tuple[Path, str]:
    """A signed package of this version, and the key that signed it."""
    folder = tmp_path / f"source-{version}"
    folder.mkdir()
    (folder / "Symphony.toml").write_text(MANIFEST.format(version=version, more=more))
    (folder / "player.py").write_text(PLAYER.replace("VERSION", version))
    package = Path(json.loads(carets("pack", folder, "--out", tmp_path, "--json"))["file"])
    return package, json.loads(carets("sign", package, "--key", tmp_path / "key", "--json"))["key"]


async def test_versions_play_side_by_side_while_one_is_updated(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (first, key), (second, _) = packed(tmp_path, "1.0.0"), packed(tmp_path, "1.1.0", ', "read:project/*.md"')
    melody = {
        "name": "m",
        "nodes": [
            {"id": "a", "kind": "operator", "player": "ann/voice#say", "params": {"until": "go.txt"}},
            {"id": "b", "kind": "operator", "player": "ann/voice#say"},
        ],
        "edges": [{"kind": "control", "from": "a", "to": "b"}],
    }
    # What stays loaded, or waits for what plays, must be a failure and no endless test.
    async with asyncio.timeout(120), hosted(home, f'[registry]\ntrusted = ["{key}"]\n') as host:
        await host.install_extension(str(first), load_manifest(tmp_path / "source-1.0.0").grants())
        alone = asyncio.create_task(call(host, "ann/voice#say", project, until="go.txt"))
        run = (await host.execute_melody(melody, project=str(project)))["run"]
        while not any("waits" in row["message"] for row in (await host.task_logs(run))["logs"]):
            await asyncio.sleep(0.02)
        await host.install_extension(str(second), load_manifest(tmp_path / "source-1.1.0").grants())
        assert (await call(host, "ann/voice#say", project))["said"] == "1.1.0"
        assert not alone.done()
        (project / "go.txt").write_text("")
        assert (await alone)["said"] == "1.0.0"
        while (answer := await host.get_run(run))["run"]["status"] == "running":
            await asyncio.sleep(0.02)
        assert answer["run"]["status"] == "succeeded", answer["run"]
        contents = {(await host.get_artifact(a["id"]))[1] for a in answer["artifacts"]}
        assert contents == {b"1.0.0"}
        # With the run its version has gone; nothing of it is left loaded.
        while any("@1.0.0" in key for key in host.services.pit.player_states()):
            await asyncio.sleep(0.02)
        assert (await call(host, "ann/voice#say", project))["said"] == "1.1.0"
