"""What the engine's benchmarks share: plans of the fewest words, hosts that come back, a Player that does little."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.stage import await_event, make_ready
from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.app.paths import launcher
from symphony.stage.sandbox import player_spec

Plan = dict[str, Any]

STEPS = """
from symphony.sdk import player


@player.function
def append(ctx, text, line=""):
    return {"text": text + line}


@player.function
def nothing(ctx, text):
    return None


player.serve()
"""
STEPS_MANIFEST = """
[extension]
name = "bench/steps"
version = "1.0.0"
type = "operator"

[[functions]]
name = "append"
description = "Adds a line to a text"
examples = ["add"]
inputs = { text = "text" }
outputs = { text = "text/plain" }
params = { line = { type = "string", default = "", description = "the line" } }

[[functions]]
name = "nothing"
description = "Takes a text and does nothing"
examples = ["nothing"]
inputs = { text = "text" }
outputs = {}
"""


def plan(run: str, directory: str, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> Plan:
    """A plan as `symphony.engine.plan` makes it, of the fewest words."""
    return {
        "run": run, "dir": directory, "name": "x", "project": None, "nodes": nodes, "edges": edges, "meta": {},
    }  # fmt: skip


def passes(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`count` nodes that do nothing, in pairs."""
    nodes = [{"id": f"n{i}", "kind": "pass", "outputs": {}, "inputs": {}} for i in range(count)]
    edges = [{"kind": "control", "from": f"n{i}", "to": f"n{i + 1}"} for i in range(0, count - 1, 2)]
    return nodes, edges


def play(runtime: Runtime, whole: Plan) -> None:
    """Plays a plan to its end."""
    runtime.start(whole)
    ended = await_event(runtime, lambda e: e["event"] == "run" and e["state"] != "running")
    assert ended["state"] == "succeeded", ended


@contextmanager
def host(folder: str) -> Iterator[Runtime]:
    """A runtime on the store in `folder`, which may be that of an earlier one."""
    store = ArtifactStore(f"{folder}/store")
    arbiter = ArbitrationEngine({"cpu": 64.0, "memory": float(64 << 30)})
    runtime = Runtime(store, StaleManager({}), arbiter, launcher=str(launcher()), sockets=folder)
    try:
        yield runtime
    finally:
        runtime.stop(5.0)
        store.close()


def start_steps(runtime: Runtime, folder: str, key: str = "steps") -> None:
    """Starts a Player whose function `append` adds its parameter `line` to its input `text`."""
    place = Path(folder, "steps")
    place.mkdir(exist_ok=True)
    (place / "player.py").write_text(STEPS)
    (place / "Symphony.toml").write_text(STEPS_MANIFEST)
    launch: dict[str, Any] = {
        "extension": "bench/steps",
        "version": "1.0.0",
        "spec": player_spec([], extension_dir=place),
        "grants": {"capabilities": []},
        "configuration": {},
        "project": None,
        "start_timeout": 20.0,
        "memory": 256 << 20,
        "idle": 600.0,
    }
    make_ready(runtime, key, launch)


def append(node: str, line: str, text: dict[str, Any], cache_key: str | None = None) -> dict[str, Any]:
    """A node that calls `append` on what `text` feeds it."""
    return {
        "id": node,
        "kind": "operator",
        "key": "steps",
        "player": "bench/steps#append",
        "function": "append",
        "params": {"line": line},
        "inputs": {"text": text},
        "outputs": {"text": "text/plain"},
        "cache_key": cache_key,
    }


def bytes_in(folder: Path) -> int:
    """What the files below a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
