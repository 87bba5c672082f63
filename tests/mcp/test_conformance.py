"""The conformance suite of the protocol's authors against `symphony mcp --http` on a real host.

Its other scenarios ask for tools, prompts and resources of a demonstration server (`test_simple_text`, …), which
Symphony has none of; they are named here, so that a new release's scenarios are looked at.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")
SUITE = Path(__file__).parent / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

APPLY = [
    "server-initialize",
    "logging-set-level",
    "ping",
    "completion-complete",
    "tools-list",
    "resources-list",
    "resources-subscribe",
    "resources-unsubscribe",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
]
DEMONSTRATIONS = {
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-with-logging",
    "tools-call-error",
    "tools-call-with-progress",
    "tools-call-sampling",
    "tools-call-elicitation",
    "json-schema-2020-12",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "server-sse-polling",
    "resources-read-text",
    "resources-read-binary",
    "resources-templates-read",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-embedded-resource",
    "prompts-get-with-image",
}


@pytest.fixture
def served(home: Path, repository: Path) -> Iterator[dict[str, str]]:
    """The address and token of a server."""
    process = subprocess.Popen(
        [SYMPHONY, "mcp", "--http", "--json"],
        cwd=repository,
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def suite(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["node", str(SUITE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_every_scenario_that_applies_passes(served: dict[str, str], tmp_path: Path) -> None:
    address = f"{served['url']}/{served['token']}"
    for scenario in APPLY:
        out = tmp_path / scenario
        done = suite("server", "--url", address, "--scenario", scenario, "--output-dir", out)
        checks: list[dict[str, Any]] = [
            check for file in out.rglob("checks.json") for check in json.loads(file.read_text())
        ]
        bad = [check for check in checks if check["status"] not in ("SUCCESS", "INFO")]
        assert done.returncode == 0 and checks and not bad, (scenario, bad, done.stdout + done.stderr)


def test_every_scenario_of_the_suite_is_accounted_for() -> None:
    listed = suite("list", "--server").stdout
    names = {line.strip()[2:] for line in listed.splitlines() if line.strip().startswith("- ")}
    assert names == {*APPLY, *DEMONSTRATIONS}


def test_only_the_holder_of_the_token_is_heard(served: dict[str, str]) -> None:
    port = served["url"].split(":")[2].split("/")[0]
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    accepts = {"Accept": "application/json, text/event-stream"}
    bearer = {"Authorization": f"Bearer {served['token']}", **accepts}
    evil = {**bearer, "Origin": f"http://evil.example.com:{port}"}
    rebound = {**bearer, "Host": f"evil.example.com:{port}"}
    for path, headers, status in (
        ("", bearer, 200),
        (f"/{served['token']}", accepts, 200),
        ("", accepts, 401),
        ("", {"Authorization": "Bearer wrong", **accepts}, 401),
        ("/wrong", bearer, 401),
        ("", evil, 403),
        ("", rebound, 421),
    ):
        answer = httpx2.post(served["url"] + path, json=hello, headers=headers, trust_env=False)
        assert answer.status_code == status, (path, headers, answer.text)
