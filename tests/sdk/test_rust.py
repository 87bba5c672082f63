"""The Rust SDK: its example is built, packed, installed, and plays in the sandbox as a program of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import SymphonyError
from symphony.stage.manifest import load_manifest
from symphony.stage.roster import CastMember
from tests.hosting import hosted
from tests.sdk.hosts import call, installed

ROOT = Path(__file__).resolve().parents[2]

MANIFEST = """\
[extension]
name = "tests/words"
version = "1.0.0"
type = "operator"
runtime = "process"
entry = "bin/words"

[[functions]]
name = "count"
description = "Words"
inputs = { text = "text/plain" }
outputs = { words = "list<record>" }
params = { most = { type = "integer", default = 10 } }

[[functions]]
name = "measure"
description = "Bytes of a file"
outputs = { size = "number" }
params = { path = { type = "string", required = true } }

[[functions]]
name = "wait"
description = "Waits until it is stopped"
outputs = { size = "number" }

[capabilities]
files = ["read:project/*.txt"]
"""


NEWS = """\
[extension]
name = "tests/{name}"
version = "1.0.0"
type = "operator"
runtime = "process"
entry = "bin/news"

[[functions]]
name = "speak"
description = "Publishes"
outputs = {{ value = "integer" }}
params = {{ topic = {{ type = "string", required = true }}, count = {{ type = "integer", default = 0 }} }}

[[functions]]
name = "hear"
description = "Counts what is heard"
outputs = {{ value = "integer" }}
params = {{ topic = {{ type = "string", required = true }} }}

[capabilities]
ipc = ["tests/speaker"]
"""


def built(example: str) -> Path:
    """An example, as cargo builds it."""
    command = [
        "cargo",
        "build",
        "--locked",
        "--message-format=json",
        "-p",
        "symphony_sdk",
        "--example",
        example,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return next(Path(row["executable"]) for row in rows if row.get("executable"))


@pytest.fixture(scope="session")
def program() -> Path:
    """The example `words`."""
    return built("words")


@pytest.fixture(params=["socket", "stdio"])
def extension(program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "words"
    (folder / "bin").mkdir(parents=True)
    (folder / "Symphony.toml").write_text(
        MANIFEST.replace("entry =", f'transport = "{request.param}"\nentry =')
    )
    shutil.copy(program, folder / "bin" / "words")
    return folder


async def test_the_example_plays_in_the_sandbox(home: Path, extension: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "granted.txt").write_text("12345")
    (project / "other.md").write_text("12345")
    async with installed(home, extension, tmp_path) as host:
        counted = await call(
            host, "tests/words#count", project, most=2, inputs={"text": "To be, or not to be."}
        )
        assert counted["words"] == [{"word": "be", "count": 2}, {"word": "to", "count": 2}]
        assert (await call(host, "tests/words#measure", project, path="granted.txt"))["size"] == 5
        with pytest.raises(SymphonyError) as refused:
            await call(host, "tests/words#measure", project, path="other.md")
        assert refused.value.code == "permission_denied"
        with pytest.raises(SymphonyError, match="no words are wanted") as bad:
            await call(host, "tests/words#count", project, most=0, inputs={"text": "a"})
        assert bad.value.code == "bad_input" and bad.value.remedy == "ask for one at least"


async def test_a_run_is_cancelled_while_its_function_works(
    home: Path, extension: Path, tmp_path: Path
) -> None:
    melody = {
        "name": "waits",
        "nodes": [{"id": "n", "kind": "operator", "player": "tests/words#wait"}],
        "edges": [],
    }
    async with installed(home, extension, tmp_path) as host:
        run = (await host.execute_melody(melody, project=str(tmp_path)))["run"]
        while not any("waiting" in row["message"] for row in (await host.task_logs(run))["logs"]):
            await asyncio.sleep(0.02)
        await host.cancel_run(run)
        while (answer := await host.get_run(run))["run"]["status"] == "running":
            await asyncio.sleep(0.02)
        assert answer["run"]["status"] == "cancelled"


async def test_what_one_publishes_another_hears_in_order(home: Path, tmp_path: Path) -> None:
    news, topic = built("news"), "tests/speaker/news"
    async with hosted(home) as host:
        for name in ("speaker", "listener"):
            folder = tmp_path / name
            (folder / "bin").mkdir(parents=True)
            (folder / "Symphony.toml").write_text(NEWS.format(name=name))
            shutil.copy(news, folder / "bin" / "news")
            manifest = load_manifest(folder)
            granted = tuple(manifest.grants())
            host.services.roster.add(CastMember(f"tests/{name}", "1.0.0", folder, manifest, granted))

        async def value(player: str, **params: Any) -> Any:
            name, _, function = player.partition("#")
            key = host.services.roster.key(f"tests/{name}", tmp_path)
            body = {"function": function, "params": params, "inputs": {}, "context": {}}
            return (await host.services.engine.call(key, body, 120.0))["value"]

        hears = asyncio.create_task(value("listener#hear", topic="tests/speaker/**"))
        async with asyncio.timeout(120):
            while await value("speaker#speak", topic=topic) == 0:
                assert not hears.done()
        await value("speaker#speak", topic=topic, count=300)
        assert await hears == 300
        with pytest.raises(SymphonyError, match="publishes below its own name") as refused:
            await value("listener#speak", topic=topic)
        assert refused.value.code == "permission_denied"
        with pytest.raises(SymphonyError) as deaf:
            await value("speaker#hear", topic="tests/stranger/news")
        assert deaf.value.code == "permission_denied"


def test_outside_of_a_host_it_says_so(program: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SYMPHONY_")}
    done = subprocess.run([program], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "a Player is started by the host" in done.stderr
