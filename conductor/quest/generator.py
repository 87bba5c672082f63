"""Draws levels: libraries of real functions in several makes, a goal some steps away, distractors, a budget."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from conductor.quest.level import Function, Level, Truth
from conductor.quest.problem import Problem
from conductor.quest.search import a_star

VERSION = 1
"""Part of every draw: a changed generator makes other levels, and packs name the version they were made with."""

LIBRARY: dict[str, Any] = tomllib.loads(Path(__file__).with_name("library.toml").read_text(encoding="utf-8"))
FAMILIES: tuple[str, ...] = tuple(LIBRARY["families"])
TRAITS: tuple[str, ...] = tuple(t["name"] for t in LIBRARY["traits"])

BRITTLE = 3
"""How many makes really fail often, in each family. Which ones is nowhere declared: only play shows it."""

MOST_TRIES = 40

_WISHES = (
    "I have {have} and need {goal}",
    "from {have}, make {goal}",
    "get me {goal}; the input is {have}",
    "please turn {have} into {goal}",
    "{goal}, starting with {have}",
    "we want {goal} out of {have}",
    "can you produce {goal} from {have}?",
    "given {have}: {goal}",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large levels are drawn: `goals` and `makes` are inclusive ranges, `depth` the least steps to a goal."""

    goals: tuple[int, int] = (1, 3)
    depth: int = 3
    makes: tuple[int, int] = (1, 4)
    families: tuple[int, int] = (1, 2)
    distractors: tuple[int, int] = (4, 12)
    slack: tuple[float, float] = (1.0, 1.3)
    search: int = 2_000
    """Levels that A* does not solve within so many states are left out: their par would be unknown."""


PLAIN = Shape()
DEEP = Shape(goals=(3, 4), depth=4, makes=(1, 3), families=(2, 2), search=6_000)
"""Deeper than anything that is trained on."""
SMALL = Shape(goals=(1, 3), makes=(1, 3), search=250)
"""What is trained on: the same fields and makes, but quick for the teacher."""


@lru_cache(maxsize=1)
def truths() -> dict[tuple[str, str], Truth]:
    """What each make is really like in each family, as factor on its latency and probability of failure."""
    dice = random.Random(f"truth {VERSION}")
    found = {}
    for family in FAMILIES:
        brittle = dice.sample(TRAITS[1:], BRITTLE)
        for trait in TRAITS:
            fail = dice.uniform(0.12, 0.3) if trait in brittle else dice.uniform(0.002, 0.02)
            slower = dice.uniform(1.3, 2.2) if trait in brittle else dice.uniform(0.8, 1.25)
            found[family, trait] = Truth(slower, fail)
    return found


