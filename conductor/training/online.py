"""The learner: learns from the replay of a home, lets the gate play, and hands back weights.

`python -m conductor.training.online` is a child of the host at the lowest priority. It prints JSON lines, `{"phase"}`
on its way and at last `{"answer"}`. It changes nothing but its own cache and the new weights; whether they decide is
the host's word.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.learning.gate import audit, judge
from conductor.learning.store import ReplayStore
from conductor.learning.versions import learnt_from
from conductor.policy import FORMAT, Policy, expected_shapes, save
from conductor.training.compositions import (
    AUDIT,
    CANARY,
    SHARES,
    TRIAL,
    Gauge,
    Pack,
    bundled,
    farthest,
)
from conductor.training.dataset import Decision, decisions_of, draw_levels, open_world
from conductor.training.levels import make_world
from conductor.training.library import invented_library
from symphony.errors import BadInput, EnvironmentLacks, SymphonyError

SHOWN = (4, 5, 60)
"""Demonstrations: worlds of bundled Players, invented ones, and levels in each."""


def step_back(*, is_eager: bool = False) -> None:
    """Ends with the host, and takes the lowest priority of processor and disk unless it is eager."""
    if not is_eager:
        os.nice(19)
        if hasattr(psutil, "IOPRIO_CLASS_IDLE"):
            psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    threading.Thread(target=_end_with_host, daemon=True).start()


def _end_with_host() -> None:
    """The host holds the other end of standard input; nobody writes to it."""
    sys.stdin.read()
    os._exit(1)


def say(phase: str) -> None:
    """Tells the host what is done now."""
    print(json.dumps({"phase": phase}), flush=True)


def demonstrations(extensions: Path, embed: Memory, policy: Policy, seed: int) -> list[Decision]:
    """What the teacher would do: states with right actions, from levels that no pack of the gate holds."""
    functions, lattice = bundled(extensions)
    dice = random.Random(f"shown {seed}")
    worlds = [
        make_world(functions, lattice, dice, drop=dice.choice((0.0, 0.15, 0.35))) for _ in range(SHOWN[0])
    ]
    for number in range(SHOWN[1]):
        library, types = invented_library(dice.randrange(1 << 20), things=4 + number % 6)
        worlds.append(make_world(library, types, dice, drop=0.1))
    found: list[Decision] = []
    for world in worlds:
        table = open_world(world, embed, policy.project)
        for level in draw_levels(world, SHOWN[2], dice):
            found += decisions_of(table, level, embed, policy.project, dice)
    return found


def learn(options: argparse.Namespace) -> dict[str, Any]:
    """One lesson: `{"version", "curve", "verdict", "audit", "samples"}`; the weights lie in the folder then."""
    try:
        from conductor.training.improve import between, improve, lesson_of
    except ImportError as error:
        raise EnvironmentLacks(f"Learning needs torch ({error})", remedy="run `make learn`") from error
    incumbent, shipped = Policy.load(options.incumbent), Policy.load(options.shipped)
    cache: Path = options.folder / "cache"
    say("reading what was kept")
    store = ReplayStore(options.folder / "replay.sqlite")
    try:
        # What older weights saw of a composition may mean another thing by now.
        buffer = store.buffer(lambda v: v == shipped.version or v.startswith(learnt_from(shipped.version)))
        numbers = store.numbers(s.decision.state for s in lesson_of(buffer))
    finally:
        store.close()
    if not numbers:
        raise BadInput(
            "Nothing that is kept can be learnt from", remedy="play melodies that the policy composes"
        )
    embed = Memory(Encoder(options.encoder))
    embed.load(cache / "texts.npz")
    say("looking at demonstrations")
    shown = demonstrations(options.extensions, embed, incumbent, options.seed)
    say("learning")
    arrays, curve = improve(incumbent, buffer, numbers, shown, seed=options.seed)
    if not curve:
        raise BadInput(
            "Every step from what is kept led too far from the policy in use, so nothing was learnt",
            remedy="it is tried again when more runs have ended",
        )
    gauge = Gauge(options.extensions, embed, cache)
    say("trying how far to go")
    ways = [between(incumbent, arrays, share) for share in SHARES]
    trial = TRIAL if options.levels is None else Pack(TRIAL.name, options.levels)
    arrays = ways[farthest(gauge, trial, incumbent, [Policy(way, {}) for way in ways])]
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    version = f"{learnt_from(shipped.version)}{digest[:12]}"
    facts = {
        "format": FORMAT, "version": version, "parent": incumbent.version, "shipped": shipped.version,
        "seed": options.seed, "samples": len(numbers), "curve": curve,
    }  # fmt: skip
    file = options.folder / "policies" / f"{version}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    save(file, {name: arrays[name] for name in expected_shapes()}, facts)
    # What is measured is what will be read, rounded to 16 bits.
    answer = gate(Policy.load(file), incumbent, shipped, options, gauge)
    embed.save(cache / "texts.npz")
    return {"version": version, "samples": len(numbers), "curve": curve, **answer}


def gate(
    candidate: Policy,
    incumbent: Policy,
    shipped: Policy,
    options: argparse.Namespace,
    gauge: Gauge,
) -> dict[str, Any]:
    """What the canary pack says, and then, of what would be promoted, the pack that the gate never sees."""
    levels = CANARY if options.levels is None else Pack(CANARY.name, options.levels)
    say(f"playing the gate's {levels.size:,} levels")
    verdict = judge(*gauge.success(levels, [candidate, incumbent, shipped]))
    trouble = None
    if verdict.is_promoted:
        say(f"playing the audit's {AUDIT.size:,} levels")
        trouble = audit(*gauge.success(AUDIT, [candidate, shipped]))
    return {"verdict": asdict(verdict), "audit": trouble}


def main(arguments: list[str] | None = None) -> int:
    """Learns, prints the answer; an error is one line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the learning folder of a home")
    parser.add_argument("--incumbent", type=Path, required=True, help="weights in use")
    parser.add_argument("--shipped", type=Path, required=True, help="weights that came with Symphony")
    parser.add_argument("--extensions", type=Path, default=Path("extensions"))
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument(
        "--levels", type=int, help="fewer levels of the gate, for a try: it promotes nothing then"
    )
    parser.add_argument("--eager", action="store_true", help="keep the priority of who starts it, for a try")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    step_back(is_eager=options.eager)
    try:
        answer = learn(options)
    except (SymphonyError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SymphonyError) else 1
    print(json.dumps({"answer": answer}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
