"""What the policy sees of candidates and of stopping: 32 facts each.

What no choice changes is reckoned once for a composition, over all Players that it may choose among.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.params.mentions import Mention
from conductor.policy import MATCH
from conductor.rules import STOP, TELLING, by_rules
from pit_native import ChoiceField

if TYPE_CHECKING:
    from conductor.episode import Episode

Array = np.ndarray[Any, np.dtype[np.float32]]

UNSERVED = 0.8
"""A clause is unserved below this coverage."""


class Facts:
    """The facts of one composition; the native `ChoiceField` reckons them.

    Places of a candidate's facts: 0 to 11 tell how well it fits the prompt and what is open in it, 12 to 17 and 26
    to 28 how it stands to parameters and graph, 18 to 25 which part it plays, 29 and 30 what single words say.
    """

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        chosen = np.array(episode.retrieved, dtype=np.intp)
        fixed: Array = episode.table.facts[chosen]
        fixed[:, 0] = episode.whole[chosen]
        fixed[:, 29] = episode.evidence[:, chosen].max(axis=0, initial=0.0)
        self._types, types = self._inputs()
        self._mentions: dict[Mention, int] = {}
        uses: Array = np.zeros((len(chosen), 0), dtype=np.float32)
        if episode.mentions:
            uses = self._mentioned()
            fixed[:, 27] = [episode.reads_file(function) for function in episode.retrieved]
        self._field = ChoiceField(
            episode.retrieved,
            fixed,
            episode.by_clause[:, chosen],
            episode.clause_best,
            episode.clause_second,
            episode.clear_from,
            episode.overall.astype(np.float64),
            uses,
            types,
        )

    def _inputs(self) -> tuple[dict[str, int], np.ndarray[Any, np.dtype[np.uint32]]]:
        """The types of the retrieved Players' inputs, and which of them each has; the place behind the last is none."""
        roles = [self._episode.table.roles[function] for function in self._episode.retrieved]
        places: dict[str, int] = {}
        ports = [[places.setdefault(t, len(places)) for t in role.port_types] for role in roles]
        widest = max(map(len, ports), default=0)
        padded = [row + [len(places)] * (widest - len(row)) for row in ports]
        return places, np.array(padded, dtype=np.uint32).reshape(len(roles), widest)

    def _mentioned(self) -> Array:
        """How often each retrieved Player would use each mention: `[n, mentions]`."""
        episode, places = self._episode, self._mentions
        # Without parameters none is filled by a mention.
        used = [
            episode.filled(f).used if episode.table.functions[f].params else () for f in episode.retrieved
        ]
        for mentions in used:
            for mention in mentions:
                places.setdefault(mention, len(places))
        uses: Array = np.zeros((len(used), len(places)), dtype=np.float32)
        for row, mentions in enumerate(used):
            for mention in mentions:
                uses[row, places[mention]] += 1.0
        return uses

    def of(self, candidates: Sequence[int]) -> Array:
        """The facts about each candidate, `[n, 32]`. Candidates are some of the Players that were retrieved."""
        episode = self._episode
        nodes = episode.draft.nodes
        fresh: Array = np.ones(len(self._mentions), dtype=np.float32)
        suits = np.full(len(self._types) if nodes else 0, -np.inf)
        if nodes and self._mentions:
            used = {m for node in nodes for m in episode.filled(node.function).used}
            fresh = np.array([m not in used for m in self._mentions], dtype=np.float32)
        if nodes:
            for port_type, score in episode.draft.best_fresh().items():
                if port_type in self._types:
                    suits[self._types[port_type]] = score
        advised = by_rules(episode, candidates)[0]
        facts: Array = np.empty((len(candidates), MATCH), dtype=np.float32)
        self._field.facts(
            candidates,
            episode.coverage(),
            episode.open_evidence(),
            advised if advised != STOP else None,
            [node.function for node in nodes],
            fresh,
            suits,
            episode.plans,
            facts,
        )
        return facts

    def owed(self, candidates: Sequence[int]) -> list[int]:
        """The candidates that a clause or a word clearly asks for which nothing in the draft answers."""
        episode = self._episode
        return self._field.owed(candidates, episode.coverage(), episode.open_evidence(), TELLING, UNSERVED)

    def of_stop(self, matches: Array) -> Array:
        """The facts about stopping now; `matches` are those of the candidates."""
        episode = self._episode
        coverage, nodes = episode.coverage(), episode.draft.nodes
        facts: Array = np.empty(MATCH, dtype=np.float32)
        self._field.stop_facts(matches, coverage, facts)
        facts[0:2] = episode.coverage_range()[:2]
        facts[2], facts[3] = len(nodes) / 6.0, float(bool(nodes))
        facts[16] = len(episode.draft.leaves()) / 3.0
        facts[31] = 1.0
        return facts
