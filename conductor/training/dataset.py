"""Plays levels with the right choices and writes down every decision."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from conductor.composer import Chooser
from conductor.context import ComposeContext, ProjectFacts
from conductor.draft import Typing
from conductor.episode import Episode, Table
from conductor.needs import Means, Measured
from conductor.retrieval import Catalogue, Embed
from conductor.rules import STOP
from conductor.training.levels import Level, LevelMaker, World

Array = np.ndarray[Any, np.dtype[np.float32]]

NOW = datetime(2026, 6, 15, 12)

PROJECT = ProjectFacts(
    path="/project",
    is_git=True,
    languages={"Python": 40, "Markdown": 6, "Rust": 3},
    files=(
        "README.md", "CHANGELOG.md", "NOTES.md", "pyproject.toml", "package.json", "Makefile", "main.py", "config.json",
        "src/main.py", "src/main.rs", "src/parser.py", "src/app.ts", "src/api/users.py", "tests/test_app.py",
        "docs/guide.md", "docs/architecture.md", "docs/index.md", "docs/intro.md", "data/sales.csv", "users.csv",
        "data.json", "events.jsonl", "pom.xml", "junit.xml", "access.log", "log.txt", "utils.py", "config.yaml",
    ),
    branches=("main", "develop", "feature/login"),
)  # fmt: skip


@dataclass(slots=True)
class Decision:
    """One state with the candidates in it and those that are right; the last place stands for STOP."""

    state: Array
    candidates: Array
    """`[n, 128]`: the candidates' sentence vectors, reduced."""
    matches: Array
    stop: Array
    right: Array
    """`[n + 1]` of 0 and 1."""


@dataclass(slots=True)
class Played:
    """A world with its table and the levels drawn from it."""

    table: Table
    levels: list[Level] = field(default_factory=list)


def open_world(
    world: World,
    embed: Embed,
    reduce: Callable[[Array], Array] | None,
) -> Table:
    """The table of a world, as the host makes it, but without a past."""
    catalogue = Catalogue(world.functions, embed)
    reduced = reduce(catalogue.means) if reduce is not None and catalogue.means is not None else None
    return Table(catalogue, Typing(world.lattice), reduced)


def draw_levels(world: World, count: int, dice: random.Random) -> list[Level]:
    """Levels of one world, none worded alike."""
    maker = LevelMaker(world, dice)
    found: dict[str, Level] = {}
    for _ in range(count * 4):
        level = maker.level()
        if level is not None:
            found.setdefault(level.prompt, level)
        if len(found) >= count:
            break
    return list(found.values())


def episode_of(table: Table, level: Level, embed: Embed, dice: random.Random | None = None) -> Episode:
    """The start of a level; with `dice` in every second one on a machine and with a history that are drawn."""
    context = ComposeContext(project=PROJECT, now=NOW)
    if dice is not None and dice.random() < 0.5:
        likings = {"since": dice.choice(("30d", "90d")), "audience": dice.choice(("me", "all"))}
        means, preferences = (
            drawn_means(table, dice),
            dict(dice.sample(sorted(likings.items()), dice.randrange(3))),
        )
        context = ComposeContext(project=PROJECT, now=NOW, means=means, preferences=preferences)
    return Episode(table, level.prompt, embed, context)


def drawn_means(table: Table, dice: random.Random) -> Means:
    """A machine with something free on it, and what its Players did so far."""
    measured = {
        spec.player: Measured(
            runs=int(dice.expovariate(1 / 20)),
            failed=int(dice.expovariate(2)),
            seconds=spec.seconds * dice.uniform(0.3, 3.0),
            quality=dice.uniform(0.5, 1.0),
        )
        for spec in table.functions
        if dice.random() < 0.6
    }
    capacity = {"cpu": 64.0, "memory": float(1 << 40), "gpu": 8.0}
    free = {name: amount * dice.random() for name, amount in capacity.items()}
    return Means(measured=measured, free=free, capacity=capacity)


def right_actions(episode: Episode, level: Level, candidates: Sequence[int]) -> set[int] | None:
    """The actions that are right now: what is still wanted and whose predecessors stand; STOP when all stand.

    None when something wanted cannot be added: the masks rule the level out.
    """
    names = {episode.table.functions[f].player: f for f in range(len(episode.table.functions))}
    there = {node.spec.player for node in episode.draft.nodes}
    open_targets = [p for p in level.targets if p not in there]
    if not open_targets:
        return {STOP}
    ready = {names[p] for p in open_targets if all(b in there for b in level.targets[p])}
    return ready if ready and ready <= set(candidates) else None


def decisions_of(
    table: Table, level: Level, embed: Embed, reduce: Callable[[Array], Array], dice: random.Random
) -> list[Decision]:
    """Every decision of a level played right; empty when the masks rule it out."""
    episode = episode_of(table, level, embed, dice)
    decisions: list[Decision] = []
    while True:
        candidates = episode.candidates()
        right = right_actions(episode, level, candidates)
        if right is None or table.reduced is None:
            return []
        matches = episode.matches(candidates)
        marks = np.zeros(len(candidates) + 1, dtype=np.float32)
        for place, function in enumerate(candidates):
            marks[place] = function in right
        marks[-1] = STOP in right
        decisions.append(
            Decision(
                episode.state(reduce),
                table.reduced[candidates] if candidates else np.zeros((0, 128), dtype=np.float32),
                matches,
                episode.stop_facts(candidates, matches),
                marks,
            )
        )
        if STOP in right:
            return decisions
        episode.step(dice.choice(sorted(right)))


def outcome(table: Table, level: Level, embed: Embed, chooser: Chooser) -> tuple[bool, float]:
    """Whether a chooser ends with just the Players that the right choices give, and the F1 of its Players."""
    gold = episode_of(table, level, embed)
    while True:
        right = right_actions(gold, level, gold.candidates())
        if right is None:
            return False, 0.0
        if STOP in right:
            break
        gold.step(min(right))
    episode = episode_of(table, level, embed)
    while candidates := episode.candidates():
        action, _ = chooser(episode, candidates)
        if action == STOP:
            break
        episode.step(action)
    wanted = {node.function for node in gold.draft.nodes}
    found = {node.function for node in episode.draft.nodes}
    both = len(wanted & found)
    return wanted == found, 2 * both / max(1, len(wanted) + len(found))


def digest_of(worlds: Iterable[Played]) -> str:
    """SHA-256 over all prompts and targets: names the data in the weights' facts."""
    hashed = hashlib.sha256()
    for world in worlds:
        for level in world.levels:
            hashed.update(f"{level.prompt}\x00{sorted(level.targets)}\x01".encode())
    return hashed.hexdigest()
