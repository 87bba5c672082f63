"""Fixed packs of compositions: what the gate measures a policy of the host by, and what audits the gate. No torch."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import conductor
from conductor.episode import Table
from conductor.learning.gate import FEWEST_LEVELS
from conductor.policy import Policy, expected_shapes
from conductor.retrieval import Embed
from conductor.rules import STOP
from conductor.training.dataset import draw_levels, episode_of, open_world, right_actions
from conductor.training.levels import Level, World, make_world
from conductor.training.library import invented_library
from conductor.training.walks import Walks
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

Array = np.ndarray[Any, np.dtype[np.float32]]

VERSION = 1
"""Part of every draw and of the names of kept results."""
LEVELS_A_WORLD = 200
Opened = tuple[Table, Iterable[tuple[Walks, list[int] | None]]]
"""A world's table, and its levels with the Players that are right in each."""
FIRST_INVENTED = 2_000_000
"""Seeds of invented libraries from here on: training draws its own below."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Levels of one name: about half over the bundled Players, in phrasings that no training words or indexes, half
    over invented libraries that no training meets.
    """

    name: str
    size: int = FEWEST_LEVELS
    beside: Pack | None = None
    """A pack whose prompts this one does not have."""

    def worlds(
        self, functions: Sequence[FunctionSpec], lattice: TypeLattice
    ) -> Iterator[tuple[World, list[Level]]]:
        """The worlds with their levels, the same for the same manifests."""
        dice = random.Random(f"{VERSION} {self.name}")
        left, number, met = self.size, 0, set[str]()
        if self.beside is not None:
            met = {level.prompt for _, levels in self.beside.worlds(functions, lattice) for level in levels}
        while left > 0:
            if number % 2:
                seed = FIRST_INVENTED + int(
                    hashlib.sha256(f"{self.name} {number}".encode()).hexdigest()[:8], 16
                )
                library, types = invented_library(seed, things=5 + number % 5)
                world = make_world(library, types, dice, drop=0.0)
            else:
                world = make_world(functions, lattice, dice, drop=0.15 * (number % 3), phrases_from="held")
            drawn = draw_levels(world, min(left, LEVELS_A_WORLD), dice)
            fresh = [level for level in drawn if level.prompt not in met]
            met.update(level.prompt for level in fresh)
            left, number = left - len(fresh), number + 1
            yield world, fresh


CANARY = Pack("canary")
AUDIT = Pack("audit", beside=CANARY)
TRIAL = Pack("trial", 1_000, beside=CANARY)
"""What a learner may look at as often as it likes: none of its prompts is one of the gate's."""
SHARES = (1.0, 0.5, 0.25)
"""How far a candidate may go on the way from the policy in use to what the lesson brought."""
BEARABLE = -0.003
"""The mean difference on the trial's levels from which on a step is taken: a third of what the gate must exclude."""


def bundled(folder: Path) -> tuple[list[FunctionSpec], TypeLattice]:
    """The Players of the extensions in a folder, and their types."""
    functions: list[FunctionSpec] = []
    lattice = TypeLattice()
    for file in sorted(folder.glob("*/Symphony.toml")):
        manifest = load_manifest(file)
        functions += manifest.functions
        lattice.declare(manifest.types)
    return functions, lattice


def digest_of(policy: Policy) -> str:
    """Names a policy by its numbers."""
    hashed = hashlib.sha256(b"".join(policy.array(name).tobytes() for name in sorted(expected_shapes())))
    return hashed.hexdigest()[:16]


