"""Topics between real sandboxed Players of a real host: who hears what, who may not, and who disturbs whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.errors import SymphonyError
from symphony.sdk.testing import Harness
from symphony.stage.manifest import load_manifest
from symphony.stage.roster import CastMember
from tests.hosting import hosted

NEWS = "tests/speaker/news"
PATIENCE = 120.0
PLAYER = Path(__file__).with_name("player_with_topics.py")
FUNCTION = """
[[functions]]
name = "{name}"
description = "For tests"
outputs = {{ value = "any" }}
params = {{ {params} }}
"""
PARAMS = {
    "speak": "topic = { type = 'string', required = true }, count = { type = 'integer', default = 1 }, "
    "wait = { type = 'number', default = 0.0 }, size = { type = 'integer', default = 0 }",
    "say": "topic = { type = 'string', required = true }",
    "hear": "topic = { type = 'string', required = true }, queue = { type = 'integer', default = 256 }, "
    "nap = { type = 'number', default = 0.0 }",
    "ask": "method = { type = 'string', required = true }, body = { type = 'any', required = true }",
}


def extension(folder: Path, name: str, ipc: str = "") -> Path:
    """An extension whose Player publishes and hears; `ipc` is what it may hear."""
    folder.mkdir()
    (folder / "player.py").write_text(PLAYER.read_text("utf-8"), "utf-8")
    tables = "".join(FUNCTION.format(name=name, params=params) for name, params in PARAMS.items())
    head = f'[extension]\nname = "tests/{name}"\nversion = "1.0.0"\ntype = "operator"\n'
    grants = f'\n[capabilities]\nipc = ["{ipc}"]\n' if ipc else ""
    (folder / "Symphony.toml").write_text(head + tables + grants, "utf-8")
    return folder


@pytest.fixture
async def host(home: Path, tmp_path: Path) -> AsyncIterator[Host]:
    """A host with one extension that speaks, two that may hear it, and one that may not."""
    folders = [
        extension(tmp_path / "speaker", "speaker"),
        extension(tmp_path / "listener", "listener", "tests/speaker"),
        extension(tmp_path / "sleeper", "sleeper", "tests/speaker"),
        extension(tmp_path / "stranger", "stranger"),
    ]
    async with hosted(home) as host:
        for folder in folders:
            manifest = load_manifest(folder)
            name = manifest.extension.name
            granted = tuple(manifest.grants())
            host.services.roster.add(CastMember(name, "1.0.0", folder, manifest, granted))
        yield host


async def value(host: Host, player: str, project: Path, **params: Any) -> Any:
    """One call of `name#function`."""
    name, _, function = player.partition("#")
    key = host.services.roster.key(f"tests/{name}", project)
    body = {"function": function, "params": params, "inputs": {}, "outputs": {"value": "any"}, "context": {}}
    outputs = await host.services.engine.call(key, body, PATIENCE)
    return outputs["value"]


async def until_heard(host: Host, project: Path, topic: str, subscriptions: int = 1) -> None:
    """Waits until so many listen to a topic of the speaker."""
    async with asyncio.timeout(PATIENCE):
        while await value(host, "speaker#say", project, topic=topic) < subscriptions:
            pass


async def test_what_is_published_is_heard_by_name_and_by_pattern_in_order(host: Host, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        heard = [
            group.create_task(value(host, f"{who}#hear", tmp_path, topic=topic))
            for who, topic in [("listener", NEWS), ("sleeper", "tests/speaker/**")]
        ]
        await until_heard(host, tmp_path, NEWS, 2)
        await value(host, "speaker#speak", tmp_path, topic="tests/speaker/other", count=0)
        await value(host, "speaker#speak", tmp_path, topic=NEWS, count=300, wait=30.0)
    assert heard[0].result() == {"heard": [*range(300)], "missed": 0, "senders": ["tests/speaker"]}
    assert heard[1].result()["heard"] == [], "the pattern heard the end of another topic first"


async def test_who_was_not_granted_it_neither_hears_nor_speaks_in_anothers_name(
    host: Host, tmp_path: Path
) -> None:
    async def asked(who: str, method: str, **body: Any) -> Any:
        return await value(host, f"{who}#ask", tmp_path, method=method, body=body)

    for pattern in ("tests/speaker/news", "tests/speaker/**", "tests/speaker/*"):
        assert await asked("stranger", "extension.subscribe", topic=pattern) == "permission_denied"
    for pattern in ("**", "*/*/**", "tests/*/news", "tests/**", "tests/speaker"):
        assert await asked("listener", "extension.subscribe", topic=pattern) == "bad_input"
    news = {"topic": "tests/speaker/news", "value": "forged"}
    assert await asked("stranger", "extension.announce", **news) == "permission_denied"
    assert await asked("stranger", "extension.publish", **news) == "permission_denied"
    with pytest.raises(SymphonyError, match="publishes below its own name") as refused:
        await value(host, "stranger#say", tmp_path, topic="tests/speaker/news")
    assert refused.value.code == "permission_denied"
    # A name that only begins like its own, and what is no topic at all.
    assert await asked("stranger", "extension.announce", topic="tests/strangers/x") == "permission_denied"
    assert await asked("stranger", "extension.announce", topic="tests/stranger/*") == "bad_input"
    # The same attempts succeed for who may: its own name, and what it was granted.
    assert await value(host, "stranger#say", tmp_path, topic="tests/stranger/news") == 0
    assert await value(host, "speaker#say", tmp_path, topic="tests/speaker/news") == 0


async def test_players_of_another_project_hear_nothing(host: Host, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    hears = asyncio.create_task(value(host, "listener#hear", there, topic=NEWS))
    await until_heard(host, there, NEWS)
    assert await value(host, "speaker#say", here, topic=NEWS) == 0
    await value(host, "speaker#speak", here, topic=NEWS, count=3)
    await value(host, "speaker#speak", there, topic=NEWS, count=5)
    assert (await hears)["heard"] == [0, 1, 2, 3, 4]


async def test_a_slow_subscriber_misses_and_is_told_and_a_quick_one_hears_all(
    host: Host, tmp_path: Path
) -> None:
    count = 2_000
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(value(host, "sleeper#hear", tmp_path, topic=NEWS, queue=8, nap=0.005))
        quick = group.create_task(value(host, "listener#hear", tmp_path, topic=NEWS, queue=4096))
        await until_heard(host, tmp_path, NEWS, 2)
        displaced = await value(host, "speaker#speak", tmp_path, topic=NEWS, count=count)
    heard, missed = slow.result()["heard"], slow.result()["missed"]
    assert displaced == missed > 0
    assert heard == sorted(heard) and len(heard) + missed == count
    assert quick.result() == {"heard": [*range(count)], "missed": 0, "senders": ["tests/speaker"]}


async def test_a_publisher_that_waits_loses_nothing(host: Host, tmp_path: Path) -> None:
    hears = asyncio.create_task(value(host, "sleeper#hear", tmp_path, topic=NEWS, queue=1, nap=0.002))
    await until_heard(host, tmp_path, NEWS)
    assert await value(host, "speaker#speak", tmp_path, topic=NEWS, count=200, wait=30.0) == 0
    assert (await hears)["heard"] == [*range(200)]


async def test_a_subscription_can_be_ended_by_nobody_else(host: Host, tmp_path: Path) -> None:
    hears = asyncio.create_task(value(host, "listener#hear", tmp_path, topic=NEWS))
    await until_heard(host, tmp_path, NEWS)
    for id in range(100):
        body = {"id": id}
        refused = await value(host, "stranger#ask", tmp_path, method="extension.unsubscribe", body=body)
        assert refused == "not_found", id
    assert await value(host, "speaker#speak", tmp_path, topic=NEWS, count=3) == 0
    assert (await hears)["heard"] == [0, 1, 2]
    # And when its call has ended, nobody is there any more.
    assert await value(host, "speaker#say", tmp_path, topic=NEWS) == 0


async def test_each_subscription_and_announcement_is_in_the_audit_log(host: Host, tmp_path: Path) -> None:
    hears = asyncio.create_task(value(host, "listener#hear", tmp_path, topic=NEWS))
    await until_heard(host, tmp_path, NEWS)
    await value(host, "speaker#speak", tmp_path, topic=NEWS)
    await hears
    await value(host, "stranger#ask", tmp_path, method="extension.subscribe", body={"topic": NEWS})
    seen: set[tuple[str, str, str, bool]] = set()
    wanted = {
        ("tests/speaker", "extension.announce", NEWS, True),
        ("tests/listener", "extension.subscribe", NEWS, True),
        ("tests/stranger", "extension.subscribe", NEWS, False),
    }
    async with asyncio.timeout(PATIENCE):
        # A subscription is written down when it ends, which its call does not wait for.
        while not wanted <= seen:
            rows = (await host.audit())["entries"]
            seen = {(row["extension"], row["capability"], row["detail"], row["allowed"]) for row in rows}


def test_the_harness_serves_topics(tmp_path: Path) -> None:
    folder = extension(tmp_path / "listener", "listener", "tests/speaker")
    harness = Harness(folder / "player.py")
    harness.host.news = [
        {"topic": "tests/speaker/other", "value": [0], "from": "tests/speaker"},
        {"topic": "tests/speaker/news", "value": [1], "from": "tests/speaker"},
        {"topic": "tests/speaker/news", "value": ["end"], "from": "tests/speaker"},
    ]
    heard = harness.call("hear", {"topic": NEWS})["value"]
    assert heard == {"heard": [1], "missed": 0, "senders": ["tests/speaker"]}
    harness.call("ask", {"method": "extension.publish", "body": {"topic": "tests/listener/x", "value": 1}})
    assert harness.host.published == [("tests/listener/x", 1)]


async def test_who_loses_the_permission_hears_no_more(host: Host, tmp_path: Path) -> None:
    """Also a Player that plays on and never says that it stops."""
    asked = {"method": "extension.subscribe", "body": {"topic": NEWS}}
    hearing = asyncio.create_task(value(host, "listener#ask", tmp_path, **asked))
    await until_heard(host, tmp_path, NEWS)
    host._broker.revoke("tests/listener")
    assert await hearing == "permission_denied"
    assert await value(host, "speaker#say", tmp_path, topic=NEWS) == 0
