"""What the policy sees of candidates and of stopping: 32 facts each.

What no choice changes is reckoned once for a composition, over all Players that it may choose among.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.params.mentions import Mention
from conductor.policy import MATCH
from conductor.rules import by_rules

if TYPE_CHECKING:
    from conductor.episode import Episode

Array = np.ndarray[Any, np.dtype[np.float32]]

SUITING = 6.5
"""From this score on an output that nobody has taken suits an input well (see `Draft.providers`)."""
THIRD = 1.0 / 3.0
_AT_ONCE = (0.0, 1.0, 0.0)
"""What stands for the steps before a Player that needs none: no way, no detour, nothing there."""


class Facts:
    """The facts of one composition.

    Places of a candidate's facts: 0 to 11 tell how well it fits the prompt and what is open in it, 12 to 17 and 26
    to 28 how it stands to parameters and graph, 18 to 25 which part it plays, 29 and 30 what single words say.
    """

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        self._rows = {function: row for row, function in enumerate(episode.retrieved)}
        chosen = np.array(episode.retrieved, dtype=np.intp)
        scores = episode.by_clause[:, chosen]
        best, second = episode.clause_best[:, None], episode.clause_second[:, None]
        self._scores = scores
        self._own = scores.argmax(axis=0)
        self._margins = scores - np.where(scores >= best - 1e-6, second, best)
        self._leads = self._margins >= 0
        self._fixed: Array = episode.table.facts[chosen]
        self._fixed[:, 0] = episode.whole[chosen]
        self._fixed[:, 1] = scores.max(axis=0)
        self._fixed[:, 3] = self._margins.max(axis=0)
        self._fixed[:, 5] = self._leads.any(axis=0)
        self._fixed[:, 29] = episode.evidence[:, chosen].max(axis=0, initial=0.0)
        self._chosen = chosen
        self._types, self._ports = self._inputs()
        self._mentions: dict[Mention, int] = {}
        if episode.mentions:
            self._uses = self._mentioned()
            self._fixed[:, 27] = [episode.reads_file(function) for function in episode.retrieved]

    def _inputs(self) -> tuple[list[str], np.ndarray[Any, np.dtype[np.intp]]]:
        """The types of the retrieved Players' inputs, and which of them each has; the place behind the last is none."""
        roles = [self._episode.table.roles[function] for function in self._episode.retrieved]
        places: dict[str, int] = {}
        ports = [[places.setdefault(t, len(places)) for t in role.port_types] for role in roles]
        widest = max(map(len, ports), default=0)
        padded = [row + [len(places)] * (widest - len(row)) for row in ports]
        return list(places), np.array(padded, dtype=np.intp).reshape(len(roles), widest)

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
        rows = np.array([self._rows[function] for function in candidates], dtype=np.intp)
        facts: Array = self._fixed[rows]
        scores, own = self._scores[:, rows], self._own[rows]
        coverage = episode.coverage()
        open_share = 1.0 - coverage[:, None]
        most_open = (scores * (1.0 - 0.8 * coverage[:, None])).max(axis=0)
        facts[:, 2] = most_open
        facts[:, 4] = facts[:, 0] - facts[:, 0].max()
        facts[:, 6] = (self._leads[:, rows] * open_share).max(axis=0)
        facts[:, 7] = (self._margins[:, rows] * open_share).max(axis=0)
        facts[:, 8] = 1.0 - coverage[own]
        facts[:, 9] = self._chosen[rows] == by_rules(episode, candidates)[0]
        facts[:, 10] = np.arange(len(rows)) / 10.0
        facts[:, 11] = most_open - most_open.max()
        facts[:, 30] = episode.open_evidence()[self._chosen[rows]]
        self._tell_graph(facts, rows, candidates)
        return facts

    def _tell_graph(self, facts: Array, rows: Any, candidates: Sequence[int]) -> None:
        """Writes the facts that come from parameters and the graph so far."""
        ways = self._ways(candidates)
        facts[:, 14], facts[:, 15] = ways[:, 0], ways[:, 1]
        nodes = self._episode.draft.nodes
        if self._mentions:
            used = {m for node in nodes for m in self._episode.filled(node.function).used}
            fresh = np.array([m not in used for m in self._mentions], dtype=np.float32)
            facts[:, 12] = np.minimum(3.0, self._uses[rows] @ fresh) / 3.0
        if nodes:
            found = [self._episode.draft.fresh_providers(t) for t in self._types]
            best = np.array([f[0][0] if f else -np.inf for f in found] + [-np.inf])[self._ports[rows]]
            fed = (best > -np.inf).sum(axis=1)
            facts[:, 16] = fed > 0
            facts[:, 17] = (best >= SUITING).any(axis=1)
            facts[:, 26] = np.where(ways[:, 0] > 0, ways[:, 2], fed / 3.0)

    def _ways(self, candidates: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The steps before each candidate: how many, how near to the prompt, how many stand already; `[n, 3]`."""
        plans, likeness = self._episode.plans, self._episode.likeness
        there = {node.function for node in self._episode.draft.nodes}
        found = []
        for function in candidates:
            feeders = plans.feeders[function]
            if not feeders:
                found.append(_AT_ONCE)
            elif len(feeders) == 1 and not plans.feeders[step := feeders[0]]:
                found.append((THIRD, likeness[step], THIRD if step in there else 0.0))
            else:
                steps = plans.steps(function)
                near = sum([likeness[step] for step in steps]) / len(steps)
                found.append((len(steps) / 3.0, near, sum([step in there for step in steps]) / 3.0))
        return np.array(found)

    def of_stop(self, candidates: Sequence[int], matches: Array) -> Array:
        """The facts about stopping now; `matches` are those of the candidates."""
        episode = self._episode
        facts = np.zeros(MATCH, dtype=np.float32)
        coverage = episode.coverage()
        facts[31] = 1.0
        facts[0:2] = episode.coverage_range()[:2]
        facts[2] = len(episode.draft.nodes) / 6.0
        facts[3] = float(bool(episode.draft.nodes))
        if len(candidates):
            most = matches.max(axis=0)
            facts[4:12] = most[0:8]
            facts[12], facts[13], facts[19] = most[12], most[11], most[30]
            facts[20] = most[9] == 0.0
            if most[20] > 0:
                presenting = matches[matches[:, 20] > 0]
                facts[14], facts[15] = presenting[:, 2].max(), presenting[:, 6].max()
        facts[16] = len(episode.draft.leaves()) / 3.0
        facts[17] = float((coverage < 0.6).sum()) / 3.0
        facts[18] = (
            float(np.max(np.where(coverage < 0.8, episode.clause_best, 0.0))) if len(coverage) else 0.0
        )
        return facts
