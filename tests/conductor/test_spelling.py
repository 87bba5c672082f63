"""Slips of the fingers are corrected where nothing else can be meant."""

from __future__ import annotations

import pytest

from conductor import Conductor
from conductor.encoder import Encoder
from conductor.spelling import Speller

from .conftest import CONTEXT, ENCODER

WORDS = (
    "branch",
    "branches",
    "python",
    "commit",
    "committed",
    "average",
    "phrases",
    "reports",
    "records",
    "change",
    "chance",
)


@pytest.fixture(scope="module")
def speller() -> Speller:
    return Speller(WORDS, Encoder(ENCODER).knows)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("which brnaches are old", "which branches are old"),
        ("the last comit", "the last commit"),
        ("avrage amount of the recrods", "average amount of the records"),
        ("how it was phrased", "how it was phrased"),
        ("the comity of nations", "the comity of nations"),
        (
            "Comit and src/comit.py and comit_all and `comit`",
            "Comit and src/comit.py and comit_all and `comit`",
        ),
        ("chanse", "chanse"),
        ("zzzyx", "zzzyx"),
    ],
)
def test_what_is_surely_a_slip_is_corrected_and_nothing_else(
    speller: Speller, written: str, meant: str
) -> None:
    assert speller(written) == meant


def test_a_prompt_with_slips_is_served_as_the_one_without(conductor: Conductor) -> None:
    for prompt in ("wich brnaches are there", "explan to me what the last comit changed"):
        made = conductor.compose(prompt, CONTEXT)
        assert made.melody is not None, made.missing
    melody = conductor.compose("wich brnaches are there", CONTEXT).melody
    assert melody is not None and [n["player"] for n in melody["nodes"]] == ["symphony/git#branches"]


def test_what_is_looked_for_stays_as_it_is_written(conductor: Conductor) -> None:
    melody = conductor.compose('search for "comit" in src', CONTEXT).melody
    assert melody is not None and melody["nodes"][0]["params"]["query"] == "comit"
