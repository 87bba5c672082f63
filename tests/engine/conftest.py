"""A real host with the bundled Players, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from tests.hosting import hosted

Json = dict[str, Any]
PATIENCE = 120.0


class Stage:
    """A host and the project that its melodies work on."""

    def __init__(self, host: Host, project: Path) -> None:
        self.host = host
        self.project = project

    async def begin(self, melody: Json) -> str:
        """Starts a run; its id."""
        answer = await self.host.execute_melody(melody, project=str(self.project), agreed=True)
        return str(answer["run"])

    async def end(self, run: str) -> Json:
        """Waits for the end of a run: `get_run`."""
        await asyncio.wait_for(self.host.services.engine.ended(run), PATIENCE)
        return await self.host.get_run(run)

    async def play(self, melody: Json) -> Json:
        """A run from start to end."""
        return await self.end(await self.begin(melody))

    def output(self, run: Json, node: str) -> Json:
        """What a node of an ended run gave, by port."""
        return dict(self.host.services.pit.runtime.outputs(run["run"]["id"], node))


def node(run: Json, name: str) -> Json:
    """A node of a run."""
    found: Json = next(n for n in run["run"]["nodes"] if n["id"] == name)
    return found


def shell(name: str, script: str, **more: Any) -> Json:
    """A node that runs a script."""
    params = {"command": ["sh", "-c", script]}
    return {"id": name, "kind": "operator", "player": "symphony/shell#run", "params": params, **more}


def control(name: str, player: str, /, **params: Any) -> Json:
    """A node of a control Player."""
    return {"id": name, "kind": "control", "player": f"symphony/control#{player}", "params": params}


def melody(name: str, nodes: list[Json], *edges: str) -> Json:
    """A melody; an edge is `a.x > b.y`."""
    pairs = [edge.split(" > ") for edge in edges]
    return {
        "format": "symphony.melody/1",
        "name": name,
        "nodes": nodes,
        "edges": [{"kind": "data", "from": a, "to": b} for a, b in pairs],
    }


@pytest.fixture
async def stage(home: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """A host that plays in the loop of the test."""
    project = tmp_path / "project"
    project.mkdir()
    async with hosted(home) as host:
        yield Stage(host, project)
