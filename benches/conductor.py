"""The Conductor beside the cost of the embedding alone, and of the simplest retrieval."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benches.measure import Row, compare, seconds
from symphony.app.catalogue import build_catalogue
from symphony.app.paths import encoder_files
from symphony.kit.bundled import bundled_folder
from symphony.stage.manifest import load_manifest

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


ROWS: dict[str, Callable[[str], Row]] = {"conductor.compose": compose}
