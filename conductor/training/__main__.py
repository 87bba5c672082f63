"""Trains and writes the shipped weights: `python -m conductor.training --extensions DIR --encoder DIR --out FILE`."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conductor.composer import by_chance, by_cosine, by_policy
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.policy import BASIS, FORMAT, Policy, save
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
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

Array = np.ndarray[Any, np.dtype[np.float32]]


WORLDS = (28, 14)
"""How many worlds of bundled Players, and of invented ones."""


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
    worlds: list[World], drawn: list[list[Any]], embed: Memory, project: Any, dice: random.Random
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
    functions: list[FunctionSpec], lattice: TypeLattice, embed: Memory, project: Any, dice: random.Random
) -> tuple[list[Decision], list[Played]]:
    """Worlds that training never saw: bundled Players in held-out phrasings twice, and one invented library."""
    worlds = [make_world(functions, lattice, dice, drop=0.0, phrases_from="held") for _ in range(2)]
    library, types = invented_library(999_331, things=9)
    worlds.append(make_world(library, types, dice, drop=0.0))
    return write_down(worlds, [draw_levels(world, 150, dice) for world in worlds], embed, project, dice)


def calibrate(
    worlds: Sequence[World], played: Sequence[Played], bundled: int, embed: Memory, dice: random.Random
) -> tuple[Array, float, float, int]:
    """The refusal's weights and bias, its balanced accuracy on what it was fitted to, and on how many texts."""
    rows: list[Array] = []
    marks: list[float] = []
    for place in range(0, bundled, 3):
        other = worlds[bundled + (place // 3) % (len(worlds) - bundled)]
        strangers = [p for phrases in other.phrases.values() for p in phrases]
        strangers = dice.sample(strangers, min(50, len(strangers)))
        more = calibration.facts_of_world(worlds[place], played[place].table, embed, dice, strangers)
        rows, marks = rows + more[0], marks + more[1]
    return *calibration.fit(rows, marks), len(marks)


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
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=Path("conductor/weights/policy.npz"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--levels", type=int, default=150, help="levels in each world")
    parser.add_argument("--epochs", type=int, default=10)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Reads the manifests, plays levels, clones, calibrates, measures, writes."""
    chosen = parsed(arguments)
    out: Path = chosen.out / "policy.npz" if chosen.out.is_dir() else chosen.out
    begin = time.monotonic()
    torch.set_num_threads(2)
    torch.manual_seed(chosen.seed)
    dice = random.Random(chosen.seed)
    functions, lattice, manifests = read_manifests(chosen.extensions)
    embed = Memory(Encoder(chosen.encoder))
    worlds, drawn = make_worlds(functions, lattice, dice, WORLDS, chosen.levels)
    embed(
        [text for world in worlds for spec in world.functions for text in (spec.description, *spec.examples)]
    )
    embed([level.prompt for levels in drawn for level in levels])
    basis, centre = basis_of(embed.all())

    def project(vectors: Array) -> Array:
        return np.asarray((vectors - centre) @ basis, dtype=np.float32)

    decisions, played = write_down(worlds, drawn, embed, project, dice)
    held, held_played = held_out(functions, lattice, embed, project, dice)
    print(f"{len(decisions)} decisions, {len(held)} held, after {time.monotonic() - begin:.0f} s", flush=True)
    networks = Networks()
    curve = clone(networks, decisions, held, epochs=chosen.epochs, seed=chosen.seed)
    weight, bias, balanced, texts = calibrate(worlds, played, WORLDS[0], embed, dice)
    arrays = networks.arrays() | {"basis": basis, "centre": centre}
    arrays |= {"refusal.weight": weight, "refusal.bias": np.array([bias], dtype=np.float32)}
    policy = Policy(arrays, {"version": "in training"})
    for opened in [*played, *held_played]:
        if opened.table.reduced is not None:
            opened.table.learned = policy.learned_keys(opened.table.reduced)
    value_loss = teach_value(networks, played, embed, policy, project, chosen.seed)
    arrays |= {name: array for name, array in networks.arrays().items() if name.startswith("value.")}
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    facts = {
        "format": FORMAT,
        "version": f"bc-{digest[:10]}",
        "seed": chosen.seed,
        "manifests_sha256": manifests,
        "levels_sha256": digest_of(played),
        "levels": sum(len(w.levels) for w in played),
        "decisions": len(decisions),
        "epochs": chosen.epochs,
        "environment_steps": len(decisions) * chosen.epochs,
        "curve": curve,
        "value_loss": round(value_loss, 4),
        "refusal_balanced": round(balanced, 4),
        "refusal_texts": texts,
        "held_bundled": measure(held_played[:2], embed, policy, chosen.seed, 150),
        "held_invented": measure(held_played[2:], embed, policy, chosen.seed, 150),
    }
    save(out, arrays, facts)
    print({k: v for k, v in facts.items() if k != "curve"}, f"{time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
