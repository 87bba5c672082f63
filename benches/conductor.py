"""The Conductor beside the cost of the embedding alone, and of the simplest retrieval."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.measure import Row, compare, seconds
from symphony.app.catalogue import build_catalogue
from symphony.app.paths import encoder_files
from symphony.kit.bundled import bundled_folder
from symphony.stage.manifest import load_manifest

if TYPE_CHECKING:
    from conductor.episode import Episode
    from conductor.policy import Policy

PROMPTS = (
    "Which files change most and are hardest to maintain? Write me a report with a chart",
    "List all TODO comments in src/ and write them to a report",
    "How many commits did each author make in the last 30 days?",
    "Find functions that are too complex",
    "Read data/sales.csv and sum the amount by region",
)


def compose(name: str) -> Row:
    """From the prompt to a valid Melody; the peer is the embedding and a nearest-neighbour look-up."""
    from conductor import ComposeContext, Conductor

    manifests = [load_manifest(path) for path in sorted(bundled_folder().glob("*/Symphony.toml"))]
    catalogue = build_catalogue(manifests, [])
    conductor = Conductor.load(encoder_files())
    with tempfile.TemporaryDirectory() as cache:
        conductor.index(catalogue.composable(), catalogue.lattice, Path(cache))
    keys = np.asarray(conductor.embed([f"{f.description}" for f in catalogue.composable()]))
    turn = 0

    def fresh(prompt: str) -> str:
        # A prompt that was never seen: no cache of embeddings can answer it.
        nonlocal turn
        turn += 1
        return f"{prompt} ({turn})"

    def ours() -> float:
        context = ComposeContext()
        return seconds(lambda: [conductor.compose(fresh(p), context) for p in PROMPTS]) / len(PROMPTS)

    def theirs() -> float:
        return seconds(lambda: [np.argmax(keys @ conductor.embed([fresh(p)])[0]) for p in PROMPTS]) / len(
            PROMPTS
        )

    how = f"{len(PROMPTS)} prompts over {len(keys)} Players, each new to the encoder"
    return compare(name, ours, "embedding + nearest Player", theirs, unit="ms", scale=1e3, how=how)


MANY = 4_000
"""Players of the row on single decisions."""
IN_A_ROW = 20
"""Decisions timed at once, of as many compositions: after the collector of `seconds` has been through all memory, the
first would measure how long 1.7 MB of weights take from memory to the processor's cache.
"""
LARGE = 8
"""Nodes beyond which a composition of the row on single decisions begins anew."""


def _many(policy: Policy, compositions: int) -> list[Episode]:
    """Starts of compositions over many Players, which hand on 97 types in a ring; every seventh is a source."""
    from conductor.context import ComposeContext
    from conductor.draft import Typing
    from conductor.episode import Episode, Table
    from conductor.retrieval import Catalogue
    from symphony.types.players import FunctionSpec
    from symphony.types.port_types import TypeLattice

    dice = np.random.default_rng(0)
    texts = [f"{verb} the {noun} {n}" for n in range(MANY // 40) for verb in "abcde" for noun in "stuvwxyz"]
    functions = [
        FunctionSpec(
            f"acme/tools#f{n}", "operator", text, {"given": f"t/{n % 97}"}, {"made": f"t/{(n + 1) % 97}"}
        )
        for n, text in enumerate(texts)
    ]

    def embed(of: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        vectors = dice.standard_normal((len(of), 384)).astype(np.float32)
        unit: np.ndarray[Any, np.dtype[np.float32]] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    catalogue = Catalogue(
        [replace(f, inputs={}) if n % 7 == 0 else f for n, f in enumerate(functions)], embed
    )
    assert catalogue.means is not None
    reduced = policy.project(catalogue.means)
    table = Table(catalogue, Typing(TypeLattice()), reduced)
    table.learned = policy.learned_keys(reduced)
    prompts = [f"{PROMPTS[n % len(PROMPTS)]} ({n})" for n in range(compositions)]
    return [Episode(table, prompt, embed, ComposeContext()) for prompt in prompts]


def _go_on(episode: Episode) -> None:
    """Another state of a composition: what the last one had reckoned of the graph is forgotten."""
    candidates = episode.candidates()
    if candidates and len(episode.draft.nodes) < LARGE:
        episode.step(candidates[len(episode.draft.nodes) % len(candidates)])
    else:
        episode.resume([])


def decide(name: str) -> Row:
    """One choice among many Players: masks, facts and network; the peer is the network alone."""
    from conductor.composer import by_policy
    from conductor.core import WEIGHTS
    from conductor.policy import STATE, Policy

    policy = Policy.load(WEIGHTS)
    episodes, choose = _many(policy, IN_A_ROW), by_policy(policy)
    keys = episodes[0].table.learned
    assert keys is not None
    state = np.zeros(STATE, dtype=np.float32)
    each: list[float] = []
    for episode in episodes:
        choose(episode, episode.candidates())

    def decisions() -> None:
        for episode in episodes:
            began = time.perf_counter()
            choose(episode, episode.candidates())
            each.append(time.perf_counter() - began)

    def ours() -> float:
        for episode in episodes:
            _go_on(episode)
        return seconds(decisions) / IN_A_ROW

    def theirs() -> float:
        facts, learned = np.zeros((127, 32), np.float32), keys[:127]
        return (
            seconds(lambda: [policy.logits(state, learned, facts, state[:32]) for _ in range(IN_A_ROW)])
            / IN_A_ROW
        )

    how = (
        f"{MANY} Players, up to 127 of them candidates; the next decision of each of {IN_A_ROW} compositions, 0 to"
        f" {LARGE} nodes and more in the graph; what holds for a whole composition was reckoned before, and the steps"
        " to each Player are `conductor.plan`"
    )
    row = compare(name, ours, "the network alone", theirs, unit="ms", scale=1e3, how=how)
    slow = float(np.percentile(each[IN_A_ROW:], 99)) * 1e3
    return replace(row, how=f"{how}; 99th of a hundred {slow:.3f} ms")


def plan(name: str) -> Row:
    """The cheapest steps to each of many Players, which are found anew with every node that is added."""
    from conductor.core import WEIGHTS
    from conductor.policy import Policy
    from conductor.search import ALWAYS, cheapest_plans

    (episode,) = _many(Policy.load(WEIGHTS), 1)
    table, costs = episode.table, 3.0 - episode.overall.astype(np.float64)
    usable = np.full(len(costs), ALWAYS, dtype=np.uint8)

    def ours() -> float:
        return seconds(
            lambda: cheapest_plans(table.functions, table.index, episode.draft, costs, usable, bool)
        )

    how = f"{MANY} Players, all of them within reach, the search over their types alone"
    return compare(name, ours, "none", None, unit="ms", scale=1e3, how=how)


ROWS: dict[str, Callable[[str], Row]] = {
    "conductor.compose": compose,
    "conductor.decide": decide,
    "conductor.plan": plan,
}
