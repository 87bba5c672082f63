"""A real host in the test's process, and packages that it trusts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from symphony.app.host import Host
from symphony.stage.manifest import load_manifest
from tests.hosting import hosted


def carets(*arguments: object) -> str:
    """What a command of an author prints; it must succeed."""
    command = [str(Path(sys.prefix) / "bin" / "carets"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@asynccontextmanager
async def installed(home: Path, folder: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A host that has installed the extension in `folder`, packed and signed, with all grants that it wants."""
    package = Path(json.loads(carets("pack", folder, "--out", tmp_path, "--json"))["file"])
    key = json.loads(carets("sign", package, "--key", tmp_path / "key", "--json"))["key"]
    async with hosted(home, f'[registry]\ntrusted = ["{key}"]\n') as host:
        await host.install_extension(str(package), load_manifest(folder).grants())
        yield host


async def call(host: Host, player: str, project: Path, **given: Any) -> dict[str, Any]:
    """One function alone: its outputs."""
    inputs = given.pop("inputs", None)
    answer = await host.call_function(player, given, inputs, project=str(project))
    outputs: dict[str, Any] = answer["outputs"]
    return outputs
