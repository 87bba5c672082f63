"""Levels to learn from: worlds of Players, and prompts that were made from the Players that serve them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from conductor.draft import Typing, gathers, required_inputs
from conductor.episode import Role
from conductor.gloss import language_of
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

_GLUE = {
    "en": (" and ", ", then ", ". ", " and then ", "; ", ", ", "? ", " plus "),
    "de": (" und ", ", dann ", ". ", "; ", " und dann "),
    "fr": (" et ", ", puis ", ". ", "; "),
    "es": (" y ", ", luego ", ". ", "; "),
}
_POLITE = {
    "en": (
        "",
        "",
        "",
        "",
        "please ",
        "can you ",
        "I want to know: ",
        "hey, ",
        "for the review: ",
        "I need this: ",
    ),
    "de": ("", "", "bitte ", "kannst du mal: "),
    "fr": ("", "", "s'il te plaît, "),
    "es": ("", "", "por favor, "),
}
_DETAILS = {
    "en": (" in src/", " in the last 30 days", " of the last two weeks", " since January", " under docs",
           " for the last quarter", " in this project", " this year", " for me", " in the tests folder"),
    "de": (" in src/", " der letzten 30 Tage", " seit letztem Monat", " im Projekt"),
    "fr": (" dans src/", " des 30 derniers jours", " depuis janvier"),
    "es": (" en src/", " de los últimos 30 días", " desde enero"),
}  # fmt: skip


@dataclass(slots=True)
class World:
    """Players with part of their examples as keys; the other part words the prompts."""

    functions: list[FunctionSpec]
    lattice: TypeLattice
    phrases: dict[str, tuple[str, ...]]
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Phrases of Players that are not in this world: requests to refuse."""


@dataclass(slots=True)
class Level:
    """A prompt, the Players that serve it, and for each of these which of them must come before."""

    prompt: str
    targets: dict[str, tuple[str, ...]]


def make_world(
    functions: Sequence[FunctionSpec],
    lattice: TypeLattice,
    dice: random.Random,
    *,
    drop: float,
    phrases_from: str = "train",
) -> World:
    """A world with some Players left out. `phrases_from` is `train` or `held`: which phrasings word its prompts.

    A fifth of every Player's examples, chosen by place, is held out: training neither indexes nor words it.
    """
    kept, phrases, absent = [], {}, {}
    for spec in functions:
        examples = list(spec.examples)
        held = examples[4::5]
        seen = [e for i, e in enumerate(examples) if i % 5 != 4]
        if phrases_from == "held":
            keys, words = seen, held or seen[-1:]
        else:
            dice.shuffle(seen)
            cut = max(1, round(len(seen) * dice.uniform(0.4, 0.75)))
            keys, words = seen[:cut], seen[cut:] or seen[-1:]
        if dice.random() < drop:
            absent[spec.player] = tuple(words)
            continue
        kept.append(replace(spec, examples=tuple(keys)))
        phrases[spec.player] = tuple(words)
    return World(kept, lattice, phrases, absent)


