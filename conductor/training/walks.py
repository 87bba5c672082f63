"""What policies meet on a level: each state is worked out once for all that come there. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conductor.composer import masked
from conductor.episode import Episode, Table
from conductor.policy import Policy
from conductor.retrieval import Embed
from conductor.training.dataset import episode_of
from conductor.training.levels import Level

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class Spot:
    """A state of a level: what a network needs of it, and where each choice led."""

    players: list[int]
    """Of the graph so far, sorted."""
    candidates: list[int]
    owed: list[int]
    """Places of the candidates that something clearly asks for."""
    state: Array
    matches: Array
    stop: Array
    after: dict[int, Spot] = field(default_factory=dict)


class Walks:
    """One level. Policies must share their directions, as those do that were learnt from one another."""

    def __init__(self, table: Table, level: Level, embed: Embed, policy: Policy) -> None:
        self._table, self._level, self._embed = table, level, embed
        self._project = policy.project
        self._first: Spot | None = None

    def played(self, policy: Policy, learned: Array) -> list[int]:
        """The Players that a policy ends with, sorted. `learned` are its keys of the table's Players."""
        done: list[int] = []
        episode: Episode | None = None
        if self._first is None:
            episode = episode_of(self._table, self._level, self._embed)
            self._first = self._look(episode)
        spot = self._first
        while spot.candidates:
            logits = policy.logits(spot.state, learned[spot.candidates], spot.matches, spot.stop)
            best = int(np.argmax(masked(logits, spot.owed, is_empty=not spot.players)))
            if best == len(spot.candidates):
                break
            action = spot.candidates[best]
            following = spot.after.get(action)
            if following is None:
                if episode is None:
                    episode = self._again(done)
                episode.step(action)
                following = spot.after[action] = self._look(episode)
            done.append(action)
            spot = following
        return spot.players

    def _again(self, actions: list[int]) -> Episode:
        episode = episode_of(self._table, self._level, self._embed)
        for action in actions:
            episode.step(action)
        return episode

    def _look(self, episode: Episode) -> Spot:
        players = sorted({node.function for node in episode.draft.nodes})
        candidates = episode.candidates()
        owed = set(episode.owed(candidates)) if candidates else set()
        matches = episode.matches(candidates)
        return Spot(
            players, candidates, [place for place, one in enumerate(candidates) if one in owed],
            episode.state(self._project), matches, episode.stop_facts(candidates, matches),
        )  # fmt: skip
