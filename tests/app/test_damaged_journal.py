"""A run whose journal was changed on the disk is shown as such and not gone on with; others are not disturbed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app.test_survival import melody


def test_a_damaged_journal_is_refused_and_told(
    symphony: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = melody(project, "date +%s%N", "test -e go-on")
    runs = []
    for _ in range(2):
        ended = symphony("play", file, "--project", project, "--yes", "--json")
        assert ended.code == 1, ended.err
        runs.append(json.loads(ended.out)["run"])
    damaged, whole = runs
    journal = home / "runs" / damaged["id"] / "journal"
    written = bytearray(journal.read_bytes())
    written[len(written) // 2] ^= 0x20
    journal.write_bytes(written)
    (project / "go-on").touch()

    refused = symphony("runs", "resume", damaged["id"], "--yes")
    assert refused.code == 1
    assert str(journal) in refused.err and "is damaged at byte" in refused.err
    assert "play its melody anew" in refused.err
    assert len(refused.err.splitlines()) == 1, refused.err
    assert journal.read_bytes() == written
    shown = json.loads((home / "runs" / damaged["id"] / "run.json").read_text())["run"]
    assert (shown["status"], shown["error"]["code"]) == ("failed", "damaged_journal")
    assert shown["nodes"] == damaged["nodes"]
    assert "is damaged at byte" in symphony("runs", "show", damaged["id"]).out

    resumed = symphony("runs", "resume", whole["id"], "--yes", "--json")
    assert resumed.code == 0, resumed.err
    nodes = {n["id"]: n for n in json.loads(resumed.out)["run"]["nodes"]}
    assert nodes["s0"]["artifacts"] == whole["nodes"][0]["artifacts"], "what had finished ran again"
    anew = symphony("play", file, "--project", project, "--yes", "--json")
    assert anew.code == 0, anew.err
