"""Results of earlier runs whose bytes lie in another tier: they answer nodes, and come back when they are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from symphony.tiers.s3 import S3Tier
from symphony.types.runs import NodeRun
from tests.hosting import hosted
from tests.tiers.conftest import KEYS

Json = dict[str, Any]
PLAYER = """
from symphony.sdk import player


@player.function
def shout(ctx, text="", times=1):
    return {"text": (text or "hi").upper() * times}


player.serve()
"""
MANIFEST = """
[extension]
name = "test/voice"
version = "1.0.0"
type = "operator"

[[functions]]
name = "shout"
description = "shouts"
examples = ["shout"]
optional = ["text"]
inputs = { text = "text" }
outputs = { text = "text" }
deterministic = true
params = { times = { type = "integer", default = 1 } }
"""
Lose = Callable[[], None]
"""Loses all that the tier holds."""


@pytest.fixture(params=["archive", "s3"])
def tier(request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lose:
    """A home whose artifacts leave for a tier at once, and with a Player of its own."""
    folder = tmp_path / "extensions" / "voice"
    folder.mkdir(parents=True)
    (folder / "player.py").write_text(PLAYER)
    (folder / "Symphony.toml").write_text(MANIFEST)
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(folder.parent))
    home.mkdir()
    lines = ["conductor.enabled = false", "pit.stale.active_days = 0"]
    if request.param == "archive":
        archive = tmp_path / "archive"
        archive.mkdir()
        lines.append(f'pit.stale.archive.folder = "{archive}"')

        def lose() -> None:
            for kept in [one for one in archive.iterdir() if one.is_dir()]:
                shutil.rmtree(kept)

    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
        s3: S3Tier = request.getfixturevalue("make_s3")()
        address = f"http://127.0.0.1:{request.getfixturevalue('s3_port')}"
        lines += ["pit.stale.archive_days = 0", 'pit.stale.cloud.kind = "s3"']
        lines += [f'pit.stale.cloud.container = "{s3._bucket}"', f'pit.stale.cloud.endpoint = "{address}"']
        lines.append('pit.stale.cloud.region = "us-east-1"')

        def lose() -> None:
            import boto3

            bucket = boto3.resource("s3", endpoint_url=address, region_name="us-east-1").Bucket(s3._bucket)
            bucket.objects.all().delete()

    (home / "config.toml").write_text("\n".join(lines) + "\n")
    return lose


async def play(host: Host, times: int) -> tuple[dict[str, NodeRun], Json]:
    """`first` feeds `second`, which feeds `third`: that one shouts so many times."""
    nodes = [
        {"id": id, "kind": "operator", "player": "test/voice#shout"} for id in ("first", "second", "third")
    ]
    nodes[2]["params"] = {"times": times}  # type: ignore[assignment]
    edges = [
        {"kind": "data", "from": f"{source}.text", "to": f"{target}.text"}
        for source, target in (("first", "second"), ("second", "third"))
    ]
    nodes[1]["params"] = {"times": 2}  # type: ignore[assignment]
    document = {"format": "symphony.melody/1", "name": "calls", "nodes": nodes, "edges": edges}
    run = (await host.execute_melody(document, agreed=True))["run"]
    record = await host.services.engine.ended(run)
    assert record.info.status == "succeeded", record.info
    outputs = host.services.pit.runtime.outputs(run, "third")
    return {node.id: node for node in record.info.nodes}, outputs


async def test_what_is_read_comes_back_and_what_is_not_stays_where_it_is(home: Path, tier: Lose) -> None:
    async with hosted(home) as host:
        before, _ = await play(host, 2)
        answer = await host.tier_artifacts()
        assert answer["done"] == 3 and not answer["failures"], answer
        after, outputs = await play(host, 3)
        assert outputs == {"text": "HIHI" * 3}
        assert [after[id].cached for id in ("first", "second", "third")] == [True, True, False]
        is_local = host.services.pit.store.is_local
        assert [is_local(before[id].artifacts[0]) for id in ("first", "second")] == [False, True]


async def test_what_the_tier_has_lost_is_made_anew(home: Path, tier: Lose) -> None:
    async with hosted(home) as host:
        await play(host, 2)
        await host.tier_artifacts()
        tier()
        again, outputs = await play(host, 3)
        assert outputs == {"text": "HIHI" * 3}
        assert not again["second"].cached
        assert again["second"].ran_because.startswith("the artifact second.text")
        assert "could not be brought back" in again["second"].ran_because
