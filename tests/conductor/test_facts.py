"""The native facts, masks and plans against plain ones, number for number, in the course of compositions by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from conductor.composer import by_chance
from conductor.core import WEIGHTS
from conductor.draft import Typing
from conductor.episode import Episode, Table
from conductor.facts import UNSERVED
from conductor.policy import LEARNED, MATCH, STATE, Policy
from conductor.retrieval import Catalogue
from conductor.rules import STOP, TELLING, by_rules
from conductor.training.compositions import bundled
from pit_native import ChoiceField, ChoiceNetwork, PlanIndex
from symphony.app.paths import bundled_extensions

from .conftest import CONTEXT

PROMPTS = (
    "Which files change most and are hardest to maintain? Write me a report with a chart",
    "read data/sales.csv, sum the amount by region and draw a bar chart of it",
    "list the TODOs in src/ and the lint findings since last month, and write both to out.md",
    "commits of each author in the last 30 days as a table, top 5",
    "join the commits with the files and sort them by size",
)

Array = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module")
def table() -> Table:
    functions, lattice = bundled(bundled_extensions())
    return Table(Catalogue(functions, None), Typing(lattice), None)


def states(table: Table, prompt: str, seed: int) -> Iterator[tuple[Episode, list[int]]]:
    """The states of one composition by chance, each with its candidates."""
    episode, chooser = Episode(table, prompt, None, CONTEXT), by_chance(seed)
    while candidates := episode.candidates():
        yield episode, candidates
        action, _ = chooser(episode, candidates)
        if action == STOP:
            return
        episode.step(action)


def plain_facts(episode: Episode, candidates: Sequence[int]) -> Array:
    """What `docs/conductor.md` says of the facts, over whole arrays."""
    chosen = np.array(candidates)
    scores = episode.by_clause[:, chosen]
    best, second = episode.clause_best[:, None], episode.clause_second[:, None]
    margins = scores - np.where(scores >= best - 1e-6, second, best)
    coverage = episode.coverage()
    still = 1.0 - coverage[:, None]
    facts: Array = episode.table.facts[chosen]
    facts[:, 0], facts[:, 1] = episode.whole[chosen], scores.max(axis=0)
    facts[:, 2] = (scores * (1.0 - 0.8 * coverage[:, None])).max(axis=0)
    facts[:, 3], facts[:, 4] = margins.max(axis=0), facts[:, 0] - facts[:, 0].max()
    facts[:, 5], facts[:, 6] = (margins >= 0).any(axis=0), ((margins >= 0) * still).max(axis=0)
    facts[:, 7], facts[:, 8] = (margins * still).max(axis=0), 1.0 - coverage[scores.argmax(axis=0)]
    facts[:, 9] = chosen == by_rules(episode, candidates)[0]
    facts[:, 10], facts[:, 11] = np.arange(len(chosen)) / 10.0, facts[:, 2] - facts[:, 2].max()
    facts[:, 29] = episode.evidence[:, chosen].max(axis=0, initial=0.0)
    facts[:, 30] = episode.open_evidence()[chosen]
    for row, function in enumerate(candidates):
        tell_graph(facts[row], episode, function)
    return facts


def tell_graph(facts: Array, episode: Episode, function: int) -> None:
    """How one candidate stands to parameters and graph."""
    draft, spec = episode.draft, episode.table.functions[function]
    there = {node.function for node in draft.nodes}
    steps = episode.plans.steps(function)
    facts[14] = len(steps) / 3.0
    facts[15] = sum(episode.likeness[s] for s in steps) / len(steps) if steps else 1.0
    if episode.mentions:
        taken = {m for node in draft.nodes for m in episode.filled(node.function).used}
        used = [m for m in episode.filled(function).used if m not in taken] if spec.params else []
        facts[12] = min(3, len(used)) / 3.0
        facts[27] = episode.reads_file(function)
    if draft.nodes:
        found = [draft.fresh_providers(t) for t in episode.table.roles[function].port_types]
        fed = sum(map(bool, found))
        facts[16], facts[17] = fed > 0, any(f[0][0] >= 6.5 for f in found if f)
        facts[26] = sum(s in there for s in steps) / 3.0 if steps else fed / 3.0


def plain_stop(episode: Episode, matches: Array) -> Array:
    """The facts about stopping, by those about the candidates."""
    facts: Array = np.zeros(32, dtype=np.float32)
    coverage, most = episode.coverage(), matches.max(axis=0)
    facts[:4] = coverage.mean(), coverage.min(), len(episode.draft.nodes) / 6.0, bool(episode.draft.nodes)
    facts[4:12], facts[12], facts[13] = most[:8], most[12], most[11]
    if len(showing := matches[matches[:, 20] > 0]):
        facts[14], facts[15] = showing[:, 2].max(), showing[:, 6].max()
    facts[16], facts[17] = len(episode.draft.leaves()) / 3.0, (coverage < 0.6).sum() / 3.0
    facts[18] = np.where(coverage < 0.8, episode.clause_best, 0.0).max()
    facts[19], facts[20], facts[31] = most[30], most[9] == 0.0, 1.0
    return facts


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_native_facts_are_those_of_plain_arrays(table: Table, prompt: str) -> None:
    seen = 0
    for seed in range(12):
        for episode, candidates in states(table, prompt, seed):
            matches = episode.matches(candidates)
            assert np.array_equal(matches, plain_facts(episode, candidates))
            stop = episode.stop_facts(candidates, matches)
            # The mean of the coverage is one of sums in another order.
            assert np.allclose(stop, plain_stop(episode, matches), rtol=0.0, atol=1e-6)
            seen += len(episode.draft.nodes) > 0
    assert seen, "no composition went beyond its first choice"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_what_is_owed_is_what_a_word_or_a_part_clearly_asks_for(table: Table, prompt: str) -> None:
    for seed in range(6):
        for episode, candidates in states(table, prompt, seed):
            own = episode.best_clause
            owed = {
                c
                for c in candidates
                if episode.open_evidence()[c] >= TELLING
                or (
                    episode.by_clause[own[c], c] >= episode.clear_from[own[c]]
                    and episode.coverage()[own[c]] < UNSERVED
                )
            }
            by_word = {*episode.spoken(candidates), *episode._writing(candidates)}
            joining = episode._joining(candidates)
            assert set(episode.owed(candidates)) == owed | by_word | set(joining)


def test_the_scores_are_those_of_plain_layers_and_keys() -> None:
    policy, dice = Policy.load(WEIGHTS), np.random.default_rng(0)
    arrays = {name: policy.array(name) for name in ("match.weight", "stop.weight", "stop.key")}
    for _ in range(20):
        x = state = (dice.standard_normal(STATE) * (dice.random(STATE) < 0.5)).astype(np.float32)
        learned = dice.standard_normal((7, LEARNED)).astype(np.float32)
        matches, stop = dice.random((7, MATCH), np.float32), dice.random(MATCH, np.float32)
        for layer in range(4):
            x = policy.array(f"policy.{layer}.weight") @ x + policy.array(f"policy.{layer}.bias")
            x = np.maximum(x, 0.0) if layer < 3 else x
        value = state
        for layer in range(3):
            value = policy.array(f"value.{layer}.weight") @ value + policy.array(f"value.{layer}.bias")
            value = np.maximum(value, 0.0) if layer < 2 else value
        assert policy.value(state) == pytest.approx(1.0 / (1.0 + np.exp(-float(value[0]))), abs=1e-5)
        keys = np.concatenate([learned, matches @ arrays["match.weight"].T], axis=1)
        last = np.concatenate([arrays["stop.key"], arrays["stop.weight"] @ stop])
        wanted = np.append(keys @ x, last @ x)
        found = policy.logits(state, learned, matches, stop)
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(np.abs(x).max()))


def test_a_network_gives_its_weights_back_and_takes_no_others() -> None:
    weight, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, dtype=np.float32)
    network, out = ChoiceNetwork([(weight, bias)]), np.empty((2, 3), dtype=np.float32)
    network.weight(0, out)
    assert np.array_equal(out, weight)
    with pytest.raises(IndexError, match="no such layer"):
        network.weight(1, out)
    with pytest.raises(ValueError, match="number of inputs"):
        network.run(bias, bias)
    with pytest.raises(BufferError):
        network.run(weight[0], weight[0].copy())
    with pytest.raises(ValueError, match="follow"):
        ChoiceNetwork([(weight, bias), (weight, bias)])


def test_candidates_that_were_not_retrieved_are_refused(table: Table) -> None:
    episode = Episode(table, PROMPTS[0], None, CONTEXT)
    episode.retrieved = episode.retrieved[:3]
    other = next(f for f in range(len(table.functions)) if f not in episode.retrieved)
    with pytest.raises(KeyError, match=str(other)):
        episode.matches([other])


def test_numbers_of_other_players_or_parts_are_refused() -> None:
    def zeros(*shape: int) -> Array:
        return np.zeros(shape, dtype=np.float32)

    def field(fixed: Array, likeness: int = 4) -> ChoiceField:
        part = zeros(1)
        types = np.zeros((2, 1), dtype=np.uint32)
        return ChoiceField(
            [1, 3], fixed, zeros(1, 2), part, part, part, np.zeros(likeness), zeros(2, 0), types
        )

    for fixed, likeness in ((zeros(1, 32), 4), (zeros(2, 32), 3)):
        with pytest.raises(ValueError, match="same Players"):
            field(fixed, likeness)
    made, every = field(zeros(2, 32)), np.ones(4, dtype=np.uint8)
    plans = PlanIndex([[]] * 4, [[]] * 4, []).plan(np.ones(4), every, bool, [], [])

    def tell(coverage: Array, out: Array) -> None:
        made.facts([3], coverage, zeros(4), None, [], zeros(0), np.zeros(0), plans, out)

    tell(zeros(1), zeros(1, 32))
    with pytest.raises(ValueError, match="Players and parts"):
        tell(zeros(2), zeros(1, 32))
    with pytest.raises(BufferError):
        tell(zeros(1), zeros(2, 32))


def test_an_index_of_types_that_nobody_declared_and_a_graph_of_other_players_are_refused() -> None:
    with pytest.raises(ValueError, match="fit together"):
        PlanIndex([[0]], [[1]], [False])
    index = PlanIndex([[], [0]], [[0], []], [False])
    costs, usable = np.ones(2), np.ones(2, dtype=np.uint8)
    assert index.plan(costs, usable, bool, [], []).cost == {0: 1.0, 1: 2.0}
    for there, open_inputs in (([2], []), ([], [(1, [1])]), ([], [(2, [])])):
        with pytest.raises(ValueError, match="these Players"):
            index.plan(costs, usable, bool, there, open_inputs)
    with pytest.raises(ValueError, match="these Players"):
        index.plan(costs[:1], usable, bool, [], [])


def test_only_those_are_asked_for_that_are_to_be_and_their_error_ends_the_search() -> None:
    index = PlanIndex([[], [0], [1], [1]], [[0], [1], [], []], [False, False])
    costs, asked = np.ones(4), []

    def ask(function: int) -> bool:
        asked.append(function)
        return function != 2

    plans = index.plan(costs, np.array([1, 2, 2, 0], dtype=np.uint8), ask, [], [])
    assert list(plans.cost) == [0, 1]
    assert asked == [1, 2]
    with pytest.raises(ZeroDivisionError):
        index.plan(costs, np.array([2, 1, 1, 1], dtype=np.uint8), lambda f: bool(1 // 0), [], [])
