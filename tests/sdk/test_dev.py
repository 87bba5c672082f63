"""`carets dev`: what its author changes takes over in the running host, and no call that runs is dropped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import SymphonyError
from tests.hosting import hosted
from tests.sdk.hosts import call

CARETS = str(Path(sys.prefix) / "bin" / "carets")

MANIFEST = """\
[extension]
name = "ann/voice"
version = "0.1.0"
type = "operator"

[[functions]]
name = "say"
description = "Says which state of the extension answers"
outputs = { said = "text/plain" }
params = { until = { type = "string", default = "", description = "a file to wait for" } }

[capabilities]
files = ["read:project/*"]
"""

PLAYER = """\
import time
from symphony.sdk import PlayerFailure, player

@player.function
def say(ctx, until=""):
    ctx.log("waiting for " + until)
    while until:
        try:
            ctx.read(until)
            break
        except PlayerFailure as error:
            if error.code == "permission_denied":
                raise
            ctx.raise_if_cancelled()
            time.sleep(0.01)
    return "STATE"

player.serve()
"""


class Dev:
    """The command, in a process of its own beside the host."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def begin(cls, home: Path, folder: Path, *options: str) -> Dev:
        process = await asyncio.create_subprocess_exec(
            CARETS, "dev", str(folder), "--json", *options,
            env={**os.environ, "SYMPHONY_HOME": str(home)}, stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return cls(process)

    async def told(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line: dict[str, object] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))
        return line

    async def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@pytest.fixture
def extension(tmp_path: Path) -> Path:
    folder = tmp_path / "voice"
    folder.mkdir()
    (folder / "Symphony.toml").write_text(MANIFEST)
    (folder / "player.py").write_text(PLAYER.replace("STATE", "one"))
    return folder


async def test_a_change_takes_over_and_drops_no_call(home: Path, extension: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    player = extension / "player.py"
    melody = {
        "name": "m",
        "nodes": [
            {"id": "a", "kind": "operator", "player": "ann/voice#say", "params": {"until": "go"}},
            {"id": "b", "kind": "operator", "player": "ann/voice#say"},
        ],
        "edges": [{"kind": "control", "from": "a", "to": "b"}],
    }
    async with hosted(home) as host:
        dev = await Dev.begin(home, extension, "--yes")
        first = await dev.told()
        assert first["name"] == "ann/voice" and str(first["version"]).startswith("0.1.0+dev.")
        alone = asyncio.create_task(call(host, "ann/voice#say", project, until="go"))
        run = (await host.execute_melody(melody, project=str(project)))["run"]
        while not any("waiting for go" in row["message"] for row in (await host.task_logs(run))["logs"]):
            await asyncio.sleep(0.02)
        player.write_text(PLAYER.replace("STATE", "two"))
        second = await dev.told()
        assert second["version"] != first["version"]
        assert (await call(host, "ann/voice#say", project))["said"] == "two"
        # A state that cannot be loaded is reported, and the one before stays.
        (extension / "Symphony.toml").write_text("[extension")
        assert "Symphony.toml" in str((await dev.told())["error"])
        assert (await call(host, "ann/voice#say", project))["said"] == "two"
        # What began before goes on with what it began with, and may still do what it was granted.
        assert not alone.done()
        (project / "go").write_text("")
        assert (await alone)["said"] == "one"
        while (answer := await host.get_run(run))["run"]["status"] == "running":
            await asyncio.sleep(0.02)
        assert answer["run"]["status"] == "succeeded", answer["run"]
        # Back to the first state: its Player is one that was loaded before.
        (extension / "Symphony.toml").write_text(MANIFEST)
        player.write_text(PLAYER.replace("STATE", "one"))
        while (told := await dev.told()).get("version") != first["version"]:
            assert told
        assert (await call(host, "ann/voice#say", project))["said"] == "one"
        assert await dev.end() == 0
        with pytest.raises(SymphonyError, match="not installed"):
            await call(host, "ann/voice#say", project)


@pytest.mark.parametrize("kind", ["operator", "instrument"])
async def test_the_melody_of_a_new_extension_plays_in_a_running_host(
    home: Path, tmp_path: Path, kind: str, symphony: Callable[..., Any]
) -> None:
    """As `docs/extensions.md` says: an author's first ten minutes."""
    folder = tmp_path / "words"
    made = subprocess.run([CARETS, "new", "ann/words", "--type", kind, "--out", str(tmp_path)], check=False)
    assert made.returncode == 0
    async with hosted(home):
        dev = await Dev.begin(home, folder, "--yes")
        assert (await dev.told())["name"] == "ann/words"
        played = await asyncio.to_thread(
            symphony, "play", folder / "melody.yaml", "--project", folder, "--yes", "--json"
        )
        nodes = {node["id"]: node for node in json.loads(played.out)["run"]["nodes"]}
        assert nodes["read"]["status"] == "succeeded"
        if kind == "operator":
            assert played.code == 0 and nodes["mine"]["artifacts"]
        else:  # no model is configured here, and the answer says so
            assert "model.endpoint" in json.dumps(nodes["mine"]["error"])
        assert await dev.end() == 0


async def test_nothing_is_granted_that_nobody_agreed_to(home: Path, extension: Path) -> None:
    async with hosted(home) as host:
        dev = await Dev.begin(home, extension)
        await dev.process.communicate()
        assert dev.process.returncode != 0
        with pytest.raises(SymphonyError, match="asks for permissions"):
            await host.develop_extension(str(extension))
