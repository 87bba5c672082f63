"""Requests that were asked before say which Players like ones mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from conductor import ComposeContext, Conductor
from conductor.core import WEIGHTS
from conductor.encoder import Encoder
from conductor.past import Past, Recollection, Request, Said, read_requests, shipped_requests
from conductor.past.fitting import Fitted, fit
from conductor.past.recall import PastInvalid
from conductor.past.words import words_of
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


@pytest.fixture(scope="module")
def fitted(encoder: Encoder) -> Fitted:
    return fit([BAKED, WASHED, BOTH, NOBODY], encoder.embed, encoder.version)


def said(past: Past, encoder: Encoder, *texts: str) -> Said:
    return past.about(encoder.embed(list(texts)), texts)


def test_who_asks_in_like_words_means_the_same(fitted: Fitted, encoder: Encoder) -> None:
    past = Past(fitted.opened(), (), FUNCTIONS, encoder.embed)
    found = said(past, encoder, "bread in the oven please", "so many dirty dishes", "can we fly to the moon")
    assert found.votes[:2].argmax(axis=1).tolist() == [0, 1]
    assert found.unserved.argmax() == 2 and found.unserved[2] > found.votes[2].max()
    assert found.votes.min() >= 0.0 and found.votes.max() <= 1.0


def test_what_it_was_fitted_on_is_what_it_says(fitted: Fitted, encoder: Encoder) -> None:
    """Held against the closed form, solved by numpy alone over vectors that were not rounded."""
    rows = [BAKED, WASHED, BOTH, NOBODY]
    expected = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    vectors = encoder.embed([one.plain for one in rows])
    counts = {w: sum(w in words_of(o.english) for o in rows) for o in rows for w in words_of(o.english)}
    known = [word for word, count in counts.items() if count >= 2]
    bags = np.array(
        [[np.log(1 + 4 / counts[w]) if w in words_of(o.english) else 0.0 for w in known] for o in rows]
    )
    bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1e-9)
    kernel = np.exp(2.0 * (vectors @ vectors.T - 1.0)) + 0.4 * bags @ bags.T
    usual = expected.mean(axis=0)
    found = kernel @ np.linalg.solve(kernel + 0.1 * np.eye(4), expected - usual) + usual
    likely, nearest = fitted.opened().about(vectors, [one.english for one in rows])
    places = [*(fitted.players.index(spec.player) for spec in FUNCTIONS), -1]
    assert np.allclose(likely[:, places], found, atol=0.01)
    assert np.allclose(nearest, 1.0, atol=0.01)


def test_missing_halves_are_requests_that_nobody_serves(encoder: Encoder) -> None:
    half = Request("bake a cake and mail it to Bob", "en", ("ann/kitchen#bake",), "mail it to Bob")
    past = Past(fit([half, WASHED], encoder.embed).opened(), (), FUNCTIONS, encoder.embed)
    found = said(past, encoder, "mail it to Bob", "bake a cake")
    assert found.unserved[0] > 0.5 > found.unserved[1]


def test_of_players_that_are_not_there_it_says_nothing(fitted: Fitted, encoder: Encoder) -> None:
    past = Past(fitted.opened(), [BOTH], FUNCTIONS[:1], encoder.embed)
    assert said(past, encoder, BAKED.prompt).votes.shape == (1, 1) and past.known.tolist() == [True]
    stranger = FunctionSpec("bob/garage#weld", "operator", "weld", {}, {"items": "list<record>"})
    past = Past(fitted.opened(), (), [stranger, *FUNCTIONS], encoder.embed)
    assert past.is_strange.tolist() == [True, False, False, False]
    assert said(past, encoder, BAKED.prompt).votes[0].argmax() == 1
    own = Request("mend the bumper", "en", (stranger.player,))
    past = Past(fitted.opened(), (own,), [stranger, *FUNCTIONS], encoder.embed)
    assert said(past, encoder, own.prompt).votes[0, 0] > 0.9
    assert past.is_strange[0], "who served once may serve something else as well"


def test_a_twin_stands_for_the_player_that_does_the_same(fitted: Fitted, encoder: Encoder) -> None:
    twin = FunctionSpec("bob/kitchen#oven", "operator", "bake", {}, {"items": "list<record>"})
    means = np.eye(4, 384, dtype=np.float32)
    means[3] = 0.99 * means[0]
    past = Past(fitted.opened(), (), [*FUNCTIONS, twin], encoder.embed, means)
    assert past.twins.tolist() == [0, 1, 2, 0] and not past.is_strange.any()


def test_what_was_asked_here_counts_more_and_for_what_is_nearly_the_same_alone(
    fitted: Fitted, encoder: Encoder
) -> None:
    own = Request("the plates are dirty", "en", ("ann/kitchen#eat",))
    shipped, here = (
        said(Past(fitted.opened(), asked, FUNCTIONS, encoder.embed), encoder, own.prompt, BAKED.prompt)
        for asked in ((), (own,))
    )
    assert shipped.votes[0].argmax() == 1 and here.votes[0].argmax() == 2 and here.votes[0, 2] > 0.9
    assert np.allclose(here.votes[1], shipped.votes[1], atol=0.02)
    alone = said(Past(None, (own,), FUNCTIONS, encoder.embed), encoder, own.prompt, NOBODY.prompt)
    assert alone.votes[0, 2] > 0.9 and alone.votes[1].max() < 0.01


def test_what_was_served_here_is_remembered_from_the_next_prompt_on(tmp_path: Path) -> None:
    """A prompt whose words fit no Player is served as it was the last time, and forgotten when that is."""
    conductor = conductor_over(*bundled(), tmp_path, WEIGHTS)
    prompt = "the usual before the pub"

    def players(conductor: Conductor) -> set[str]:
        made = conductor.compose(prompt, CONTEXT).melody
        return {node["player"] for node in made["nodes"]} if made is not None else set()

    before = players(conductor)
    conductor.remember([Request(prompt, "en", ("symphony/git#status",))])
    assert "symphony/git#status" in players(conductor) and "symphony/git#status" not in before
    conductor.index(*bundled(), tmp_path)
    assert "symphony/git#status" in players(conductor), "other Players are no reason to forget"
    conductor.remember([])
    assert players(conductor) == before


def test_what_past_requests_say_is_told(conductor: Conductor) -> None:
    told = conductor.compose("quick sanity check before I push", CONTEXT).explanations
    assert any("requests like this one were served by it" in one["why"] for one in told)
    told = conductor.compose("summarize the file docs/guide.md", CONTEXT).explanations
    assert told and all("why" in one for one in told)


def test_vectors_of_what_was_asked_here_are_not_made_twice(encoder: Encoder) -> None:
    made: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        made.extend(texts)
        return encoder.embed(texts)

    past = Past(None, [WASHED], FUNCTIONS, embed)
    later = Past(None, [WASHED, NOBODY], FUNCTIONS, embed, before=past)
    assert made == [WASHED.prompt, NOBODY.prompt]
    assert said(later, encoder, WASHED.prompt).votes.argmax() == 1
    made.clear()
    forgotten = Past(None, [NOBODY], FUNCTIONS, embed, before=later)
    Past(None, [WASHED], FUNCTIONS, embed, before=forgotten)
    assert made == [WASHED.prompt], "what was forgotten is not kept"


def test_without_anything_asked_before_it_composes_as_well(tmp_path: Path) -> None:
    conductor = Conductor.load(ENCODER, WEIGHTS)
    conductor._recollection = None
    conductor.index(*bundled(), tmp_path)
    assert conductor._indexed()[0].past is None
    made = conductor.compose("which files changed most in the last month", ComposeContext(now=NOW))
    assert made.melody is not None
    assert [node["player"] for node in made.melody["nodes"]] == ["symphony/git#churn"]


def test_a_file_is_written_and_read_and_what_is_damaged_is_told(
    fitted: Fitted, encoder: Encoder, tmp_path: Path
) -> None:
    fitted.write(tmp_path)
    read = Recollection.load(tmp_path, encoder.version)
    vectors = encoder.embed(["bread"])
    again, before = (one.about(vectors, ["bread"])[0] for one in (read, fitted.opened()))
    assert np.allclose(again, before, atol=1e-3), "numbers are kept in 16 bits"
    with pytest.raises(PastInvalid, match="the encoder"):
        Recollection.load(tmp_path, "another")
    whole = (tmp_path / "past.npz").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"nothing of the kind"):
        (tmp_path / "past.npz").write_bytes(damaged)
        with pytest.raises(PastInvalid, match=r"past\.npz"):
            Recollection.load(tmp_path, encoder.version)
    fitted.arrays["weights"][0, 0] = np.nan
    with pytest.raises(ValueError, match="damaged"):
        fitted.opened()


def test_a_past_that_cannot_be_read_costs_quality_and_is_told(tmp_path: Path) -> None:
    for name in ("encoder.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(ENCODER / name)
    conductor = Conductor.load(tmp_path, WEIGHTS)
    conductor.index(*bundled(), tmp_path / "cache")
    health = conductor.health()
    assert health["status"] == "degraded" and "past.npz" in health["detail"]
    assert conductor.compose("find dead code", CONTEXT).possible


def test_the_built_past_is_that_of_the_shipped_requests() -> None:
    encoder = Encoder(ENCODER)
    assert Recollection.load(ENCODER, encoder.version).facts["requests"] == len(
        shipped_requests(ROOT / "extensions")
    )


def test_words_are_told_by_their_kind() -> None:
    assert words_of("Sum of amount > 100 in data/sales.csv") == [
        "sum", "of", "amount", ">", "0", "in", "file", "csv",
        "sum of", "of amount", "amount >", "> 0", "0 in", "in file", "file csv",
    ]  # fmt: skip
    assert words_of('find "a b c" in docs/ since 2026-01-02')[:6] == [
        "find", "quoted", "in", "folder", "since", "date",
    ]  # fmt: skip


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
