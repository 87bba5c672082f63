"""GPUs: how many there are, their memory, and what Players use of them, told by a library in NVML's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pit_native import graphics_processors
from symphony.engine.figures import Figures
from symphony.types.runs import NodeRun, RunInfo

HERE = Path(__file__).parent
GIB = 1 << 30
TWO = f"device {8 * GIB} {6 * GIB}\ndevice {8 * GIB} {8 * GIB}\n"
"""Of sixteen GiB on two GPUs fourteen are free."""

HEAD = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(HERE.parents[1])!r})
from tests.pit.theatre import Theatre, node
driver, home = Path(os.environ["NVML_STAND_IN"]), Path(sys.argv[1])
TWO, GIB = {TWO!r}, {GIB}

def says(*lines):
    new = driver.with_suffix(".new")
    new.write_text(TWO + "".join(f"{{line}}\\n" for line in lines))
    new.replace(driver)

def until(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)

def state(key="test"):
    return theatre.runtime.player_states()[key]

def shares(run, *calls):
    nodes = [node(f"n{{i}}", "slow", params={{"seconds": seconds}}) for i, seconds in enumerate(calls)]
    end = theatre.play(theatre.plan(nodes, run=run))
    assert end["state"] == "succeeded", end
    return [theatre.nodes(run)[f"n{{i}}"]["gpu_share"] for i in range(len(calls))]
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-in."""
    folder = tmp_path_factory.mktemp("driver")
    name = "libnvidia-ml.so.1"
    source = str(HERE / "libnvidia-ml.c")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(folder / name), source], check=True
    )
    return folder


def play(driver: Path, home: Path, script: str) -> None:
    """Runs a script in a process of its own: a library that was loaded stays."""
    told = home / "gpus"
    told.write_text(TWO)
    env = {**os.environ, "LD_LIBRARY_PATH": str(driver), "NVML_STAND_IN": str(told)}
    command = [sys.executable, "-c", HEAD + script, str(home / "home")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_where_there_is_no_driver_there_are_no_gpus() -> None:
    known = graphics_processors()
    if known["absent"] is None:
        pytest.skip("this machine has GPUs")
    assert (known["devices"], known["memory"], known["free"]) == (0, 0, 0)
    assert "NVML" in known["absent"]


def test_what_the_driver_tells_is_what_nodes_share(driver: Path, tmp_path: Path) -> None:
    script = """
from pit_native import graphics_processors
from symphony.app.limits import play_limits
from symphony.app.pit import Pit
from symphony.config import Configuration
from symphony.config.home import Home
assert graphics_processors() == {"devices": 2, "memory": 16 * GIB, "free": 14 * GIB, "absent": None}
for flags, expected in ({}, 2), ({"pit.arbitration.gpu": 1}, 1), ({"pit.arbitration.gpu": "0"}, 0):
    configuration = Configuration.load(Home(home), flags=flags)
    pit = Pit(Home(home), configuration, Path("unused"))
    pit._open_arbiter()
    assert pit.arbiter.fairness()["resources"]["gpu"]["capacity"] == expected
    assert play_limits(configuration, []).gpu == expected
"""
    play(driver, tmp_path, script)


def test_a_node_is_told_what_its_player_used_of_the_gpus(driver: Path, tmp_path: Path) -> None:
    script = """
theatre = Theatre(home)
theatre.register(grants={"capabilities": ["read:project/**", "gpu:*"]})
theatre.runtime.prewarm(["test"])
until(lambda: state()["state"] == "ready")
pid = state()["pid"]
says(f"use {pid} 50")
(share,) = shares("alone", 1.2)
assert 0.4 < share < 0.6, share
first, second = shares("together", 0.5, 0.5)
assert 0.15 < first < 0.5 and 0.15 < second < 0.5 and first + second < 0.8, (first, second)
says(f"use {os.getpid()} 50")
assert shares("other", 0.1) == [0.0], "it was another process"
says("use 4194304 50")
assert shares("unknown", 0.1) == [None], "nobody can tell whose that was"
says(f"use {pid} 50", "divided")
assert shares("divided", 0.1) == [None]
theatre.register("blind", grants={"capabilities": ["read:project/**"]})
says(f"use {pid} 50")
theatre.play(theatre.plan([{**node("n0", "noop", outputs={}), "key": "blind"}], run="blind"))
assert theatre.nodes("blind")["n0"]["gpu_share"] is None
theatre.close()
"""
    play(driver, tmp_path, script)


def test_the_gpu_memory_of_players_is_measured_and_its_limit_is_what_was_free(
    driver: Path, tmp_path: Path
) -> None:
    script = """
theatre = Theatre(home)
theatre.register(grants={"capabilities": ["gpu:*"]})
theatre.runtime.prewarm(["test"])
until(lambda: state()["state"] == "ready")
says(f"memory {state()['pid']} {GIB}", f"memory {os.getpid()} {2 * GIB}")
until(lambda: state()["gpu_memory"] == GIB)
figures = theatre.runtime.stats()["players"]
assert (figures["gpu_memory"], figures["gpu_memory_limit"]) == (GIB, 14 * GIB), figures
says(f"memory {state()['pid']} {15 * GIB}")
until(lambda: theatre.runtime.stats()["players"]["evictions"] == 1)  # more than there is
theatre.close()
"""
    play(driver, tmp_path, script)


def test_the_metrics_tell_the_largest_share_of_a_player() -> None:
    nodes = [
        NodeRun(f"n{at}", "a/b#c", "succeeded", started=0.0, ended=1.0, gpu_share=share)
        for at, share in enumerate([0.25, None, 0.5])
    ]
    figures = Figures([RunInfo(id="r", name="r", status="succeeded", seconds=1.0, nodes=nodes)])
    assert figures.to_json()["by_player"]["a/b#c"]["gpu_share"] == 0.5
