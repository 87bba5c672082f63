"""A template of `workflows.yaml` is proposed where a prompt asks for it, with the values that the prompt gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from conductor import Conductor
from conductor.core import WEIGHTS
from symphony.config.documents import Documents
from symphony.errors import InvalidConfig
from symphony.melody.templates import Template, Workflows

from .conftest import CONTEXT, bundled, conductor_over
from .judging import faults, prompts

WEEKLY: dict[str, Any] = {
    "description": "Monday briefing: who committed what since the last one",
    "examples": [
        "Monday briefing",
        "prepare my Monday briefing",
        "briefing for Monday of the last two weeks",
    ],
    "params": {"since": {"type": "duration", "default": "7d", "description": "how far back"}, "title": {}},
    "nodes": [
        {"id": "log", "kind": "operator", "player": "symphony/git#log", "params": {"since": "${since}"}},
        {
            "id": "report",
            "kind": "operator",
            "player": "symphony/report#markdown",
            "params": {"title": "${title}", "introduction": "The last ${since}"},
        },
    ],
    "edges": [{"from": "log.commits", "to": "report.sections"}],
}


@pytest.fixture
def shelved(cache: Path) -> Conductor:
    conductor = conductor_over(*bundled(), cache, WEIGHTS)
    conductor.shelve({"monday": Template.model_validate(WEEKLY)}, cache)
    return conductor


def test_a_template_is_proposed_with_the_values_of_the_prompt(shelved: Conductor) -> None:
    made = shelved.compose("please prepare my Monday briefing for the last 14 days", CONTEXT)
    assert made.possible and made.melody
    assert made.melody["metadata"]["template"] == "monday"
    log, report = made.melody["nodes"]
    assert log["params"] == {"since": "14d"} and report["params"] == {"introduction": "The last 14d"}
    assert "monday" in made.explanations[0]["why"] and made.predicted_seconds > 0
    plain = shelved.compose("Monday briefing", CONTEXT)
    assert plain.melody and plain.melody["nodes"][0]["params"] == {"since": "7d"}


def test_other_prompts_do_not_become_templates(shelved: Conductor) -> None:
    for line in prompts():
        made = shelved.compose(line["prompt"], CONTEXT)
        assert made.melody is None or "template" not in made.melody["metadata"], line["prompt"]
    assert sum(not faults(line, shelved.compose(line["prompt"], CONTEXT)) for line in prompts()[:20]) >= 15


@pytest.mark.parametrize("change", ["player", "param", "edge"])
def test_a_template_that_would_not_be_valid_is_not_proposed(cache: Path, change: str) -> None:
    broken = {**WEEKLY, "nodes": [dict(node) for node in WEEKLY["nodes"]]}
    if change == "player":
        broken["nodes"][0]["player"] = "acme/gone#log"
    elif change == "edge":
        broken["edges"] = [{"from": "log.nothing", "to": "report.sections"}]
    else:
        broken["params"] = {
            **WEEKLY["params"],
            "whom": {"type": "path", "required": True, "description": "file"},
        }
    conductor = conductor_over(*bundled(), cache, WEIGHTS)
    conductor.shelve({"monday": Template.model_validate(broken)}, cache)
    made = conductor.compose("prepare my Monday briefing", CONTEXT)
    assert made.melody is None or "template" not in made.melody["metadata"]


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"params": {}}, "2:3", "${since}, which is none of its params"),
        ({"nodes": []}, "", "at least 1"),
        ({"description": ""}, "3:5", "at least 1 character"),
        ({"note": "x"}, "", "is no key here"),
    ],
)
def test_an_error_in_the_file_names_its_place(
    tmp_path: Path, change: dict[str, Any], place: str, said: str
) -> None:
    text = yaml.safe_dump({"templates": {"monday": {**WEEKLY, **change}}}, sort_keys=False)
    (tmp_path / "workflows.yaml").write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        Documents("workflows.yaml", Workflows, tmp_path).get()
    assert said in str(caught.value) and f"workflows.yaml:{place}" in str(caught.value)
