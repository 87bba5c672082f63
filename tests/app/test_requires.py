"""A Player that lacks a setting is not composed with: the answer names the setting."""

from __future__ import annotations

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