class Gauge:
    """Plays packs over the Players of a folder. What was once measured of a policy is kept in `cache`.

    With `keeps` the states of all levels stay in memory (some 40 KB a level), so that another policy, which goes
    nearly the same ways, costs little more than its networks.
    """

    def __init__(
        self, extensions: Path, embed: Embed, cache: Path | None = None, *, keeps: bool = False
    ) -> None:
        self._keeps = keeps
        self._kept: dict[Pack, list[Opened]] = {}
        self._functions, self._lattice = bundled(extensions)
        self._embed, self._cache = embed, cache
        # What was measured holds for these Players and for this code of the masks.
        said = "\n".join(map(repr, self._functions))
        hashed = hashlib.sha256(f"{VERSION}\n{said}".encode())
        for source in sorted(Path(conductor.__file__).parent.glob("*.py")):
            hashed.update(source.read_bytes())
        self._digest = hashed.hexdigest()[:16]

    def success(self, pack: Pack, policies: Sequence[Policy]) -> list[Array]:
        """Whether each policy adds just the right Players to each level, `[levels]` of 0 and 1 for each policy.

        Policies must share their directions, as those do that were learnt from one another.
        """
        files = [self._file(pack, policy) for policy in policies]
        found = [_measured(file, pack.size) for file in files]
        missing = [n for n, results in enumerate(found) if results is None]
        if missing:
            played = self._play(pack, [policies[n] for n in missing])
            for n, results in zip(missing, played, strict=True):
                found[n] = results
                if (file := files[n]) is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    np.save(file, results)
        return [results for results in found if results is not None]

    def _file(self, pack: Pack, policy: Policy) -> Path | None:
        if self._cache is None:
            return None
        return self._cache / f"{pack.name}-{pack.size}-{self._digest}-{digest_of(policy)}.npy"

    def _play(self, pack: Pack, policies: Sequence[Policy]) -> list[Array]:
        results: list[list[float]] = [[] for _ in policies]
        for table, levels in self._opened(pack, policies[0]):
            assert table.reduced is not None
            keys = [policy.learned_keys(table.reduced) for policy in policies]
            for walks, goal in levels:
                for policy, learned, found in zip(policies, keys, results, strict=True):
                    found.append(float(walks.played(policy, learned) == goal))
        return [np.array(found[: pack.size], dtype=np.float32) for found in results]

    def _opened(self, pack: Pack, policy: Policy) -> Iterator[Opened]:
        """The worlds of a pack with their levels; those that are kept, if all were."""
        if pack in self._kept:
            yield from self._kept[pack]
            return
        goals = self._goals(pack)
        known = json.loads(goals.read_text()) if goals is not None and goals.exists() else {}
        opened: list[Opened] = []
        for world, levels in pack.worlds(self._functions, self._lattice):
            table = open_world(world, self._embed, policy.project)
            for level in levels:
                if level.prompt not in known:
                    known[level.prompt] = wanted(table, level, self._embed)
            walks = ((Walks(table, level, self._embed, policy), known[level.prompt]) for level in levels)
            if self._keeps:
                opened.append((table, list(walks)))
                yield opened[-1]
            else:
                yield table, walks
        if goals is not None:
            goals.parent.mkdir(parents=True, exist_ok=True)
            goals.write_text(json.dumps(known))
        if self._keeps:
            self._kept[pack] = opened

    def _goals(self, pack: Pack) -> Path | None:
        return None if self._cache is None else self._cache / f"{pack.name}-{pack.size}-{self._digest}.json"


def farthest(gauge: Gauge, pack: Pack, incumbent: Policy, steps: Sequence[Policy]) -> int:
    """The place of the first step that loses nothing to speak of on a pack, the last one when all do.

    A policy that has gone too far is refused by the gate, and a refused lesson teaches nothing: so the learner tries
    its step on levels of its own before it offers it. `steps` go from the longest to the shortest.
    """
    base, *found = gauge.success(pack, [incumbent, *steps])
    for place, results in enumerate(found):
        if float((results - base).mean()) >= BEARABLE:
            return place
    return len(steps) - 1


def _measured(file: Path | None, size: int) -> Array | None:
    if file is None or not file.exists():
        return None
    try:
        results: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return results if results.shape == (size,) else None


def wanted(table: Table, level: Level, embed: Embed) -> list[int] | None:
    """The Players that the right choices give, sorted; None when the masks rule the level out."""
    episode = episode_of(table, level, embed)
    while True:
        right = right_actions(episode, level, episode.candidates())
        if right is None:
            return None
        if STOP in right:
            return sorted({node.function for node in episode.draft.nodes})
        episode.step(min(right))
