"""A Player that crashes, hangs, floods or breaks the protocol harms its own node alone, and says so clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from symphony.config.home import Home
from tests.engine.conftest import Stage, melody, node

BAD = """
import ctypes, os, time
from symphony.sdk import player


@player.function
def crash(ctx):
    ctypes.string_at(0)


@player.function
def leave(ctx):
    os._exit(0)


@player.function
def hang(ctx):
    while True:
        time.sleep(1)


@player.function
def chatter(ctx):
    for turn in range(40_000):
        ctx.log("turn %d" % turn)
    return {"text": "done"}


@player.function
def swell(ctx):
    return {"text": "x" * (64 << 20)}


@player.function
def hoard(ctx):
    held = []
    while True:
        held.append(bytearray(16 << 20))


@player.function
def wrong(ctx):
    raise ValueError("this went wrong")


player.serve()
"""
QUIET = """
from symphony.sdk import player


@player.function
def work(ctx, turns=5):
    return {"text": "worked"}


player.serve()
"""


def manifest(name: str, *functions: str) -> str:
    head = f'[extension]\nname = "test/{name}"\nversion = "1.0.0"\ntype = "operator"\n[resources]\nmemory = "256MiB"\n'
    tables = [
        f'[[functions]]\nname = "{f}"\ndescription = "{f}"\nexamples = ["{f}"]\n'
        'inputs = {}\noutputs = { text = "text" }\n'
        for f in functions
    ]
    return head + "".join(tables)


FAULTS = ("crash", "leave", "hang", "chatter", "swell", "hoard", "wrong")


@pytest.fixture(autouse=True)
def troupe(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bundled extensions: one that misbehaves in every way, and its neighbour."""
    Home(home).create().config.write_text('[stage.bus]\npayload = "32MiB"\n')
    folder = tmp_path / "extensions"
    for name, code, functions in (("bad", BAD, FAULTS), ("quiet", QUIET, ("work",))):
        (folder / name).mkdir(parents=True)
        (folder / name / "player.py").write_text(code)
        (folder / name / "Symphony.toml").write_text(manifest(name, *functions))
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(folder))


def call(name: str, player: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "kind": "operator", "player": player, **more}


@pytest.mark.parametrize("fault", FAULTS)
async def test_only_its_own_node_fails(stage: Stage, fault: str) -> None:
    nodes = [call("bad", f"test/bad#{fault}", timeout="20s" if fault != "hang" else "2s")]
    nodes += [call(f"quiet{i}", "test/quiet#work") for i in range(5)]
    run = await stage.play(melody(fault, nodes))
    assert [node(run, f"quiet{i}")["status"] for i in range(5)] == ["succeeded"] * 5
    bad = node(run, "bad")
    if fault == "chatter":
        # Talking much is no fault in itself: the host slows it down or ends it, and goes on.
        assert bad["status"] in ("succeeded", "failed")
    else:
        assert (bad["status"], run["run"]["status"]) == ("failed", "failed")
    if bad["error"]:
        assert bad["error"]["message"] and "\n" not in bad["error"]["message"]
    # And the host plays on, also with the Player that misbehaved.
    again = await stage.play(
        melody("again", [call("quiet", "test/quiet#work"), call("wrong", "test/bad#wrong")])
    )
    assert node(again, "quiet")["status"] == "succeeded"
    assert node(again, "wrong")["status"] == "failed"
