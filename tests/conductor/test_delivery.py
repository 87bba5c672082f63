"""The half of a request that hides behind its object is named; what only says how or where from is none."""

from __future__ import annotations

import pytest

from conductor import Conductor

from .conftest import CONTEXT


@pytest.mark.parametrize(
    ("prompt", "player", "destination"),
    [
        ("post the number of open TODOs to our Slack channel", "code#todos", "Slack"),
        ("share the list of contributors in the team channel", "git#authors", "team channel"),
        ("schick die Liste der TODOs an mein Team", "code#todos", "Team"),
        ("envoie la liste des branches à l'équipe", "git#branches", "l'équipe"),
    ],
)
def test_where_nobody_brings_a_result_is_named(
    conductor: Conductor, prompt: str, player: str, destination: str
) -> None:
    made = conductor.compose(prompt, CONTEXT)
    assert made.melody and f"symphony/{player}" in [n["player"] for n in made.melody["nodes"]]
    assert len(made.missing) == 1 and destination in made.missing[0]


@pytest.mark.parametrize(
    "prompt",
    [
        "show the list of contributors as a table",
        "put the largest files in a table",
        "save the summary of README.md to docs/short.md",
        "list the TODOs in src",
        "show the commits by Ada",
        "draw the commits per month with bars",
    ],
)
def test_how_and_where_from_are_no_destination(conductor: Conductor, prompt: str) -> None:
    made = conductor.compose(prompt, CONTEXT)
    assert made.possible and made.missing == []


def test_a_file_that_shall_only_be_brought_somewhere_is_refused(conductor: Conductor) -> None:
    assert not conductor.compose("send README.md to my boss", CONTEXT).possible
    assert not conductor.compose("fax docs/guide.md to the customer", CONTEXT).possible