class LevelMaker:
    """Draws levels from a world: a chain of Players whose types fit, and a prompt worded from their phrases."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self._typing = Typing(world.lattice)
        roles = [(spec, Role(spec, self._typing)) for spec in world.functions]
        self._sources = [s for s, r in roles if r.is_source and not s.effects]
        self._mergers = [s for s, r in roles if r.is_merger and not r.generic]
        self._later = [(s, r) for s, r in roles if not r.is_source and not r.is_merger and not r.is_gatherer]
        self._files = [s for s, r in roles if r.takes_file]
        self._gatherers = [s for s, r in roles if r.is_gatherer]
        self._effects = [s for s, r in roles if s.effects and r.is_source]

    def level(self) -> Level | None:
        """A level, or None when the dice led nowhere."""
        dice = self._dice
        chain: dict[str, tuple[str, ...]] = {}
        order: list[FunctionSpec] = []

        def add(spec: FunctionSpec, before: Sequence[str]) -> None:
            chain[spec.player] = tuple(before)
            order.append(spec)

        leaf = self._begin(add)
        if leaf is None:
            return None
        leaves = [leaf]
        if dice.random() < 0.2 and self._sources:
            other = dice.choice(self._sources)
            if other.player not in chain:
                add(other, ())
                leaves.append(other)
        for chance in (0.25, 0.4, 0.08):
            if dice.random() < chance:
                self._continue(chain, leaves, add)
        if self._gatherers and dice.random() < (0.7 if len(leaves) > 1 else 0.25):
            add(dice.choice(self._gatherers), tuple(chain))
        return Level(self._word(order), chain)

    def _begin(self, add: object) -> FunctionSpec | None:
        """The first Player: most often a source, sometimes one that merges, a command, or a file's reader."""
        dice, put = self._dice, add
        assert callable(put)
        kinds = [("source", 6.0 * bool(self._sources)), ("merge", 1.5 * bool(self._mergers)),
                 ("effect", 0.4 * bool(self._effects))]  # fmt: skip
        if not sum(w for _, w in kinds):
            return None
        kind = dice.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        if kind == "effect":
            spec = dice.choice(self._effects)
            put(spec, ())
            return spec
        if kind == "source":
            spec = dice.choice(self._sources)
            put(spec, ())
            return spec
        spec = dice.choice(self._mergers)
        before = []
        if dice.random() < 0.5:
            for port in required_inputs(spec):
                makers = [s for s in self._sources if spec.inputs[port] in s.outputs.values()]
                if makers:
                    maker = dice.choice(makers)
                    put(maker, ())
                    before.append(maker.player)
        put(spec, tuple(before))
        return spec

    def _continue(self, chain: dict[str, tuple[str, ...]], leaves: list[FunctionSpec], add: object) -> None:
        """One more Player that takes what the last one made."""
        assert callable(add)
        leaf = leaves[-1]
        fitting = []
        for spec, _ in self._later:
            ports = required_inputs(spec)
            if spec.player not in chain and any(
                self._typing.feeds(t, spec.inputs[p]) for p in ports for t in leaf.outputs.values()
            ):
                fitting.append(spec)
        for spec in self._files:
            ports = [p for p in spec.optional if not gathers(spec.inputs[p]) and spec.inputs[p] != "project"]
            if spec.player not in chain and any(
                self._typing.feeds(t, spec.inputs[p]) for p in ports for t in leaf.outputs.values()
            ):
                fitting.append(spec)
        if fitting:
            chosen = self._dice.choice(fitting)
            add(chosen, (leaf.player,))
            leaves[-1] = chosen

    def _word(self, order: Sequence[FunctionSpec]) -> str:
        """A prompt from one phrase of each Player, most often all in one language."""
        dice = self._dice
        language = dice.choices(["en", "de", "fr", "es"], [6, 2, 1, 1])[0]
        parts = []
        for spec in order:
            phrases = self._world.phrases[spec.player]
            own = [p for p in phrases if language_of(p) == language] or list(phrases)
            parts.append(dice.choice(own))
        if dice.random() < 0.35:
            place = 0 if dice.random() < 0.8 else len(parts) - 1
            parts[place] += dice.choice(_DETAILS[language])
        if len(parts) == 2 and language == "en" and dice.random() < 0.2:
            text = f"{parts[1]} {dice.choice(('of', 'for', 'about', 'showing', 'from'))} {parts[0]}"
        else:
            text = parts[0]
            for part in parts[1:]:
                text += dice.choice(_GLUE[language]) + part
        text = dice.choice(_POLITE[language]) + text
        if dice.random() < 0.5:
            text = text[0].upper() + text[1:]
        return text + dice.choice(("", "", ".", "?", " please" if language == "en" else ""))
