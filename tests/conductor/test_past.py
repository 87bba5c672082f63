"""Requests that were asked before say which Players like ones mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conductor import ComposeContext, Conductor
from conductor.core import WEIGHTS
from conductor.encoder import Encoder
from conductor.past import Past, Request, read_requests, shipped_requests
from symphony.types.players import FunctionSpec

from .conftest import CONTEXT, ENCODER, NOW, ROOT, bundled, conductor_over

FUNCTIONS = [
    FunctionSpec(f"ann/kitchen#{name}", "operator", name, {}, {"items": "list<record>"})
    for name in ("bake", "wash", "eat")
]
BAKED = Request("put the loaf into the oven", "en", ("ann/kitchen#bake",))
WASHED = Request("the plates are dirty", "en", ("ann/kitchen#wash",))
BOTH = Request("dinner for six, then clean up", "en", ("ann/kitchen#eat", "ann/kitchen#wash"))
NOBODY = Request("fly me to the moon", "en", ())


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(ENCODER)


def votes(past: Past, encoder: Encoder, *texts: str, **how: object) -> np.ndarray:
    return past.about(encoder.embed(list(texts)), **how).votes.argmax(axis=1)  # type: ignore[arg-type]


def test_who_asks_in_like_words_means_the_same(encoder: Encoder) -> None:
    past = Past([BAKED, WASHED, NOBODY], FUNCTIONS, encoder.embed)
    assert votes(past, encoder, "bread in the oven please", "so many dirty dishes").tolist() == [0, 1]
    said = past.about(encoder.embed(["fly to the moon", "put the loaf into the oven"]))
    assert said.unserved[0] > 0.5 > said.unserved[1] and said.nearest[1] > 0.99


def test_a_request_that_is_hidden_does_not_speak_for_itself(encoder: Encoder) -> None:
    past = Past([BAKED, WASHED], FUNCTIONS, encoder.embed)
    assert votes(past, encoder, BAKED.prompt).tolist() == [0]
    assert votes(past, encoder, BAKED.prompt, hidden=BAKED.prompt).tolist() == [1]


def test_what_took_several_says_nothing_of_a_part(encoder: Encoder) -> None:
    past = Past([BAKED, BOTH], FUNCTIONS, encoder.embed)
    whole, part = past.about(encoder.embed([BOTH.prompt, "dinner for six"]), parts=True).votes
    assert whole[2] > 0.5 and part[2] < 0.01


def test_requests_for_players_that_are_not_there_are_left_out(encoder: Encoder) -> None:
    past = Past([BAKED, BOTH], FUNCTIONS[:1], encoder.embed)
    assert past.about(encoder.embed([BOTH.prompt])).votes.tolist() == [[1.0]]
    said = Past([BOTH], FUNCTIONS[:1], encoder.embed).about(encoder.embed([BOTH.prompt]))
    assert said.votes.tolist() == [[0.0]] and said.nearest.tolist() == [0.0]


def test_what_was_served_here_is_remembered_from_the_next_prompt_on(tmp_path: Path) -> None:
    """A prompt whose words fit no Player is served as it was the last time, and forgotten when that is."""
    conductor = conductor_over(*bundled(), tmp_path, WEIGHTS)
    shipped = shipped_requests(ROOT / "extensions")
    prompt = "the usual before the pub"

    def players(conductor: Conductor) -> set[str]:
        made = conductor.compose(prompt, CONTEXT).melody
        return {node["player"] for node in made["nodes"]} if made is not None else set()

    before = players(conductor)
    conductor.remember([Request(prompt, "en", ("symphony/git#status",)), *shipped])
    assert "symphony/git#status" in players(conductor) and "symphony/git#status" not in before
    conductor.remember(shipped)
    assert players(conductor) == before


def test_of_what_was_asked_here_nothing_is_kept_on_the_disk_and_nothing_is_made_twice(
    tmp_path: Path, encoder: Encoder
) -> None:
    made: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        made.extend(texts)
        return encoder.embed(texts)

    own = replace(WASHED, is_own=True)
    past = Past([BAKED, own], FUNCTIONS, embed, tmp_path, "e")
    (kept,) = tmp_path.iterdir()
    with np.load(kept) as stored:
        assert len(stored["digests"]) == 1
    assert len(made) == 2
    later = Past([BAKED, own, NOBODY], FUNCTIONS, embed, tmp_path, "e", past)
    assert made[2:] == [NOBODY.prompt] and votes(later, encoder, WASHED.prompt).tolist() == [1]
    made.clear()
    assert votes(Past([own], FUNCTIONS, embed, tmp_path, "e"), encoder, WASHED.prompt).tolist() == [1]
    assert made == [WASHED.prompt]


def test_a_past_that_is_gone_says_nothing(tmp_path: Path) -> None:
    conductor = conductor_over(*bundled(), tmp_path, WEIGHTS)
    conductor.remember([])
    assert conductor._indexed()[0].past is None


def test_the_shipped_requests_name_players_that_there_are() -> None:
    known = {spec.player for spec in bundled()[0]}
    requests = shipped_requests(ROOT / "extensions")
    assert {player for one in requests for player in one.players} <= known
    assert len({one.prompt for one in requests}) == len(requests) > 500
    assert {one.language for one in requests} == {"en", "de", "fr", "es"}
    assert all(one.missing in one.prompt for one in requests)


def test_a_line_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"prompt": "a", "language": "en", "players": []}) + "\n{\n")
    with pytest.raises(ValueError, match="line 1"):
        read_requests(file)


def test_without_a_past_it_composes_as_well(tmp_path: Path) -> None:
    conductor = Conductor.load(ENCODER, WEIGHTS)
    conductor.index(*bundled(), tmp_path)
    made = conductor.compose("which files changed most in the last month", ComposeContext(now=NOW))
    assert made.melody is not None
    assert [node["player"] for node in made.melody["nodes"]] == ["symphony/git#churn"]
