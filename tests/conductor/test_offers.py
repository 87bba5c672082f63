"""What the registry offers is embedded when nobody waits for it, and only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from conductor import Conductor
from conductor.encoder import Encoder
from conductor.retrieval import FIRST_OFFERS
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, ENCODER, bundled

OFFERS = 10_000


class Counting:
    """The encoder of prompts as it is; texts of a catalogue are counted, and get a vector that costs nothing."""

    def __init__(self) -> None:
        self._encoder = Encoder(ENCODER)
        self.version = "counting"
        self.prompts = self.texts = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        self.prompts += len(texts)
        return self._encoder.embed(texts)

    def embed_all(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        self.texts += len(texts)
        return np.tile(np.eye(1, 384, dtype=np.float32), (len(texts), 1))


def offers(number: int) -> list[FunctionSpec]:
    return [
        FunctionSpec(
            player=f"acme/tool-{n}#run",
            kind="operator",
            description=f"Does the thing number {n}",
            inputs={},
            outputs={"made": "text"},
            examples=tuple(f"do thing {n} in way {way}" for way in range(6)),
            available=False,
        )
        for n in range(number)
    ]


def test_the_first_prompt_waits_for_no_offer_and_each_is_embedded_once(tmp_path: Path) -> None:
    functions, lattice = bundled()
    encoder = Counting()
    conductor = Conductor(encoder, None)
    many = [*functions, *offers(OFFERS)]
    conductor.index(many, lattice, tmp_path)
    installed = encoder.texts
    assert installed < 3_000, "only what is installed, and what is judged against"
    made = conductor.compose("do thing 777 in way 3", CONTEXT)
    assert encoder.texts == installed, "a prompt embeds nothing of the catalogue"
    assert not made.possible and "acme/tool-777" in made.extensions, "until then its words tell of an offer"

    rounds = 0
    while conductor.go_on():
        rounds += 1
    wanted = sum(2 + min(3, len(spec.examples)) for spec in offers(OFFERS))
    assert encoder.texts == installed + wanted - FIRST_OFFERS and 10 < rounds < 100

    again = Counting()
    second = Conductor(again, None)
    second.index(many, lattice, tmp_path)
    assert (again.texts, second.go_on()) == (0, 0), "what was embedded is kept"
    third = [
        replace(spec, description="It is new") if spec.player == "acme/tool-5#run" else spec for spec in many
    ]
    second.index(third, lattice, tmp_path)
    assert again.texts == 1 and second.go_on() == 0


def test_a_file_of_vectors_that_is_damaged_costs_the_time_of_embedding_and_nothing_else(
    tmp_path: Path,
) -> None:
    functions, lattice = bundled()
    first = Counting()
    Conductor(first, None).index(functions, lattice, tmp_path)
    (kept,) = tmp_path.glob("keys-*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    second = Counting()
    Conductor(second, None).index(functions, lattice, tmp_path)
    assert second.texts == first.texts
