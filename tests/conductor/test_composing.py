"""Chains composed and recognised; how a prompt's words point to the values of parameters."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from conductor.spans.cues import Wording, cues_of, spoken_of
from conductor.spans.tokens import token_letters
from conductor.training.calls import Parameter, spans_of
from conductor.training.pointer import Batch, Pointer, likelihoods, propose
from conductor.training.recogniser import Recogniser
from conductor.training.teaching import Pace

TOOLS, WIDTH = 6, 384


def batch_of(prompts: int, seed: int = 0) -> Batch:
    made = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=made)

    return Batch(
        tokens=drawn(prompts, 5, WIDTH),
        mask=torch.ones(prompts, 5, dtype=torch.bool),
        tools=torch.nn.functional.normalize(drawn(1, TOOLS, WIDTH), dim=-1),
        own=torch.zeros(1, TOOLS, dtype=torch.long),
        facts=drawn(prompts, TOOLS, 3),
        after=drawn(prompts, TOOLS + 1, TOOLS, 2),
        ends=drawn(prompts, TOOLS, 2),
        chains=torch.zeros(prompts, 0, dtype=torch.long),
    )


def test_a_given_chain_is_as_likely_as_the_beam_says() -> None:
    torch.manual_seed(0)
    network, batch = Pointer(facts=3).eval(), batch_of(2)
    found = propose(network, batch, width=4)
    longest_first = [sorted(one, key=lambda p: -len(p.chain))[:3] for one in found]
    assert any(len(p.chain) > 1 for p in longest_first[0])
    again = likelihoods(network, batch, [[p.chain for p in one] for one in longest_first])
    assert np.allclose(again, [[p.score for p in one] for one in longest_first], atol=1e-4)


def test_the_mask_keeps_tools_from_coming_twice_and_chains_from_being_empty() -> None:
    torch.manual_seed(0)
    network, batch = Pointer(facts=3).eval(), batch_of(8)
    masked = [p.chain for one in propose(network, batch, width=6) for p in one]
    assert all(chain and len(set(chain)) == len(chain) for chain in masked)
    free = [p.chain for one in propose(network, batch, width=6, masked=False) for p in one]
    assert any(not chain or len(set(chain)) < len(chain) for chain in free)


def past() -> tuple[np.ndarray[Any, Any], list[tuple[int, ...]]]:
    """Six prompts: three near each other with one chain, two with another, one alone."""
    at = np.eye(4, dtype=np.float32)
    vectors = np.stack([at[0], at[0] + 0.1 * at[3], at[0] + 0.1 * at[2], at[1], at[1] + 0.1 * at[3], at[2]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, [(0, 1), (0, 1), (0, 1), (2,), (2,), (3, 4)]


def test_a_past_prompt_does_not_vote_for_itself_and_a_strange_one_for_none() -> None:
    vectors, chains = past()
    recogniser = Recogniser(vectors, chains)
    asked = torch.from_numpy(vectors)
    with torch.no_grad():
        with_itself, without = recogniser(asked).exp(), recogniser(asked, torch.arange(6)).exp()
        strange = recogniser(torch.tensor([[-1.0, 0.0, 0.0, 0.0]])).exp()
    assert torch.allclose(without.sum(1), torch.ones(6), atol=1e-4)
    assert with_itself[5, 2] > 0.9 and without[5, 2] < 1e-6 and without[5, 3] > 0.9
    assert without[0, 0] > 0.9 and without[3, 1] > 0.9
    assert strange[0, 3] > 0.99


def test_the_recogniser_learns_and_remembers_what_it_read_last() -> None:
    vectors, chains = past()
    recogniser = Recogniser(vectors, chains)
    rows, moved = torch.tensor([0, 5]), torch.eye(4)[[3, 3]]
    before = float(recogniser.loss(torch.from_numpy(vectors), torch.arange(6)).detach())
    optimizer = torch.optim.Adam(recogniser.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        loss = recogniser.loss(torch.from_numpy(vectors), torch.arange(6))
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < before
    recogniser.loss(moved, rows)
    assert torch.equal(recogniser.memory[rows], moved)


def test_the_clock_shortens_the_training_and_its_rates_still_end_at_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rates = []
    slow, quick = Pace(0.01, 0.0, until=50.0), Pace(0.01, 0.0, until=500.0)
    for pace in (slow, quick):
        now[0] = 0.0
        while not pace.is_over():
            now[0] += 1.0
            rates.append(pace.rate())
            pace.go()
    assert not slow.in_time and slow.steps <= 51
    assert quick.in_time and quick.steps == 100
    assert max(rates) > 0.99 and slow.rate() < 1e-9 and quick.rate() < 1e-9


TEXT = "Rent a boat for 31 days in Oslo, the boat ID is 'B7x'. Then tell me the weather of Lima on May 3rd, 2021."


def tokens_of(text: str) -> list[tuple[int, int]]:
    """Each word and each mark a token, after one of no length as the encoder has."""
    return [(0, 0), *((m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text))]


def token(word: str) -> int:
    return tokens_of(TEXT).index((TEXT.index(word), TEXT.index(word) + len(word)))


def test_what_looks_like_a_parameters_kind_is_marked() -> None:
    wording = Wording(TEXT, tokens_of(TEXT))
    own = np.ones(len(tokens_of(TEXT)), dtype=np.float32)
    parameters = [("days", "how long", "int"), ("boat id", "which", "str"), ("date", "the day", "str")]
    days, boat, date = cues_of(wording, parameters, 0, 2, own)
    number, code, day = 7, 8, 9
    assert days[token("31"), number] == 1.0 and days[token("Oslo"), number] == 0.0
    assert boat[token("B7x"), code] == 1.0 and boat[token("31"), number] == 0.0
    assert (
        date[token("May"), day] == 1.0 and date[token("2021"), day] == 1.0 and days[token("May"), day] == 0.0
    )
    after = 2
    assert boat[token("B7x"), after] > boat[token("Lima"), after] > 0.0
    assert not days[0].any()


def test_clauses_are_dealt_out_to_calls_in_order() -> None:
    likeness = np.array([[0.9, 0.8], [0.1, 0.9]])
    first, second = spoken_of(likeness, np.array([0.0, 0.5]), np.array([0.1, 0.4, 0.6]))
    assert list(first) == [1.0, 1.0, 0.0] and list(second) == [0.0, 0.0, 1.0]
    # The second clause is more like the first call, the first like the second: that would be out of order.
    crossed = np.array([[0.1, 0.9], [0.9, 0.1]])
    first, second = spoken_of(crossed, np.array([0.0, 0.5]), np.array([0.1, 0.6]))
    assert list(first) in ([1.0, 1.0], [0.0, 0.0]) and list(first + second) == [1.0, 1.0]
    assert spoken_of(np.zeros((2, 0)), np.array([0.0, 0.5]), np.array([0.1])) == []


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("2021-05-03", "str", "May 3rd, 2021"),
        (31, "int", "31"),
        ("B7x", "str", "B7x"),
        ("Paris", "str", None),
    ],
)
def test_a_value_is_found_where_the_prompt_writes_it(value: Any, kind: str, text: str | None) -> None:
    places = tokens_of(TEXT)
    _, starts, ends = token_letters(TEXT, places)
    found = spans_of(TEXT, places, starts, ends, value, Parameter("x", kind, "", True))
    assert (found is None) is (text is None)
    for first, last in found or ():
        assert TEXT[places[first][0] : places[last][1]] == text
