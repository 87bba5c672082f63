"""Policies hold in a real host: what composed nodes may take, how a Melody plays, and what follows a failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.engine.record import RunRecord
from symphony.errors import InvalidConfig
from tests.hosting import hosted

Json = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "src").mkdir(parents=True)
    (place / "src" / "app.py").write_text("def f():\n    return 1  # TODO: two\n")
    return place


@pytest.fixture
async def host(home: Path, project: Path) -> AsyncIterator[Host]:
    async with hosted(home, "pit.arbitration.cpu = 8\n", project=project) as host:
        yield host


def shell(name: str, *command: str, **given: Any) -> Json:
    return {
        "id": name,
        "kind": "operator",
        "player": "symphony/shell#run",
        "params": {"command": list(command)},
        **given,
    }


async def played(host: Host, *nodes: Json) -> RunRecord:
    melody = {"format": "symphony.melody/1", "name": "shells", "nodes": list(nodes), "edges": []}
    run = (await host.execute_melody(melody, agreed=True))["run"]
    async with asyncio.timeout(90):
        return await host.services.engine.ended(run)


def policies(home: Path, text: str) -> None:
    (home / "policies.yaml").write_text(text)


async def composed(host: Host, prompt: str) -> dict[str, Json]:
    answer = await host.submit_prompt(prompt)
    assert answer["possible"]
    return {node["player"]: node for node in answer["melody"]["nodes"]}


async def test_every_node_has_what_it_may_take_and_an_edit_holds_at_once(host: Host, home: Path) -> None:
    node = (await composed(host, "list all TODOs"))["symphony/code#todos"]
    assert node["timeout"] == "5m" and node["retry"]["attempts"] == 1 and node["resources"]["cpu"] > 0
    policies(
        home,
        "players:\n  symphony/code#*: {timeout: 7m, retry: {attempts: 4}, resources: {memory: 128MiB}}\n",
    )
    node = (await composed(host, "list all TODOs"))["symphony/code#todos"]
    assert (node["timeout"], node["retry"]["attempts"]) == ("7m", 4)
    assert node["resources"]["memory"] == "128MiB"


async def test_a_slip_in_the_policies_is_told_with_its_place_and_stops_no_run(host: Host, home: Path) -> None:
    policies(home, "strategy: sequential\nbudgets: {}\n")
    with pytest.raises(InvalidConfig, match=r"policies\.yaml:2:1: budgets: is no key here"):
        await host.submit_prompt("list all TODOs")
    assert (await played(host, shell("a", "true"))).info.status == "succeeded"


async def test_what_was_measured_sizes_the_next_melody(host: Host) -> None:
    for _ in range(5):
        answer = await host.submit_prompt("list all TODOs")
        run = (await host.execute_melody(answer["draft"]))["run"]
        async with asyncio.timeout(90):
            assert (await host.services.engine.ended(run)).info.status == "succeeded"
    node = (await composed(host, "list all TODOs"))["symphony/code#todos"]
    assert node["timeout"] == "1m", "ten times its slowest is less than the least"


async def test_a_strategy_lets_nodes_play_one_after_the_other(host: Host, home: Path) -> None:
    def overlap(record: RunRecord) -> bool:
        spans = sorted((n.started or 0.0, n.ended or 0.0) for n in record.info.nodes)
        return any(later < ended for (_, ended), (later, _) in pairwise(spans))

    naps = [shell(name, "sleep", "0.4") for name in "abc"]
    policies(home, "strategy: sequential\n")
    record = await played(host, *naps)
    assert record.info.status == "succeeded" and not overlap(record)
    policies(home, "strategy: parallel\n")
    assert overlap(await played(host, *naps))


async def test_policies_decide_after_a_failure_by_its_class(host: Host, home: Path) -> None:
    plain = await played(host, shell("a", "false"))
    assert (plain.info.status, plain.info.nodes[0].attempts) == ("failed", 1)
    code = (plain.info.nodes[0].error or {})["code"]
    policies(
        home, f"errors:\n  {code}: {{attempts: 3, delay: 10ms, then: skip}}\n  other: {{action: fail}}\n"
    )
    skipped = await played(host, shell("a", "false"))
    assert (skipped.info.status, skipped.info.nodes[0].status) == ("succeeded", "skipped")
    assert skipped.info.nodes[0].attempts == 3


async def test_what_other_tries_brought_is_kept_and_decides_later(
    host: Host, home: Path, project: Path
) -> None:
    attempts = {"attempts": 2, "backoff": "none", "delay": 0.01}
    for _ in range(5):
        assert (await played(host, shell("a", "false", retry=attempts))).info.nodes[0].attempts == 2
    hopeless = await played(host, shell("a", "false", retry=attempts))
    assert hopeless.info.nodes[0].attempts == 1, "no earlier try has helped"
    async with asyncio.timeout(30):
        while not (home / "tries.json").exists():
            await asyncio.sleep(0.01)
    assert json.loads((home / "tries.json").read_text())[0][0] == "symphony/shell#run"
