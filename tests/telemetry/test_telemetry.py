"""Logs are written as JSON, rotated, filtered and followed; metrics are counted."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from symphony.config import Home
from symphony.telemetry import Metrics, log_context, read_logs, setup_logging
from symphony.telemetry.logs import close_logging

log = logging.getLogger("symphony.engine.plan")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    before = logging.getLogger().level, logging.getLogger("symphony").level
    yield Home(tmp_path).create()
    close_logging()
    logging.getLogger().setLevel(before[0])
    logging.getLogger("symphony").setLevel(before[1])


def test_entries_carry_component_run_and_node(home: Home) -> None:
    setup_logging(home, "host")
    with log_context(run="r1", correlation="c"), log_context(node="n1"):
        log.info("hello %s", "Zoë", extra={"extension": "ann/one"})
    log.debug("too quiet")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("broke")
    first, second = read_logs(home)
    assert first["message"] == "hello Zoë" and isinstance(first["time"], float)
    assert {k: first[k] for k in ("component", "process", "run", "node", "correlation", "extension", "level")} == {
        "component": "engine", "process": "host", "run": "r1", "node": "n1", "correlation": "c",
        "extension": "ann/one", "level": "info",
    }  # fmt: skip
    assert "ValueError: no" in second["traceback"] and "run" not in second


def test_filters(home: Home) -> None:
    setup_logging(home, "host", "debug")
    for run in ("aaa1", "bbb2"):
        with log_context(run=run, node="n"):
            log.debug("quiet")
            logging.getLogger("conductor.policy").warning("loud")
    assert len(list(read_logs(home))) == 4
    assert [e["run"] for e in read_logs(home, run="aaa", level="WARNING")] == ["aaa1"]
    assert len(list(read_logs(home, component="conductor"))) == 2
    assert len(list(read_logs(home, component="host"))) == 4
    assert len(list(read_logs(home, node="n", limit=3))) == 3
    assert list(read_logs(home, node="m")) == []
    with pytest.raises(ValueError, match="no level"):
        read_logs(home, level="loud")


def test_rotation_loses_nothing_that_is_kept(home: Home) -> None:
    setup_logging(home, "host", max_bytes=3000, backups=5)
    for index in range(60):
        log.info("entry", extra={"index": index})
    files = list(home.logs.iterdir())
    assert 1 < len(files) <= 6 and all(f.stat().st_size <= 3000 for f in files)
    assert [e["index"] for e in read_logs(home, limit=None)] == list(range(60))


def test_files_of_several_processes_are_merged_by_time(home: Home) -> None:
    for name, times in (("a", (1, 4)), ("b", (2, 3))):
        lines = [json.dumps({"time": t, "level": "info", "message": name}) for t in times]
        (home.logs / f"{name}.jsonl").write_text("\n".join([*lines, "{torn"]))
    assert [e["time"] for e in read_logs(home)] == [1, 2, 3, 4]


def test_following_sees_new_entries_across_a_rotation(home: Home) -> None:
    setup_logging(home, "host", max_bytes=2000, backups=9)
    log.info("old")
    stop = threading.Event()
    entries = read_logs(home, follow=True, stop=stop)
    assert next(entries)["message"] == "old"
    for index in range(30):
        log.info("new", extra={"index": index})
    assert [next(entries)["index"] for _ in range(30)] == list(range(30))
    stop.set()
    assert list(entries) == []


def test_a_log_that_cannot_be_written_is_said_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(home, "host")
    (home.logs / "host.jsonl").mkdir()
    log.warning("one")
    log.warning("two")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_metrics() -> None:
    metrics = Metrics()
    metrics.count("runs")
    metrics.count("runs", 2)
    for index in range(100):
        metrics.observe("node", index / 100)
    with pytest.raises(KeyError), metrics.timed("failed"):
        raise KeyError
    found = metrics.snapshot()
    assert found["counters"] == {"runs": 3.0}
    node = found["timings"]["node"]
    assert (node["count"], node["p50"], node["p99"], node["max"]) == (100, 0.5, 0.99, 0.99)
    assert node["average"] == pytest.approx(0.495)
    assert found["timings"]["failed"]["count"] == 1
