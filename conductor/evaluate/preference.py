"""`conductor.evaluate preference`: somebody who has a second Player for the same thing, and always wants that one.

Another maker's twin of a bundled Player is installed: the same ports, other words. Whenever the Conductor takes the
first of the two, the user puts the twin in its place before playing. After so many corrections the learner makes a
candidate from what the host's replay kept, the gate judges it, and it is asked in phrasings that nobody ever used.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from conductor.composer import by_policy, play
from conductor.context import Composition
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.episode import Table
from conductor.learning.gate import judge
from conductor.learning.seen import Seen
from conductor.learning.store import ReplayStore
from conductor.policy import Policy
from conductor.training.compositions import Gauge, Pack, bundled, wanted
from conductor.training.dataset import draw_levels, episode_of, open_world
from conductor.training.levels import Level, World
from symphony.errors import BadInput, EnvironmentLacks
from symphony.types.players import FunctionSpec

Array = np.ndarray[Any, np.dtype[np.float32]]

WEIGHTS = Path(__file__).parents[1] / "weights" / "policy.npz"
FEWEST_EXAMPLES = 15
"""A Player with fewer has too few phrasings to keep some back."""
MOST_PROMPTS = 40
"""So many prompts are tried for each correction that is wanted."""
MAKER = "another"
"""Who publishes the twins."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much is corrected, and where the parts are."""
    parser.add_argument("--corrections", type=int, nargs="+", default=[10, 30, 60])
    parser.add_argument("--twins", type=int, default=4, help="Players that get one, one user each")
    parser.add_argument("--asked", type=int, default=60, help="prompts to ask in at the end")
    parser.add_argument("--levels", type=int, default=4_000, help="of the gate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--extensions", type=Path, default=Path("extensions"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """For each twin and number of corrections what the learnt policy does. Raises EnvironmentLacks without torch."""
    if min(*options.corrections, options.twins, options.asked, options.levels) < 1:
        raise BadInput("Nothing can be learnt from nothing", remedy="give numbers from 1 on")
    try:
        from conductor.training.improve import improve, lesson_of
        from conductor.training.online import demonstrations
    except ImportError as error:
        raise EnvironmentLacks(f"Learning needs torch ({error})", remedy="run `make learn`") from error

    shipped = Policy.load(options.weights)
    embed = Memory(Encoder(options.encoder))
    shown = demonstrations(options.extensions, embed, shipped, options.seed)
    gauge, pack = Gauge(options.extensions, embed, keeps=True), Pack("canary", options.levels)
    base = gauge.success(pack, [shipped])[0]
    rows = []
    for original in _originals(options):
        user = User(options, embed, original, shipped.project)
        before = user.asked(shipped)
        for corrections in options.corrections:
            with tempfile.TemporaryDirectory() as folder:
                store = ReplayStore(Path(folder) / "replay.sqlite")
                runs = user.use(shipped, store, corrections)
                buffer = store.buffer()
                numbers = store.numbers(s.decision.state for s in lesson_of(buffer))
                store.close()
            arrays, curve = improve(shipped, buffer, numbers, shown, seed=options.seed)
            candidate = Policy(arrays, {"version": "candidate"})
            verdict = judge(gauge.success(pack, [candidate])[0], base, base, fewest=options.levels)
            rows.append(
                {
                    "twin": user.twin, "corrections": corrections, "runs": runs, "before": before,
                    "after": user.asked(candidate), "kl_divergence": curve[-1]["kl_divergence"] if curve else 0.0,
                    "promoted": verdict.is_promoted, "reason": verdict.reason,
                    "canary": round(verdict.against_shipped.mean, 4),
                    "canary_lower": round(verdict.against_shipped.lower, 4),
                }
            )  # fmt: skip
    return {"seed": options.seed, "rows": rows, "mean": _mean(rows, options.corrections)}


def _mean(rows: list[dict[str, Any]], corrections: list[int]) -> list[dict[str, Any]]:
    """Over the twins, for each number of corrections."""
    found = []
    for number in corrections:
        some = [row for row in rows if row["corrections"] == number]
        values = {
            f"{when}_{name}": round(float(np.mean([row[when][name] for row in some])), 4)
            for when in ("before", "after")
            for name in ("wanted", "others_right")
        }
        promoted = sum(row["promoted"] for row in some)
        found.append({"corrections": number, **values, "promoted": promoted, "of": len(some)})
    return found


def _originals(options: argparse.Namespace) -> list[FunctionSpec]:
    """The Players that get a twin."""
    able = [spec for spec in bundled(options.extensions)[0] if len(spec.examples) >= FEWEST_EXAMPLES]
    return random.Random(f"twins {options.seed}").sample(able, min(options.twins, len(able)))


@dataclass(frozen=True, slots=True)
class Made:
    """What a policy made of a prompt."""

    seen: list[Seen]
    players: frozenset[str]


class User:
    """Somebody with a twin of one Player, what they ask while they teach, and what they ask in the end."""

    def __init__(
        self,
        options: argparse.Namespace,
        embed: Memory,
        original: FunctionSpec,
        project: Callable[[Array], Array],
    ) -> None:
        self._embed, self.original = embed, original.player
        self._dice = random.Random(f"user {options.seed} {original.player}")
        functions, lattice = bundled(options.extensions)
        self.twin = f"{MAKER}/{original.player.partition('/')[2]}"
        functions.append(_twin_of(original, self.twin))
        keys: list[FunctionSpec] = []
        teaching: dict[str, tuple[str, ...]] = {}
        asking: dict[str, tuple[str, ...]] = {}
        for spec in functions:
            # The twins share the examples that are indexed, every second each; nobody indexes what is asked.
            rest = [e for k, e in enumerate(spec.examples) if k % 5 != 4]
            own = rest[::3] if spec.player != self.twin else rest[1::3]
            keys.append(replace(spec, examples=tuple(own)))
            teaching[spec.player], asking[spec.player] = tuple(rest[2::3]), spec.examples[4::5]
        self._opened: Table = open_world(World(keys, lattice, teaching), embed, project)
        self._known: dict[str, frozenset[str]] = {}
        most = 5 * max(options.corrections)
        self._lessons = self._levels(World(keys, lattice, teaching), most, is_about=True)
        self._beside = self._levels(World(keys, lattice, teaching), most, is_about=False)
        self._asked = self._levels(World(keys, lattice, asking), options.asked, is_about=True)
        self._others = self._levels(World(keys, lattice, asking), options.asked, is_about=False)

    def _levels(self, world: World, count: int, *, is_about: bool) -> list[Level]:
        """Levels that one of the twins serves, or such that none does; the user wants the second of the two."""
        found = []
        drawn = draw_levels(world, 12 * count, self._dice)
        for level in drawn:
            names = set(level.targets)
            if is_about != bool(names & {self.original, self.twin}) or {self.original, self.twin} <= names:
                continue
            found.append(Level(level.prompt, {self._liked(p): before for p, before in level.targets.items()}))
        return found[:count]

    def _liked(self, player: str) -> str:
        return self.twin if player == self.original else player

    def made(self, policy: Policy, level: Level) -> Made:
        """What a policy makes of a prompt on this user's machine."""
        table = self._opened
        assert table.reduced is not None
        table.learned = policy.learned_keys(table.reduced)
        seen: list[Seen] = []
        episode = episode_of(table, level, self._embed)
        play(episode, by_policy(policy, seen.append))
        return Made(seen, frozenset(node.spec.player for node in episode.draft.nodes))

    def use(self, policy: Policy, store: ReplayStore, corrections: int) -> int:
        """Plays until so many Melodies were corrected; answers after how many runs. Of what the Conductor made of
        prompts about the twins only that is played which is right but for the choice between them.
        """
        dice, corrected, number = random.Random(f"{self.original} {corrections}"), 0, 0
        for _ in range(MOST_PROMPTS * corrections):
            if corrected == corrections:
                break
            is_about = dice.random() < 0.5
            level = dice.choice(self._lessons if is_about else self._beside)
            made, right = self.made(policy, level), self._right(level)
            left = frozenset(map(self._liked, made.players))
            if is_about and left != right:
                continue
            composition = Composition(True, _melody(made.players), seen=made.seen, policy=policy.version)
            name = store.keep(level.prompt, composition)
            store.begin(f"run-{number}", name, _melody(left))
            store.end(f"run-{number}", "succeeded" if left == right else "failed", 1.0, 0.9)
            corrected += left != made.players
            number += 1
        return number

    def _right(self, level: Level) -> frozenset[str]:
        if level.prompt not in self._known:
            found = wanted(self._opened, level, self._embed) or []
            self._known[level.prompt] = frozenset(self._opened.functions[f].player for f in found)
        return self._known[level.prompt]

    def asked(self, policy: Policy) -> dict[str, float]:
        """In phrasings that nobody used before: how often only the twin plays where one of the two does, and how often
        prompts about other things get just the right Players.
        """
        pairs = [self.made(policy, level).players & {self.original, self.twin} for level in self._asked]
        liked = [pair == {self.twin} for pair in pairs if pair]
        right = [self.made(policy, level).players == self._right(level) for level in self._others]
        return {
            "wanted": round(float(np.mean(liked)), 4),
            "others_right": round(float(np.mean(right)), 4),
            "asked": len(liked),
        }


def _twin_of(original: FunctionSpec, player: str) -> FunctionSpec:
    """The same thing by another maker, who says it the other way round."""
    first, _, rest = original.description.partition(",")
    return replace(
        original, player=player, description=f"{rest.strip()}, {first}" if rest else f"{first} as well"
    )


def _melody(players: Iterable[str]) -> dict[str, Any]:
    return {"nodes": [{"player": player} for player in sorted(players)]}