class _Draft:
    """The functions of a level as they are drawn."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.functions: list[Function] = []
        self.truth: dict[str, Truth] = {}

    def add(self, family: str, template: Sequence[Any], trait: dict[str, Any], locked: str = "") -> None:
        """One make of a function; `locked` is an input that nobody has."""
        dice = self.dice
        name, takes, gives, description = template
        # The effort of a function is its own in every level; each make varies around it.
        effort = random.Random(f"{family} {name} {VERSION}").uniform(0.6, 4.0)
        mean = effort * trait["latency"] * dice.uniform(0.8, 1.25)
        key = f"f{len(self.functions) + 1:02d}"
        inputs = {_port(t): f"{family}/{t}" for t in takes}
        if locked:
            inputs["licence"] = locked
        words = f", {trait['words']}" if trait["words"] else ""
        self.functions.append(
            Function(
                id=key,
                name=f"{name}_{trait['name']}" if trait["name"] else name,
                description=description + words,
                inputs=inputs,
                outputs={_port(t): f"{family}/{t}" for t in gives},
                mean=round(mean, 2),
                deviation=round(0.15 * mean, 3),
                fail=round(min(0.05, dice.uniform(0.004, 0.02) * trait["fail"]), 4),
                cost=round(trait["cost"] * dice.uniform(0.7, 1.4) * (0.5 + effort / 4.0), 1),
            )
        )
        self.truth[key] = truths()[family, trait["name"]]


def _port(name: str) -> str:
    return name.replace("-", "_")


def _draw(dice: random.Random, name: str, shape: Shape) -> Level | None:
    """One try; None when it led to no level."""
    families = dice.sample(FAMILIES, dice.randint(*shape.families))
    drawn = _Draft(dice)
    plain = LIBRARY["traits"]
    for family in families:
        for template in LIBRARY["families"][family]["functions"]:
            if dice.random() < 0.1:
                continue
            for trait in dice.sample(plain, dice.randint(*shape.makes)):
                drawn.add(family, template, trait)
    have = []
    for family in families:
        sources = LIBRARY["families"][family]["sources"]
        have += [f"{family}/{s}" for s in sources if dice.random() < 0.85]
    goal = _goals(drawn, have, dice, shape)
    if not goal:
        return None
    _distract(drawn, families, goal, dice, shape)
    dice.shuffle(drawn.functions)
    level = Level(
        id=name,
        prompt=_word(have, goal, dice),
        functions=drawn.functions,
        supertypes={},
        have=tuple(have),
        goal=tuple(goal),
        budget=float("inf"),
        truth=drawn.truth,
        family="+".join(sorted(families)),
    )
    problem = Problem(level)
    cheapest = problem.plan(problem.have, problem.relax(problem.have, problem.costs, adding=True))
    best = a_star(problem, most=shape.search)
    if cheapest is None or best.plan is None or not best.is_optimal or len(best.plan) < shape.depth:
        return None
    # At least what a plan costs that can be found without search, at most a little more than the best one.
    floor = sum(problem.costs[f] for f in cheapest)
    aim = sum(problem.costs[f] for f in best.plan) * dice.uniform(*shape.slack)
    level.budget = round(max(floor, aim) + 0.05, 1)
    return level


def _goals(drawn: _Draft, have: Sequence[str], dice: random.Random, shape: Shape) -> list[str]:
    """Types that can be made and are at least `depth` steps away, none on the way to another where possible."""
    outputs = sorted({t for f in drawn.functions for t in f.outputs.values()} - set(have))
    if not outputs:
        return []
    probe = Problem(Level("probe", "", drawn.functions, {}, tuple(have), tuple(outputs), float("inf")))
    depth = probe.relax(probe.have, [1.0] * len(drawn.functions), adding=False).price
    far = [t for t in outputs if depth.get(probe.bits[t], 0.0) >= shape.depth]
    count = dice.randint(*shape.goals)
    if len(far) < count:
        return []
    return dice.sample(far, count)


def _distract(
    drawn: _Draft, families: Sequence[str], goal: Sequence[str], dice: random.Random, shape: Shape
) -> None:
    """Functions of another field, and some that promise a goal at once but need what nobody has."""
    other = dice.choice([f for f in FAMILIES if f not in families])
    for template in dice.sample(LIBRARY["families"][other]["functions"], dice.randint(*shape.distractors)):
        drawn.add(other, template, dice.choice(LIBRARY["traits"]))
    for wanted in goal:
        family, _, kind = wanted.partition("/")
        spoken = LIBRARY["families"][family]["types"][kind]
        template = (f"instant_{_port(kind)}", [], [kind], f"Makes {spoken} in a single step")
        drawn.add(family, template, dice.choice(LIBRARY["traits"]), locked="web/licence")


def _spoken(name: str) -> str:
    family, _, kind = name.partition("/")
    return str(LIBRARY["families"][family]["types"][kind])


def _listed(names: Sequence[str]) -> str:
    words = [_spoken(n) for n in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _word(have: Sequence[str], goal: Sequence[str], dice: random.Random) -> str:
    have = have or goal
    text = dice.choice(_WISHES).format(have=_listed(list(have)), goal=_listed(list(goal)))
    return text[0].upper() + text[1:]


def generate(seed: int, *, split: str = "open", shape: Shape = PLAIN) -> Level:
    """The level of a seed, the same on every machine.

    `split` keeps apart what is learnt from, what the gate measures by and what is evaluated: no two splits
    draw the same level, whatever the seeds.
    """
    for attempt in range(MOST_TRIES):
        dice = random.Random(f"{VERSION} {split} {seed} {attempt}")
        level = _draw(dice, f"{split}-{seed}", shape)
        if level is not None:
            return level
    raise RuntimeError(f"seed {seed} of {split} gave no level in {MOST_TRIES} tries")
