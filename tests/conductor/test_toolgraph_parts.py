"""The networks that `evaluate toolgraph` trains, each by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from .conftest import ENCODER

torch = pytest.importorskip("torch")

from conductor.training.composing import Composer, vectors_of  # noqa: E402
from conductor.training.experience import Experience  # noqa: E402
from conductor.training.layers import LAYERS, LowerLayers, UpperLayers, padded  # noqa: E402
from conductor.training.marginals import Marginals  # noqa: E402
from conductor.training.pointer import Batch, Pointer, likelihoods, padded_chains, propose  # noqa: E402

TOOLS, FACTS = 9, 3


def drawn(prompts: int) -> Batch:
    """Prompts of different lengths over the same tools, drawn by chance."""
    mask = torch.arange(7)[None, :] < torch.arange(7, 7 - prompts, -1)[:, None]
    return Batch(
        tokens=torch.randn(prompts, 7, 384),
        mask=mask,
        tools=torch.nn.functional.normalize(torch.randn(1, TOOLS, 384), dim=-1),
        own=torch.zeros(1, TOOLS, dtype=torch.long),
        facts=torch.randn(prompts, TOOLS, FACTS),
        after=torch.randn(prompts, TOOLS + 1, TOOLS, 2),
        ends=torch.randn(prompts, TOOLS, 2),
        chains=torch.zeros(prompts, 0, dtype=torch.long),
    )


def test_chains_of_one_prompt_are_weighed_as_if_each_were_alone() -> None:
    torch.manual_seed(0)
    network, batch = Pointer(FACTS).eval(), drawn(3)
    chains = [[(1, 2, 3), (4, 5, 6), (2, 7, 0)], [(0, 1, 2), (8, 7, 6), (3, 4, 5)], [(1, 0, 8)] * 3]
    with torch.no_grad():
        reading = network.read_prompt(batch)
        together = network.steps(reading, padded_chains([c for row in chains for c in row]))
        alone = [network.steps(reading, padded_chains([row[k] for row in chains])) for k in range(3)]
    together = together.view(3, 3, *together.shape[1:])
    for k in range(3):
        assert torch.allclose(together[:, k], alone[k], atol=1e-4)


def test_the_beam_tells_the_likelihood_of_its_chains() -> None:
    torch.manual_seed(1)
    network, batch = Pointer(FACTS).eval(), drawn(2)
    found = [row[:4] for row in propose(network, batch, width=4)]
    scores = likelihoods(network, batch, [[one.chain for one in row] for row in found])
    assert np.allclose(scores, [[one.score for one in row] for row in found], atol=1e-3)
    assert all(len(set(one.chain)) == len(one.chain) > 0 for row in found for one in row)


def test_upper_layers_carry_on_as_the_encoder_does_whatever_the_padding() -> None:
    lower = LowerLayers(ENCODER, (3, LAYERS))
    (states, last), _ = lower.states(["Rent a boat.", "Tell me the weather of Oslo, then rent a boat there."])
    upper = UpperLayers(lower.model, 3).eval()
    with torch.no_grad():
        x, mask = padded(states)
        both = vectors_of(upper(x, mask), mask)
        alone = [vectors_of(upper(*padded([one])), padded([one])[1])[0] for one in states]
    for row, one in enumerate(last):
        mean = one.mean(axis=0)
        assert float(both[row] @ torch.from_numpy(mean / np.linalg.norm(mean))) > 0.99
        assert float(both[row] @ alone[row]) > 0.999


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    upper = UpperLayers(LowerLayers(ENCODER, (3, LAYERS)).model, LAYERS - 1, dropout=0.25)
    torch.manual_seed(2)
    dropped = upper.layers[0]._dropped(torch.ones(400, 384))
    assert abs(float((dropped == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(dropped.mean()) - 1.0) < 0.01
    upper.eval()
    assert torch.equal(upper.layers[0]._dropped(torch.ones(3, 384)), torch.ones(3, 384))


def unit(rows: int, width: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_marginals_learn_tools_and_steps_and_ignore_steps_that_they_never_saw() -> None:
    torch.manual_seed(3)
    vectors, chains = torch.from_numpy(unit(3, 384, 0)), [(0, 1), (1, 2), (3,)]
    marginals = Marginals(unit(5, 384, 1), chains)
    optimizer = torch.optim.Adam(marginals.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        marginals.loss(vectors, chains).backward()
        optimizer.step()
    marginals.eval()
    told = marginals.evidence(vectors, [[chain, (1, 0), (4,)] for chain in chains])
    assert all(row[0] > max(row[1:]) for row in told)
    with torch.no_grad():
        nodes, _ = marginals(vectors)
    # Nothing is known of the step from 3 to 4: only the tools count.
    (unknown,) = marginals.evidence(vectors[:1], [[(3, 4)]])[0]
    assert math.isclose(unknown, float(nodes[0, 3] + nodes[0, 4]), rel_tol=1e-4)


def test_where_the_recogniser_abstains_no_chain_is_much_surer_than_another() -> None:
    vectors, chains = unit(4, 384, 4), [(0, 1), (1, 2), (2, 3), (3, 0)]
    composer = Composer.new(
        Experience(unit(4, 384, 5), vectors, chains), LowerLayers(ENCODER, (3, LAYERS)), 0
    )
    composed = {(0, 2): -0.1, (2, 0): -3.0}

    def lead(none: float) -> float:
        spread = np.log(np.array([*[(1.0 - none) / 4] * 4, none]) + 1e-12)
        joined = composer._joined(composed, spread)
        return joined[0, 2] - joined[2, 0]

    assert 0.0 < lead(1.0) < 0.6 * lead(0.0)
