"""Trains and writes the shipped weights: `python -m conductor.training --extensions DIR --encoder DIR --out FILE`."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conductor.composer import by_chance, by_cosine, by_policy
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.episode import Table
from conductor.past import Past, Recollection, Request, read_requests
from conductor.past.fitting import fit
from conductor.policy import BASIS, FORMAT, Policy, expected_shapes, save
from conductor.rules import by_rules
from conductor.training import calibration
from conductor.training.clone import Networks, clone, fit_value
from conductor.training.dataset import (
    Decision,
    Played,
    decisions_of,
    digest_of,
    draw_levels,
    episode_of,
    open_world,
    outcome,
)
from conductor.training.levels import World, make_world
from conductor.training.library import invented_library
from conductor.training.requests import folds, levels_of, parted
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

Array = np.ndarray[Any, np.dtype[np.float32]]


WORLDS = (28, 14)
"""How many worlds of bundled Players, and of invented ones."""
FOLDS = 5
"""The refusal learns from requests by what the others teach: so many times a part of them is left out."""


def read_manifests(folder: Path) -> tuple[list[FunctionSpec], TypeLattice, str]:
    """The Players of all extensions in a folder, their types, and a digest of the manifests."""
    functions: list[FunctionSpec] = []
    lattice, hashed = TypeLattice(), hashlib.sha256()
    for file in sorted(folder.glob("*/Symphony.toml")):
        manifest = load_manifest(file)
        functions += manifest.functions
        lattice.declare(manifest.types)
        hashed.update(file.read_bytes())
    return functions, lattice, hashed.hexdigest()


def make_worlds(
    functions: list[FunctionSpec],
    lattice: TypeLattice,
    dice: random.Random,
    counts: tuple[int, int],
    levels: int,
) -> tuple[list[World], list[list[Any]]]:
    """Worlds of bundled and of invented Players, with their levels."""
    worlds = [
        make_world(functions, lattice, dice, drop=dice.choice((0.0, 0.15, 0.35))) for _ in range(counts[0])
    ]
    for number in range(counts[1]):
        library, types = invented_library(dice.randrange(1 << 30), things=4 + number % 6)
        worlds.append(make_world(library, types, dice, drop=0.1))
    return worlds, [list(draw_levels(world, levels, dice)) for world in worlds]


def write_down(
    worlds: list[World],
    drawn: list[list[Any]],
    embed: Memory,
    project: Any,
    dice: random.Random,
) -> tuple[list[Decision], list[Played]]:
    """Every decision of every level."""
    decisions: list[Decision] = []
    played = []
    for world, levels in zip(worlds, drawn, strict=True):
        table = open_world(world, embed, project)
        kept = []
        for level in levels:
            found = decisions_of(table, level, embed, project, dice)
            decisions += found
            kept += [level] if found else []
        played.append(Played(table, kept))
    return decisions, played


def basis_of(vectors: Array) -> tuple[Array, Array]:
    """The 128 directions in which the texts differ most, and their middle (principal components)."""
    centre = vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(vectors - centre, full_matrices=False)
    spread = np.sqrt((((vectors - centre) @ directions[:BASIS].T) ** 2).sum(axis=1).mean())
    # Scaled so that a reduced vector has about length 4: an input that the networks can hear.
    return (4.0 / spread * directions[:BASIS].T).astype(np.float32), centre.astype(np.float32)


def measure(
    played: Sequence[Played], embed: Memory, policy: Policy, seed: int, most: int
) -> dict[str, dict[str, float]]:
    """How often each chooser ends with just the right Players, and the F1 of the Players."""
    arms = {"policy": by_policy(policy), "planner": by_rules, "cosine": by_cosine, "uniform": by_chance(seed)}
    found: dict[str, dict[str, float]] = {}
    for name, chooser in arms.items():
        results = [
            outcome(world.table, level, embed, chooser) for world in played for level in world.levels[:most]
        ]
        found[name] = {
            "right": round(float(np.mean([r[0] for r in results])), 4),
            "f1": round(float(np.mean([r[1] for r in results])), 4),
            "levels": len(results),
        }
    return found


def held_out(
    functions: list[FunctionSpec],
    lattice: TypeLattice,
    embed: Memory,
    project: Any,
    dice: random.Random,
    kept_back: Sequence[Request],
    recollection: Recollection,
) -> tuple[list[Decision], list[Played]]:
    """Worlds that training never saw: bundled Players in held-out phrasings twice, one invented library, and the
    bundled Players with requests that `recollection` was not fitted on.
    """
    worlds = [make_world(functions, lattice, dice, drop=0.0, phrases_from="held") for _ in range(2)]
    library, types = invented_library(999_331, things=9)
    worlds.append(make_world(library, types, dice, drop=0.0))
    drawn = [draw_levels(world, 150, dice) for world in worlds]
    worlds.append(make_world(functions, lattice, dice, drop=0.0, phrases_from="held"))
    drawn.append(levels_of(kept_back, worlds[-1]))
    decisions, played = write_down(worlds, drawn, embed, project, dice)
    played[-1].table.past = Past(recollection, (), played[-1].table.functions, embed)
    return decisions, played


def calibrate(
    worlds: Sequence[World],
    table_of: Callable[[int], Table],
    embed: Memory,
    dice: random.Random,
    requests: Sequence[Request],
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The refusal's weights and bias, and what is to be told of them: its balanced accuracy on what it was fitted to.

    `table_of` opens the world of a place.
    """
    rows: list[Array] = []
    marks: list[float] = []
    for place in range(0, WORLDS[0], 3):
        other = worlds[WORLDS[0] + (place // 3) % WORLDS[1]]
        strangers = [p for phrases in other.phrases.values() for p in phrases]
        strangers = dice.sample(strangers, min(50, len(strangers)))
        more = calibration.facts_of_world(worlds[place], table_of(place), embed, dice, strangers)
        rows, marks = rows + more[0], marks + more[1]
    for number, (asked, others) in enumerate(folds(requests, FOLDS)):
        recollection = fit(others, embed).opened()
        for place in range(number, WORLDS[0], FOLDS):
            table = table_of(place)
            table.past = Past(recollection, (), table.functions, embed)
            more = calibration.facts_of_requests(dice.sample(asked, len(asked) // 2), table, embed, dice)
            rows, marks = rows + more[0], marks + more[1]
    weight, bias, balanced = calibration.fit(rows, marks)
    arrays = {"refusal.weight": weight, "refusal.bias": np.array([bias], dtype=np.float32)}
    return arrays, {"refusal_balanced": round(balanced, 4), "refusal_texts": len(marks)}


def version_of(arrays: dict[str, Array]) -> str:
    """Names weights by their numbers."""
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    return f"bc-{digest[:10]}"


def refit(chosen: argparse.Namespace, out: Path) -> None:
    """Fits the refusal of these weights anew, over the manifests and requests as they are; the networks stay."""
    policy = Policy.load(out)
    dice = random.Random(chosen.seed)
    functions, lattice, manifests = read_manifests(chosen.extensions)
    embed = Memory(Encoder(chosen.encoder))
    requests, _ = parted(read_requests(chosen.requests))
    worlds, _ = make_worlds(functions, lattice, dice, WORLDS, 0)
    fitted, told = calibrate(
        worlds, lambda place: open_world(worlds[place], embed, None), embed, dice, requests
    )
    arrays = {name: policy.array(name) for name in expected_shapes()} | fitted
    facts = policy.facts | told
    facts |= {"networks": policy.facts.get("networks", policy.version), "version": version_of(arrays)}
    facts |= {"refusal_manifests_sha256": manifests, "requests_sha256": sha256_of(chosen.requests)}
    save(out, arrays, facts)
    print(told)


def sha256_of(file: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def teach_value(
    networks: Networks, played: Sequence[Played], embed: Memory, policy: Policy, project: Any, seed: int
) -> float:
    """Fits the value network to how the policy's own compositions end."""
    states, returns = [], []
    for world in played:
        for level in world.levels[:20]:
            success, _ = outcome(world.table, level, embed, by_policy(policy))
            states.append(episode_of(world.table, level, embed).state(project))
            returns.append(float(success))
    return fit_value(networks, np.stack(states), np.array(returns, dtype=np.float32), seed=seed)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extensions", type=Path, default=Path("extensions"))
    parser.add_argument("--requests", type=Path, default=Path("extensions/requests.jsonl"))
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=Path("conductor/weights/policy.npz"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--levels", type=int, default=150, help="levels in each world")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--refusal-only", action="store_true", help="fit the refusal anew; the networks stay those of --out"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Reads the manifests, plays levels, clones, calibrates, measures, writes."""
    chosen = parsed(arguments)
    out: Path = chosen.out / "policy.npz" if chosen.out.is_dir() else chosen.out
    begin = time.monotonic()
    if chosen.refusal_only:
        refit(chosen, out)
        return 0
    torch.set_num_threads(2)
    torch.manual_seed(chosen.seed)
    dice = random.Random(chosen.seed)
    functions, lattice, manifests = read_manifests(chosen.extensions)
    embed = Memory(Encoder(chosen.encoder))
    requests, kept_back = parted(read_requests(chosen.requests))
    worlds, drawn = make_worlds(functions, lattice, dice, WORLDS, chosen.levels)
    embed(
        [text for world in worlds for spec in world.functions for text in (spec.description, *spec.examples)]
    )
    embed([level.prompt for levels in drawn for level in levels])
    basis, centre = basis_of(embed.all())

    def project(vectors: Array) -> Array:
        return np.asarray((vectors - centre) @ basis, dtype=np.float32)

    decisions, played = write_down(worlds, drawn, embed, project, dice)
    held, held_played = held_out(
        functions, lattice, embed, project, dice, kept_back, fit(requests, embed).opened()
    )
    print(f"{len(decisions)} decisions, {len(held)} held, after {time.monotonic() - begin:.0f} s", flush=True)
    networks = Networks()
    curve = clone(networks, decisions, held, epochs=chosen.epochs, seed=chosen.seed)
    fitted, told = calibrate(worlds, lambda place: played[place].table, embed, dice, requests)
    arrays = networks.arrays() | {"basis": basis, "centre": centre} | fitted
    policy = Policy(arrays, {"version": "in training"})
    for opened in [*played, *held_played]:
        if opened.table.reduced is not None:
            opened.table.learned = policy.learned_keys(opened.table.reduced)
    value_loss = teach_value(networks, played, embed, policy, project, chosen.seed)
    arrays |= {name: array for name, array in networks.arrays().items() if name.startswith("value.")}
    facts = told | {
        "format": FORMAT,
        "version": version_of(arrays),
        "seed": chosen.seed,
        "manifests_sha256": manifests,
        "levels_sha256": digest_of(played),
        "requests_sha256": sha256_of(chosen.requests),
        "levels": sum(len(w.levels) for w in played),
        "decisions": len(decisions),
        "epochs": chosen.epochs,
        "environment_steps": len(decisions) * chosen.epochs,
        "curve": curve,
        "value_loss": round(value_loss, 4),
        "held_bundled": measure(held_played[:2], embed, policy, chosen.seed, 150),
        "held_invented": measure(held_played[2:3], embed, policy, chosen.seed, 150),
        "held_requests": measure(held_played[3:], embed, policy, chosen.seed, 150),
    }
    save(out, arrays, facts)
    print({k: v for k, v in facts.items() if k != "curve"}, f"{time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
