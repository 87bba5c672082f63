"""`conductor.evaluate quest`: levels of Function Quest, played by the policies and by plain players."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conductor.evaluate.lines import write_lines
from symphony.errors import BadInput

WEIGHTS = Path(__file__).parents[1] / "weights"
ENCODER = Path("build/encoder")
MOST_LEVELS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which levels, and where the plans go."""
    levels = parser.add_mutually_exclusive_group(required=True)
    levels.add_argument("--seeds", help="levels of the generator: A-B, both ends included")
    levels.add_argument("--levels", type=Path, help="levels, one JSON object a line")
    parser.add_argument("--out", type=Path, required=True, help="where the plans are written")
    parser.add_argument("--deep", action="store_true", help="deeper levels than any that is trained on")
    parser.add_argument("--seed", type=int, default=0, help="of the agents that choose by chance")
    parser.add_argument("--encoder", type=Path, default=ENCODER)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a folder with quest.npz")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Plays; answers with a row for each agent. Raises BadInput for levels that cannot be read."""
    from conductor.encoder.memory import Memory
    from conductor.encoder.runtime import Encoder
    from conductor.policy import Policy
    from conductor.quest.agents import agents, table_for
    from conductor.quest.generator import DEEP, PLAIN, generate
    from conductor.quest.level import Level, read_levels
    from conductor.quest.measure import lines_of, play_all, summary

    def levels() -> Iterator[Level]:
        if options.levels is not None:
            yield from read_levels(options.levels)
            return
        first, last = _range(options.seeds)
        for seed in range(first, last + 1):
            yield generate(seed, shape=DEEP if options.deep else PLAIN)

    policies = {
        name: Policy.load(options.weights / file)
        for name, file in (("policy", "quest.npz"), ("behaviour_cloning", "quest_cloned.npz"))
    }
    embed = Memory(Encoder(options.encoder))
    tables = (table_for(level, embed, policies["policy"]) for level in levels())
    played, results = play_all(agents(policies, options.seed), tables)
    if not played:
        raise BadInput(f"{options.levels} holds no level", remedy="give one level a line")
    write_lines(options.out, lines_of(played, results))
    return summary(results, options.seed)


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if not 0 <= last - first < MOST_LEVELS:
        raise BadInput(f"--seeds is {text}", remedy="give the first and the last seed, such as 1-200")
    return first, last
