"""What the Players cannot do is said, with the extension that would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conductor import Conductor
from conductor.core import WEIGHTS
from symphony.types.players import FunctionSpec, ParamSpec

from .conftest import CONTEXT, bundled, conductor_over

MAIL = FunctionSpec(
    player="acme/mail#send",
    kind="operator",
    description="Sends an e-mail to somebody",
    inputs={"content": "text"},
    outputs={"receipt": "text/plain"},
    params={"to": ParamSpec("string", "the address")},
    examples=(
        "send an e-mail to the team",
        "mail the report to my boss",
        "write an e-mail to Bob",
        "e-mail somebody",
    ),
    available=False,
)


def test_an_extension_of_the_registry_is_named(cache: Path) -> None:
    functions, lattice = bundled()
    conductor = conductor_over([*functions, MAIL], lattice, cache, WEIGHTS)
    composition = conductor.compose("send an e-mail to Bob", CONTEXT)
    assert not composition.possible
    assert composition.extensions == ["acme/mail"]
    assert "e-mail to Bob" in composition.missing[0]


def test_a_player_that_is_not_available_is_never_used(cache: Path) -> None:
    functions, lattice = bundled()
    disabled = [replace(s, available=s.player != "symphony/code#dead_code") for s in functions]
    conductor = conductor_over(disabled, lattice, cache, WEIGHTS)
    composition = conductor.compose("find dead code", CONTEXT)
    players = [node["player"] for node in composition.melody["nodes"]] if composition.melody else []
    assert "symphony/code#dead_code" not in players
    assert composition.possible or composition.extensions == ["symphony/code"]


def test_half_of_a_request_is_named(conductor: Conductor) -> None:
    composition = conductor.compose("find dead code and book a flight to Oslo", CONTEXT)
    assert composition.possible and composition.melody
    assert [n["player"] for n in composition.melody["nodes"]] == ["symphony/code#dead_code"]
    assert any("flight" in text for text in composition.missing)
    assert any("flight" in e["why"] for e in composition.explanations)


def test_what_a_prompt_does_not_say_is_asked_for(conductor: Conductor) -> None:
    composition = conductor.compose("git blame", CONTEXT)
    assert any("file" in text for text in composition.missing)


def test_the_answer_has_the_shape_of_the_contract(conductor: Conductor) -> None:
    refused = conductor.compose("book a flight to Lisbon", CONTEXT).to_json()
    assert set(refused) == {"possible", "missing", "extensions"} and refused["possible"] is False
    served = conductor.compose("find dead code", CONTEXT).to_json()
    assert {"possible", "melody", "explanations", "predicted_seconds"} <= set(served)
    assert set(served["explanations"][0]) == {"node", "why", "confidence"}
