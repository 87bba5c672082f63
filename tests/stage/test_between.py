"""One extension calls another: through the host, under the capability `ipc`, and in no other way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from symphony.app.host import Host
from tests.hosting import hosted

PLAYER = Path(__file__).with_name("player_that_relays.py")
PATIENCE = 60.0
FUNCTIONS = {
    "work": "value = { type = 'any', required = true }",
    "fail": "",
    "count": "",
    "relay": "target = { type = 'string', required = true }, params = { type = 'any', required = true }",
}
FUNCTION = """
[[functions]]
name = "{name}"
description = "For tests"
outputs = {{ value = "any" }}
params = {{ {params} }}
"""
EXTENSIONS = {
    "caller": 'ipc = ["tests/served"]',
    "narrow": 'ipc = ["tests/served#count"]',
    "served": "",
    "stranger": "",
}


@pytest.fixture
async def host(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """A host with one extension that others may call: one all of it, one a function, one nothing."""
    bundled = tmp_path / "bundled"
    for name, grants in EXTENSIONS.items():
        folder = bundled / name
        folder.mkdir(parents=True)
        (folder / "player.py").write_text(PLAYER.read_text("utf-8"), "utf-8")
        head = f'[extension]\nname = "tests/{name}"\nversion = "1.0.0"\ntype = "operator"\n'
        tables = "".join(FUNCTION.format(name=name, params=params) for name, params in FUNCTIONS.items())
        (folder / "Symphony.toml").write_text(f"{head}{tables}\n[capabilities]\n{grants}\n", "utf-8")
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(bundled))
    async with hosted(home) as host:
        yield host


async def value(host: Host, player: str, project: Path, **params: Any) -> Any:
    """One call of `name#function` by the host."""
    name, _, function = player.partition("#")
    key = host.services.roster.key(f"tests/{name}", project)
    body = {"function": function, "params": params, "inputs": {}, "outputs": {"value": "any"}, "context": {}}
    return (await host.services.engine.call(key, body, PATIENCE))["value"]


async def relayed(host: Host, who: str, project: Path, target: str, **params: Any) -> Any:
    """What an extension gets that calls another."""
    return await value(host, f"{who}#relay", project, target=target, params=params)


async def calls_noted(host: Host) -> list[tuple[str, str, bool]]:
    """Who has called whom, and whether it was allowed, as the audit log has it."""
    rows = (await host.audit())["entries"]
    rows = [row for row in rows if row["capability"] == "extension.call"]
    return [(row["extension"], row["detail"], row["allowed"]) for row in rows]


async def test_who_was_granted_it_gets_the_outputs_and_the_failures_of_another(
    host: Host, tmp_path: Path
) -> None:
    assert await relayed(host, "caller", tmp_path, "tests/served#work", value=7) == ["worked", 7]
    assert await relayed(host, "narrow", tmp_path, "tests/served#count") == 1
    failed = await relayed(host, "caller", tmp_path, "tests/served#fail")
    assert (failed["code"], failed["remedy"]) == ("unavailable", "ask for something else")
    assert "it was asked to" in failed["message"]


@pytest.mark.parametrize(
    ("who", "target"),
    [
        ("stranger", "tests/served#work"),
        ("narrow", "tests/served#work"),
        ("served", "tests/caller#work"),
        ("caller", "tests/stranger#work"),
    ],
)
async def test_who_was_not_granted_it_reaches_nobody(
    host: Host, tmp_path: Path, who: str, target: str
) -> None:
    refused = await relayed(host, who, tmp_path, target, value=1)
    assert refused["code"] == "permission_denied", refused
    assert await value(host, f"{target.split('/')[1].split('#')[0]}#count", tmp_path) == 0
    assert await calls_noted(host) == [(f"tests/{who}", target, False)]


async def test_each_call_of_another_is_in_the_audit_log(host: Host, tmp_path: Path) -> None:
    await relayed(host, "caller", tmp_path, "tests/served#work", value=1)
    assert await calls_noted(host) == [("tests/caller", "tests/served#work", True)]
