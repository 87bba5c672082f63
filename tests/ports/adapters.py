"""Which adapters the conformance suite runs against: add a real one to its table and every test holds it to its port.

A factory gets an empty folder and yields a case: the port with the samples that the tests use on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pit_native import PoolManager
from symphony.app.adapters import HostPit, PlannerConductor, SandboxedExtensions
from symphony.errors import PlayerError
from symphony.ports.conductor import ConductorPort, OrchestrationResult
from symphony.ports.doubles import InMemoryConductor, InMemoryExtensions, InMemoryPit, InMemoryTextEditing
from symphony.ports.extension import ExtensionPort
from symphony.ports.pit import PitPort
from symphony.ports.text_editing import TextEditingPort
from tests.hosting import hosted

Document = dict[str, Any]


@dataclass
class TextCase:
    """`file` holds `content`; `read` gives what is on the disk."""

    port: TextEditingPort
    file: Path
    content: str
    read: Callable[[], str]


@dataclass
class PitCase:
    """`model` can be allocated; `good` succeeds, `failing` fails at a node before others, `endless` never ends."""

    port: PitPort
    model: str
    good: Document
    failing: Document
    endless: Document


@dataclass
class ExtensionCase:
    """`echo` answers `{"value": …}` with its parameter `value`, `fail` fails, `hang` never answers."""

    port: ExtensionPort
    folder: Path


@dataclass
class ConductorCase:
    """`possible` can be composed, `impossible` cannot."""

    port: ConductorPort
    possible: str
    impossible: str


Factory = Callable[[Path], AbstractAsyncContextManager[Any]]


async def _echo(params: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": params.get("value", inputs.get("value"))}


async def _fail(params: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    raise PlayerError("It failed", remedy="do not do that")


async def _hang(params: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


@asynccontextmanager
async def _text_double(folder: Path) -> AsyncIterator[TextCase]:
    file = folder / "a.txt"
    port = InMemoryTextEditing({file: "añb\nc"})
    yield TextCase(port, file, "añb\nc", lambda: port.files[file])


def _melody(*players: str, **params: object) -> Document:
    nodes = [
        {"id": f"n{i}", "kind": "operator", "player": f"test/test#{p}", "params": params}
        for i, p in enumerate(players)
    ]
    edges = [
        {"kind": "data", "from": f"n{i}.value", "to": f"n{i + 1}.value"} for i in range(len(players) - 1)
    ]
    return {"format": "symphony.melody/1", "name": "test", "version": "1.0.0", "nodes": nodes, "edges": edges}


@asynccontextmanager
async def _pit_double(folder: Path) -> AsyncIterator[PitCase]:
    players = {"test/test#echo": _echo, "test/test#fail": _fail, "test/test#hang": _hang}
    port = InMemoryPit(players, frozenset({"model"}))
    good, failing = _melody("echo", "echo", value=1), _melody("echo", "fail", "echo")
    yield PitCase(port, "model", good, failing, _melody("hang"))


@asynccontextmanager
async def _extension_double(folder: Path) -> AsyncIterator[ExtensionCase]:
    yield ExtensionCase(InMemoryExtensions({folder: {"echo": _echo, "fail": _fail, "hang": _hang}}), folder)


@asynccontextmanager
async def _conductor_double(folder: Path) -> AsyncIterator[ConductorCase]:
    answer = OrchestrationResult(
        True, _melody("echo"), [{"node": "n0", "why": "asked", "confidence": 1.0}], 0.1
    )
    yield ConductorCase(InMemoryConductor({"echo it": answer}), "echo it", "fly to the moon")


# --- real adapters -----------------------------------------------------------------------------------
def _scripts(*scripts: str) -> Document:
    nodes = [
        {
            "id": f"n{i}",
            "kind": "operator",
            "player": "symphony/shell#run",
            "params": {"command": ["sh", "-c", script]},
        }
        for i, script in enumerate(scripts)
    ]
    edges = [
        {"kind": "data", "from": f"n{i}.stdout", "to": f"n{i + 1}.input"} for i in range(len(scripts) - 1)
    ]
    # What comes after a failure must need it: `input` is optional, the order is not.
    edges += [{"kind": "control", "from": f"n{i}", "to": f"n{i + 1}"} for i in range(len(scripts) - 1)]
    return {"format": "symphony.melody/1", "name": "test", "version": "1.0.0", "nodes": nodes, "edges": edges}


@asynccontextmanager
async def _pit_host(folder: Path) -> AsyncIterator[PitCase]:
    project = folder / "project"
    project.mkdir()
    models = PoolManager(4)
    models.register("model", lambda name: object())
    async with hosted(folder / "home") as host:
        good, failing = _scripts("echo 1", "cat"), _scripts("echo 1", "exit 3", "cat")
        yield PitCase(HostPit(host, models, project), "model", good, failing, _scripts("sleep 300"))


MANIFEST = """
[extension]
name = "test/test"
version = "1.0.0"
type = "operator"
description = "For tests"
license = "MIT"
runtime = "python"
entry = "player.py"
"""
FUNCTION = """
[[functions]]
name = "{name}"
description = "For tests"
outputs = {{ value = "any" }}
params = {{ value = {{ type = "any", description = "anything" }} }}
"""
PLAYER = """
import threading
from symphony.sdk import PlayerFailure, player

@player.function
def echo(ctx, value=None):
    return {"value": value}

@player.function
def fail(ctx, value=None):
    raise PlayerFailure("It failed", remedy="do not do that")

@player.function
def hang(ctx, value=None):
    threading.Event().wait()

player.serve()
"""


@asynccontextmanager
async def _extension_sandboxed(folder: Path) -> AsyncIterator[ExtensionCase]:
    place = folder / "extension"
    place.mkdir()
    functions = "".join(FUNCTION.format(name=name) for name in ("echo", "fail", "hang"))
    (place / "Symphony.toml").write_text(MANIFEST + functions)
    (place / "player.py").write_text(PLAYER)
    async with hosted(folder / "home") as host:
        services = host.services
        port = SandboxedExtensions(services.roster, services.engine.call, lambda manifest: manifest.grants())
        yield ExtensionCase(port, place)


@asynccontextmanager
async def _conductor_planner(folder: Path) -> AsyncIterator[ConductorCase]:
    async with hosted(folder / "home") as host:
        planner = host.services.planner
        await asyncio.to_thread(planner.embed, ["loaded by its first use"])
        port = PlannerConductor(planner)
        yield ConductorCase(port, "list all files", "order a pizza and have it delivered to my door")


TEXT_EDITING: dict[str, Factory] = {"double": _text_double}
PIT: dict[str, Factory] = {"double": _pit_double, "host": _pit_host}
EXTENSION: dict[str, Factory] = {"double": _extension_double, "sandboxed": _extension_sandboxed}
CONDUCTOR: dict[str, Factory] = {"double": _conductor_double, "planner": _conductor_planner}
