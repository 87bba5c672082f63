"""What of the runs is in memory: the recent ones, whoever is held, and nothing else."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from symphony.engine import history as module
from symphony.engine.history import RECENT_RUNS, SUMMARY, History
from symphony.engine.record import RunRecord
from symphony.errors import NotFound, StorageFull
from symphony.types.runs import NodeRun, RunInfo


def record(number: int, nodes: int = 2, status: Any = "succeeded") -> RunRecord:
    made = [NodeRun(f"n{i}", "symphony/git#log", status="succeeded") for i in range(nodes)]
    info = RunInfo(f"{number:08d}-run", f"run {number}", status, 1.0, made, created=float(number))
    return RunRecord(info, {"nodes": [{"id": n.id, "player": n.player} for n in made]})


def ids(history: History, limit: int) -> list[str]:
    return [found.info.id for found in history.newest(limit)]


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path)
    history.open()
    return history


def test_a_thousand_runs_leave_the_recent_ones_in_memory(history: History) -> None:
    for number in range(1000):
        history.add(record(number))
    gc.collect()
    assert history.in_memory == RECENT_RUNS
    assert len(ids(history, 5000)) == 1000, "the rest is read from the disk"
    assert ids(history, 3) == ["00000999-run", "00000998-run", "00000997-run"]
    assert history.get("00000004").info.name == "run 4", "old ones are found, also by a beginning"
    gc.collect()
    assert history.in_memory <= RECENT_RUNS


def test_large_runs_displace_each_other_sooner(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT_NODES", 100)
    for number in range(10):
        history.add(record(number, nodes=40))
    gc.collect()
    assert history.in_memory == 2
    history.add(record(10, nodes=500))
    gc.collect()
    assert history.in_memory == 1, "one that is too large for all stays alone"
    assert len(ids(history, 50)) == 11


def test_whoever_holds_a_run_and_whoever_asks_for_it_have_the_same(history: History) -> None:
    playing = record(0, status="running")
    history.add(playing)
    for number in range(1, 2 * RECENT_RUNS):
        history.add(record(number))
    playing.info.nodes[0].status = "failed"
    assert history.get(playing.info.id) is playing
    assert next(r for r in history.newest(1000) if r.info.id == playing.info.id) is playing


def test_another_host_finds_the_same_and_reads_each_once(tmp_path: Path, history: History) -> None:
    for number in range(2 * RECENT_RUNS):
        history.add(record(number, status="running" if number == 7 else "succeeded"))
    again, found = History(tmp_path), list[str]()
    again.found.append(lambda one: found.append(one.info.id))
    again.open()
    gc.collect()
    assert again.in_memory == RECENT_RUNS
    assert ids(again, 1000) == ids(history, 1000)
    assert sorted(found) == sorted(ids(history, 1000))
    assert again.get("00000007-run").info.status == "interrupted"
    assert "128 runs" in again.look()[1]


def test_what_could_not_be_written_is_not_forgotten(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = record(0, status="running")
    history.add(kept)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(History, "_write", full)
        kept.info.status = "succeeded"
        with pytest.raises(StorageFull):
            history.save(kept)
    del kept
    for number in range(1, 2 * RECENT_RUNS):
        history.add(record(number))
    gc.collect()
    assert history.get("00000000").info.status == "succeeded"


def test_a_summary_that_is_gone_is_one_clear_error(history: History) -> None:
    for number in range(2 * RECENT_RUNS):
        history.add(record(number))
    (history.folder("00000000-run") / SUMMARY).write_text("{")
    with pytest.raises(NotFound, match="cannot be read"):
        history.get("00000000-run")
    assert len(ids(history, 1000)) == 2 * RECENT_RUNS - 1
    history.remove("00000001-run")
    with pytest.raises(NotFound, match="no run"):
        history.get("00000001-run")
