"""What a project must be for a Player is seen before it is composed with: no plan that can only fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conductor import ComposeContext, Conductor
from conductor.core import WEIGHTS
from symphony.errors import InvalidManifest
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, PROJECT, ROOT, bundled, conductor_over

PLAIN = replace(CONTEXT, project=replace(PROJECT, is_git=False, branches=()))
"""The same project, in no git repository."""


@pytest.mark.parametrize(
    "prompt",
    [
        "what did I change",
        "git blame README.md",
        "which files were changed last week",
        "Wer hat am meisten beigetragen?",
        "where are the hotspots in this code base",
    ],
)
def test_without_a_repository_what_needs_one_is_refused_in_one_line(
    conductor: Conductor, prompt: str
) -> None:
    assert conductor.compose(prompt, CONTEXT).possible
    refused = conductor.compose(prompt, PLAIN)
    assert not refused.possible and refused.extensions == []
    [line] = refused.missing
    assert "git repository" in line and "git init" in line


def test_what_needs_no_repository_is_composed_there_and_the_other_half_is_named(conductor: Conductor) -> None:
    assert conductor.compose("list all TODOs", PLAIN).missing == []
    half = conductor.compose("find dead code and show the git status", PLAIN)
    assert half.melody and [n["player"] for n in half.melody["nodes"]] == ["symphony/code#dead_code"]
    assert "“show the git status”" in half.missing[0]


def test_of_a_project_that_nobody_described_nothing_is_barred(conductor: Conductor) -> None:
    assert conductor.compose("what did I change", ComposeContext()).possible


def test_what_needs_only_what_a_barred_player_makes_is_barred_with_it(cache: Path) -> None:
    functions, lattice = bundled()
    notes = FunctionSpec(
        "a/notes#stale",
        "operator",
        "Flags stale branches",
        {"branches": "list<git/branch>"},
        {"stale": "list<record>"},
        examples=("flag stale branches", "which branches are rotten", "rotten branches"),
    )
    conductor = conductor_over([*functions, notes], lattice, cache, WEIGHTS)
    composed = conductor.compose("flag the rotten branches", CONTEXT)
    assert composed.melody and "a/notes#stale" in [n["player"] for n in composed.melody["nodes"]]
    refused = conductor.compose("flag the rotten branches", PLAIN)
    assert not refused.possible and "git repository" in refused.missing[0]


def test_a_manifest_that_requires_what_nobody_knows_of_a_project_is_refused(tmp_path: Path) -> None:
    text = (ROOT / "extensions" / "git" / "Symphony.toml").read_text(encoding="utf-8")
    (tmp_path / "Symphony.toml").write_text(
        text.replace('"project.git"', '"project.gti"', 1), encoding="utf-8"
    )
    with pytest.raises(InvalidManifest, match=r"project\.gti.*project\.git"):
        load_manifest(tmp_path / "Symphony.toml")
