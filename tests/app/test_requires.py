"""A Player that lacks a setting is not composed with: the answer names the setting."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hosting import hosted

PROMPT = "explain src/app.py in plain words"


async def test_a_model_is_asked_for_where_none_is_configured(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "app.py").write_text("x = 1\n")
    async with hosted(home, project=project) as host:
        answer = await host.submit_prompt(PROMPT)
        assert not answer["possible"], answer
        assert "model.endpoint (a setting that symphony/model needs)" in answer["missing"]
        assert "symphony/model" not in answer["extensions"]
        await host.set_setting("model.endpoint", "http://127.0.0.1:9/v1")
        answer = await host.submit_prompt(PROMPT)
        assert [n["player"] for n in answer["melody"]["nodes"]] == ["symphony/model#explain"], answer


def test_a_command_without_a_host_says_the_same(
    symphony: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("x = 1\n")
    told = symphony("compose", "explain app.py in plain words", "--project", tmp_path)
    assert told.code == 1 and "model.endpoint (a setting that symphony/model needs)" in told.err


async def test_a_folder_without_git_is_told_so_until_it_has_a_repository(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text("x = 1  # TODO: more\n")
    async with hosted(home, project=project) as host:
        assert not any(
            "commit" in example or "change" in example for example in (await host.project())["examples"]
        )
        answer = await host.submit_prompt("who committed in the last 90 days? Show it as a chart")
        assert not answer["possible"], answer
        [missing] = answer["missing"]
        assert "git repository" in missing and "git init" in missing and "\n" not in missing
        assert answer["extensions"] == []
        half = await host.submit_prompt("list all TODO comments, and where are the hotspots?")
        assert [n["player"] for n in half["melody"]["nodes"]] == ["symphony/code#todos"], half
        assert "git repository for “where are the hotspots”" in half["missing"][0]
        subprocess.run(["git", "init", "-q", project], check=True)
        answer = await host.submit_prompt("who committed in the last 90 days? Show it as a chart")
        assert answer["melody"]["nodes"][0]["player"].startswith("symphony/git#"), answer
