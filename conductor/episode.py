"""One composition as a game: in each state some Players may be added, or it stops. Pure; training plays it, too."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.context import ComposeContext
from conductor.draft import Draft, DraftNode, Typing, gathers, optional_inputs, required_inputs
from conductor.facts import Facts
from conductor.grounds import barred
from conductor.leaning import describe_means, describe_nodes, is_unheard_of, leaning, within_budget
from conductor.params.fill import Filled, Scope, fill, is_file, is_target
from conductor.params.mentions import Mention
from conductor.policy import MATCH, MOST_CANDIDATES, STATE
from conductor.reading import Reading
from conductor.remembering import remembered, remembered_without
from conductor.retrieval import Catalogue, Embed
from conductor.rules import TELLING
from conductor.search import ALWAYS, ASK, NEVER, TypeIndex, cheapest_plans
from conductor.surplus import only_cuts, parents_of, served_words, within_served
from conductor.words import content_words, one_sentence
from pit_native import ReadyPlans
from symphony.config.orchestration import Budget
from symphony.types.players import FunctionSpec

if TYPE_CHECKING:
    from conductor.needs import Means
    from conductor.past import Past
    from conductor.spans.asking import Spans
    from conductor.spelling import Speller

Array = np.ndarray[Any, np.dtype[np.float32]]

JOINING = 0.5
"""From this score on a Player that joins two results belongs to the prompt."""
CLEAR = 0.55
"""From this score on a Player serves a clause clearly."""
CALCULATIONS = frozenset(("measure", "condition"))
"""Kinds of mentions that ask for a step of their own."""
UNASKED = 0.3
"""What remains of the scores of a clause that asks for nothing."""
ASKED = 0.4
"""From this score on it is worth reading for what a Player needs and patterns did not find."""
RIVAL = 0.9
"""A Player that fits a text by so much of the best one's score may be the one that is meant."""
REMEMBERED = 0.2
"""How far it counts for a Player as a step before another that like requests took it."""
SPOKEN = 0.3
"""From this score on a Player that takes such a mention is the one that it asks for."""
MOST_NODES = 24
_ANY = Budget()


class Table:
    """What stays the same between compositions with one set of Players: types, texts, reduced vectors."""

    def __init__(self, catalogue: Catalogue, typing: Typing, reduced: Array | None) -> None:
        self.catalogue = catalogue
        self.functions: Sequence[FunctionSpec] = catalogue.functions
        self.typing = typing
        self.index = TypeIndex(self.functions, typing)
        self.reduced = reduced
        self.learned: Array | None = None
        self.spans: Spans | None = None
        self._own_words: dict[int, frozenset[str]] = {}
        self.past: Past | None = None
        self.speller: Speller | None = None
        self.roles = [Role(spec, typing) for spec in self.functions]
        typing.expect(port_type for role in self.roles for port_type in role.port_types)
        self.facts: Array = np.zeros((len(self.roles), MATCH), dtype=np.float32)
        for row, role in enumerate(self.roles):
            self.facts[row] = role.facts
        self.mergers = frozenset(
            f for f, role in enumerate(self.roles) if role.is_merger and not role.generic
        )
        self.step_costs = np.array([role.step_cost for role in self.roles])
        self.sources = np.array([role.is_source for role in self.roles], dtype=bool)
        self.orders = np.array([role.order for role in self.roles])
        self.asks = np.array([role.has_required or role.reads_file_alone for role in self.roles], dtype=bool)
        """Players that may run or not by what the prompt gives to their parameters."""
        self.picky = [
            (function, param)
            for function, spec in enumerate(self.functions)
            for param in spec.params.values()
            if param.files and self.roles[function].is_source
        ]
        """Sources that are for files of some kinds, and the parameter that says so."""
        self.finders = np.array([role.is_source and not role.optional for role in self.roles], dtype=bool)
        self.finding = np.flatnonzero(self.finders)

    def own_words(self, function: int) -> frozenset[str]:
        """The words of a Player's description and of what it makes."""
        known = self._own_words.get(function)
        if known is None:
            spec = self.functions[function]
            text = " ".join([spec.description, *spec.outputs, *spec.outputs.values()])
            known = self._own_words[function] = frozenset(content_words(text))
        return known


class Role:
    """Which part a Player can play, by its types alone."""

    def __init__(self, spec: FunctionSpec, typing: Typing) -> None:
        self.required = needed = required_inputs(spec)
        self.optional = optional_inputs(spec)
        self.port_types = tuple(spec.inputs[port] for port in self.required or self.optional)
        self.is_source = not needed
        self.is_gatherer = any(gathers(spec.inputs[p]) for p in needed)
        self.is_merger = len(needed) > 1
        takes_rows = any(typing.is_rows(spec.inputs[p]) for p in needed)
        self.transforms = takes_rows and any(typing.is_rows(t) for t in spec.outputs.values())
        self.presents = not any(typing.is_rows(t) for t in spec.outputs.values()) and bool(needed)
        self.generic = any(spec.inputs[p] in ("list<record>", "text", "any", "list<any>") for p in needed)
        self.has_required = any(p.required for p in spec.params.values())
        self.takes_file = bool(self.optional) and any(map(is_file, spec.params.values()))
        self.reads_file_alone = self.takes_file and self.is_source
        self.is_timeless = self.is_source and not any(
            p.type in ("duration", "date") for p in spec.params.values()
        )
        # Sources, then what merges or transforms, then what shows, then what gathers, then what changes something.
        self.order = 0 if self.is_source else 1 + self.presents + 2 * self.is_gatherer + 3 * spec.effects
        if self.takes_file:
            self.order = 1
        self.step_cost = 4.0 * spec.effects + 1.0 * (spec.kind == "instrument") + min(1.0, spec.seconds / 20)
        self.facts = self._facts(spec)

    def _facts(self, spec: FunctionSpec) -> Array:
        """The facts about a candidate that hold in every state (see `Episode.matches`)."""
        facts = np.zeros(MATCH, dtype=np.float32)
        facts[13] = self.has_required
        facts[18], facts[19], facts[20] = self.is_source, self.transforms, self.presents
        facts[21], facts[22], facts[23] = self.is_gatherer, self.is_merger, self.generic
        facts[24], facts[25] = spec.effects, spec.kind == "instrument"
        facts[28] = self.order / 6.0
        facts[31] = 1.0
        return facts


class Episode:
    """The state of one composition.

    Args:
        table: the Players.
        prompt: what the user asked for.
        embed: the sentence encoder, None without one.
        context: project, time, preferences.
        hidden: key texts that must not count (see `Catalogue.scores`).
    """

    def __init__(
        self,
        table: Table,
        prompt: str,
        embed: Embed | None,
        context: ComposeContext,
        hidden: np.ndarray[Any, Any] | None = None,
    ) -> None:
        self.table = table
        self.prompt = prompt
        self.embed = embed
        self.context = context
        self.now = context.now or datetime.now()
        self._reading = reading = Reading(table, prompt, embed, context, self.now, hidden)
        self.clauses, self.mentions, self.texts = reading.clauses, reading.mentions, reading.texts
        self.vectors, self.scores = reading.vectors, reading.scores
        self.evidence, self.evidence_clause = reading.evidence, reading.evidence_clause
        self.only_details = reading.only_details
        self.parents = parents_of(self.clauses)
        self.said = None
        if table.past is not None and self.vectors is not None:
            self.said = table.past.about(self.vectors, reading.english())
        self.usable = np.array([spec.available for spec in table.functions], dtype=bool)
        if context.means is not None:
            lean, fits = leaning(table.functions, context.means)
            self.scores = self.scores + lean
            self.usable &= fits
        self.barred = barred(table.functions, table.index, context.project)
        """Players that can do nothing in this project, and what they lack."""
        if self.barred:
            self.usable[list(self.barred)] = False
        if self.said is not None and table.past is not None:
            strange = np.where(self.usable & table.past.is_strange, self.scores, 0.0).max(axis=1, initial=0.0)
            best = np.where(self.usable, self.scores, 0.0).max(axis=1, initial=0.0)
            self.said = self.said.but_for((strange > 0.0) & (strange >= RIVAL * best))
        self.whole = self.scores[0]
        self.by_clause = self.scores[1:] if len(self.scores) > 1 else self.scores
        if len(self.clauses) and not self.only_details.all():
            self.by_clause = np.where(self.only_details[:, None], UNASKED * self.by_clause, self.by_clause)
        self.remembered = remembered(self)
        self._rank()
        self.draft = Draft(table.typing, frozenset(content_words(prompt)))
        self._filled: dict[int, Filled] = {}
        self.asking = table.spans.about(prompt) if table.spans is not None else None
        self._coverage: Array | None = None
        self._coverage_range: tuple[float, float, float] | None = None
        self._open_evidence: Array | None = None
        self._telling: list[int] | None = None
        self._scope = Scope(prompt, prompt, self.mentions, context.project, self.now, context.preferences)
        self.plans = self._plan()

    def _rank(self) -> None:
        """What follows from the scores: which Player fits which clause, and who may be a candidate at all."""
        self.best_clause = self.by_clause.argmax(axis=0)
        self.overall = 0.5 * self.whole + 0.5 * self.by_clause.max(axis=0) + REMEMBERED * self.remembered
        masked = np.where(self.usable, self.by_clause, -1.0)
        self.clause_best = masked.max(axis=1)
        floor = 0.30 if self.vectors is not None else 0.10
        best = zip(masked.argmax(axis=1).tolist(), self.clause_best >= floor, strict=True)
        self.fitting: list[tuple[int, int]] = [(c, top) for c, (top, fits) in enumerate(best) if fits]
        """The clauses with the Player that fits each best, of those that one fits at all."""
        self.clear_from = np.maximum(CLEAR, 0.97 * self.clause_best.astype(np.float64)).astype(np.float32)
        """From this score on a Player serves a clause clearly."""
        self.clause_second = np.sort(masked, axis=1)[:, -2] if masked.shape[1] > 1 else self.clause_best
        self.likeness: list[float] = self.overall.tolist()
        """How well each Player fits the prompt and its clauses."""
        retrieved = np.where(self.usable)[0]
        order = retrieved[np.argsort(-self.overall[retrieved], kind="stable")]
        self.retrieved: list[int] = [int(i) for i in order[:MOST_CANDIDATES]]
        self._facts: Facts | None = None
        self._users: dict[Mention, frozenset[int]] = {}
        self._unchanged: tuple[Any, Array, Array | None] | None = None
        self._best_working: Array | None = None
        self._nearest = float(self.whole.max(initial=0.0)), float(self.clause_best.max(initial=0.0))
        self._playable = int(np.count_nonzero(self.usable))
        may = np.where(self.table.asks, ASK, ALWAYS)
        self._may_run = np.where(self.usable, may, NEVER).astype(np.uint8)

    def pass_over(self, clauses: Collection[int]) -> None:
        """Leaves out parts that cannot be served: nothing is added for their sake, and what they mention is theirs."""
        spans = [(self.clauses[c].start, self.clauses[c].end) for c in clauses]
        within = [any(a <= c.start and c.end <= b for a, b in spans) for c in self.clauses]
        self.only_details = self.only_details | np.array(within, dtype=bool)
        self.by_clause = np.where(np.array(within)[:, None], UNASKED * self.by_clause, self.by_clause)
        self.remembered = remembered_without(self, np.array(within, dtype=bool))
        self.evidence, self.evidence_clause = self._reading.evidence_outside(spans)
        rest = [m for m in self.mentions if not any(a <= m.start < b for a, b in spans)]
        self.narrow(rest, self.usable)

    def narrow(self, mentions: Sequence[Mention], usable: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Goes on with these mentions alone, and with those of the Players that are marked."""
        self.mentions = list(mentions)
        self._scope = replace(self._scope, mentions=self.mentions)
        self.usable = self.usable & usable
        self._filled.clear()
        self._rank()
        self._changed()

    def filled(self, function: int) -> Filled:
        """The parameters that the whole prompt would give to a Player."""
        known = self._filled.get(function)
        if known is None:
            spec = self.table.functions[function]
            known = self._filled[function] = fill(spec, self._scope)
            if known.missing and self.asking is not None and self.likeness[function] >= ASKED:
                self.asking.complete(spec, known, self.mentions, only_needed=True)
        return known

    def _can_run(self, function: int) -> bool:
        """Whether its parameters can be filled and, when all its inputs are optional, it has one or a file."""
        spec, role = self.table.functions[function], self.table.roles[function]
        if not self.usable[function] or (role.has_required and self.filled(function).missing):
            return False
        if role.reads_file_alone:
            return self.reads_file(function) or any(
                self.draft.fresh_providers(spec.inputs[p]) for p in role.optional
            )
        return True

    def reads_file(self, function: int) -> bool:
        """Whether the prompt names the file that this Player reads in the place of an input."""
        if not self.table.roles[function].takes_file:
            return False
        params = self.table.functions[function].params
        return any(is_file(params[name]) for name in self.filled(function).params if name in params)

    def _changed(self) -> None:
        """Plans anew, and forgets what was derived from the graph."""
        self._coverage = self._coverage_range = self._open_evidence = self._telling = None
        self.plans = self._plan()

    def _plan(self) -> ReadyPlans:
        table = self.table
        return cheapest_plans(
            table.functions, table.index, self.draft, self._step_costs(), self._may_run, self._can_run
        )

    def _step_costs(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What a step that nobody asked for costs, for each Player: the further from the prompt, the more."""
        costs = 3.0 - 2.0 * np.clip(self.overall.astype(np.float64), 0.0, 1.0) + self.table.step_costs
        if self.draft.nodes:
            costs = costs + 1.5 * self.table.sources
        return np.asarray(costs, dtype=np.float64)

    def resume(self, nodes: Sequence[DraftNode]) -> None:
        """Begins with nodes that stand already: what follows is added to them."""
        self.draft.begin_with(nodes)
        self._changed()

    def candidates(self) -> list[int]:
        """Players that may be added now: retrieved, reachable, with their parameters, not yet there.

        When the draft has just what a Player joins into one, and one sentence asked for both, it comes first.
        """
        if len(self.draft.nodes) >= MOST_NODES:
            return []
        there = {node.function for node in self.draft.nodes}
        found = [f for f in self.plans.among(self.retrieved) if f not in there]
        roles = self.table.roles
        if any(m.kind == "count" for m in self.mentions):
            found = [f for f in found if not (roles[f].transforms and only_cuts(self, f))]
        means = self.context.means
        if means is not None and means.policies.budget != _ANY:
            found = [f for f in found if self._is_affordable(f, means)]
        if joining := self._joining(found):
            return joining
        if self.spoken(found):
            # What shows results comes after what calculates them.
            found = [f for f in found if not roles[f].presents and not roles[f].is_gatherer] or found
        return found

    def _is_affordable(self, function: int, means: Means) -> bool:
        """Whether a Player and the steps before it stay within the budget of the policies."""
        nodes = list(self.draft.nodes)
        for step in self.plans.steps(function):
            if not self.draft.has(step):
                if not within_budget(nodes, self.table.functions[step], means):
                    return False
                nodes.append(DraftNode(step, self.table.functions[step]))
        return within_budget(nodes, self.table.functions[function], means)

    def _joining(self, functions: Sequence[int]) -> list[int]:
        """Those of the Players that join what the draft has."""
        if len(self.draft.nodes) < 2:
            return []
        return [f for f in functions if f in self.table.mergers and self._joins(f)]

    def _joins(self, function: int) -> bool:
        """Whether a Player of the prompt's field takes two results that one sentence asked for, and no others."""
        spec = self.table.functions[function]
        if self.whole[function] < JOINING:
            return False
        feeders = []
        for port in required_inputs(spec):
            found = [o for _, o in self.draft.fresh_providers(spec.inputs[port])]
            feeders += found[:1]
        clauses = [self.draft.nodes[place].clause for place, _ in feeders]
        if len(feeders) < len(spec.inputs) or -1 in clauses or len(set(clauses)) < len(clauses):
            return False
        places = [self.clauses[clause].start for clause in clauses if clause < len(self.clauses)]
        return len(places) == len(clauses) and one_sentence(self.prompt, min(places), max(places))

    def owed(self, candidates: Sequence[int]) -> list[int]:
        """The candidates that a clause or a word clearly asks for which nothing in the draft answers."""
        told = [one for one in self._told().owed(candidates) if not is_unheard_of(self, one)]
        return told + self._joining(candidates) + self.surely(candidates)

    def surely(self, candidates: Sequence[int]) -> list[int]:
        """The candidates that a calculation, its table or a file to write asks for, whatever was asked before."""
        return self.spoken(candidates) + self._reading_tables(candidates) + self._writing(candidates)

    def _reading_tables(self, candidates: Sequence[int]) -> list[int]:
        """The candidates that read the tables which only the columns of a calculation name."""
        found = []
        for mention in self.mentions:
            if mention.kind != "path" or mention.start < mention.end:
                continue
            if any(mention in self.filled(node.function).used for node in self.draft.nodes):
                continue
            tables = {function for function, _ in self.table.picky}
            able = [c for c in candidates if c in tables and mention in self.filled(c).used]
            if able:
                found.append(max(able, key=self.likeness.__getitem__))
        return found

    def spoken(self, candidates: Sequence[int]) -> list[int]:
        """The candidates that do a calculation, or hold to a condition, which the prompt says and no node does."""
        found = []
        for mention in self.mentions:
            if mention.kind not in CALCULATIONS or any(self.does(n, mention) for n in self.draft.nodes):
                continue
            users = self._users_of(mention)
            able = [c for c in candidates if c in users]
            rows = [i for i, c in enumerate(self.clauses) if c.start <= mention.start < c.end] or [0]
            best = max(able, key=lambda c: float(self.by_clause[rows, c].max()), default=-1)
            if best >= 0 and self.by_clause[rows, best].max() >= SPOKEN:
                found.append(best)
        return found

    def _users_of(self, mention: Mention) -> frozenset[int]:
        """The Players that would use a mention, of all that may be chosen."""
        known = self._users.get(mention)
        if known is None:
            known = frozenset(f for f in self.retrieved if mention in self.filled(f).used)
            self._users[mention] = known
        return known

    def _writing(self, candidates: Sequence[int]) -> list[int]:
        """The candidate that writes the file which the prompt names for the result, while nothing writes it."""
        targets = [m for m in self.mentions if m.kind == "path" and is_target(m, self._scope)]
        found = []
        for target in targets:
            if any(target in self.filled(node.function).used for node in self.draft.nodes):
                continue
            able = [
                c for c in candidates if self.table.functions[c].effects and target in self.filled(c).used
            ]
            if self.draft.nodes and able:
                found.append(max(able, key=lambda c: self.likeness[c]))
        return found

    def does(self, node: DraftNode, mention: Mention) -> bool:
        """Whether a node takes a mention as a parameter, or says of itself that it makes what is mentioned."""
        used = self.filled(node.function).used
        if any(m.start < mention.end and mention.start < m.end for m in used if m.kind != "path"):
            return True
        words = frozenset(content_words(str(mention.value)))
        return bool(words) and words <= self.table.own_words(node.function)

    def may_stop(self, candidates: Sequence[int]) -> bool:
        """A Melody needs a node, and leaves nothing owed."""
        return bool(self.draft.nodes) and not self.owed(candidates)

    def step(self, function: int, confidence: float = 1.0) -> None:
        """Adds a Player, and before it the steps that its inputs need."""
        for feeder in self.plans.steps(function):
            if not self.draft.has(feeder):
                place = self._add(feeder, chosen=False)
                self.draft.nodes[place].confidence = confidence
        place = self._add(function, chosen=True)
        node = self.draft.nodes[place]
        node.clause, node.confidence = int(self.best_clause[function]), confidence
        self._changed()

    def _add(self, function: int, *, chosen: bool) -> int:
        own_file = self.reads_file(function) and not self._file_is_taken(function)
        connect = not own_file and not self.table.functions[function].effects
        return self.draft.add(
            function, self.table.functions[function], chosen=chosen, connect_optional=connect
        )

    def _file_is_taken(self, function: int) -> bool:
        """Whether a node already reads the file that this Player would take."""
        used = {m for m in self.filled(function).used if m.kind == "path"}
        return any(used & set(self.filled(node.function).used) for node in self.draft.nodes)

    def coverage(self) -> Array:
        """For each clause, how well the draft's nodes serve it, measured by the best Player there is: 0 to 1."""
        if self._coverage is None:
            self._coverage = self._covered()
        return self._coverage

    def coverage_range(self) -> tuple[float, float, float]:
        """Mean, least and most of the coverage; all 1 where there are no clauses."""
        if self._coverage_range is None:
            coverage: list[float] = self.coverage().tolist() or [1.0]
            self._coverage_range = sum(coverage) / len(coverage), min(coverage), max(coverage)
        return self._coverage_range

    def best_working(self) -> Array:
        """For each clause the best score of a Player that works on results; -1 where there is none."""
        if self._best_working is None:
            working = self.usable & ~self.table.finders
            self._best_working = np.where(working, self.by_clause, -1.0).max(axis=1)
        return self._best_working

    def _covered(self) -> Array:
        if not self.draft.nodes:
            return np.zeros(len(self.by_clause), dtype=np.float32)
        have = self.by_clause[:, [n.function for n in self.draft.nodes]].max(axis=1)
        covered: Array = np.clip(have / np.maximum(self.clause_best, 0.05), 0.0, 1.0).astype(np.float32)
        if len(self.only_details) == len(covered):
            covered[self.only_details] = 1.0
            covered = within_served(self, covered, have)
        return covered

    def matches(self, candidates: Sequence[int]) -> Array:
        """The 32 facts about each candidate, `[n, 32]`; they are some of the Players that were retrieved."""
        return self._told().of(candidates) if candidates else np.zeros((0, MATCH), dtype=np.float32)

    def stop_facts(self, candidates: Sequence[int], matches: Array) -> Array:
        """The 32 facts about stopping now."""
        return self._told().of_stop(matches)

    def _told(self) -> Facts:
        if self._facts is None:
            self._facts = Facts(self)
        return self._facts

    def open_evidence(self) -> Array:
        """For each Player, the most that a word which nothing in the draft accounts for says for it."""
        if self._open_evidence is None:
            evidence = self.evidence
            if self.draft.nodes and len(evidence):
                explained = evidence[:, [n.function for n in self.draft.nodes]].max(axis=1, keepdims=True)
                evidence = evidence * (1.0 - np.minimum(1.0, 2.0 * explained))
                served = np.flatnonzero(served_words(self))
                evidence[served[:, None], self.table.finding] = 0.0
            found: Array = evidence.max(axis=0, initial=0.0)
            self._open_evidence = found
        return self._open_evidence

    def telling(self) -> list[int]:
        """The Players for which a word speaks that nothing in the draft accounts for."""
        if self._telling is None:
            self._telling = np.flatnonzero(self.open_evidence() >= TELLING).tolist()
        return self._telling

    def state(self, project_vectors: Any) -> Array:
        """The 512 numbers that the networks see.

        128 of the prompt, 128 of what is still open in it, 128 of the Players chosen, 128 of facts: the
        graph so far, the project, resources, quality, history, preferences, and what is in reach.
        `project_vectors` reduces sentence vectors to 128 numbers; without an encoder the first 384 stay zero.
        """
        told, vectors = self._told_of_all(project_vectors)
        state = told.copy()
        coverage, nodes = self.coverage(), self.draft.nodes
        if vectors is not None and self.table.reduced is not None:
            weights = 1.0 - coverage
            if (most := float(weights.sum())) > 0.05:
                state[128:256] = weights @ vectors / most
            if nodes:
                state[256:384] = self.table.reduced[[n.function for n in nodes]].mean(axis=0)
        facts = state[384:]
        leaves = self.draft.leaves()
        facts[0], facts[1] = len(nodes) / 6.0, sum(n.chosen for n in nodes) / 6.0
        facts[2:5] = self.coverage_range()
        facts[7], facts[8] = len(leaves) / 3.0, float(bool(nodes))
        facts[11] = sum(n.spec.seconds for n in nodes) / 30.0
        facts[12] = sum(n.spec.memory for n in nodes) / (8 << 30)
        for leaf in leaves:
            for made in nodes[leaf].spec.outputs.values():
                facts[16 + zlib.crc32(made.encode()) % 32] += 0.5
                facts[48] += 0.5 * self.table.typing.is_rows(made)
        if self.context.means is not None:
            describe_nodes(facts, nodes, self.context.means)
        facts[112 : 112 + min(8, len(coverage))] = coverage[:8]
        return state

    def _told_of_all(self, project_vectors: Any) -> tuple[Array, Array | None]:
        """What of the state no choice changes, and the reduced vectors of what may be open in the prompt."""
        if self._unchanged is None or self._unchanged[0] != project_vectors:
            self._unchanged = project_vectors, *self._tell_of_all(project_vectors)
        return self._unchanged[1:]

    def _tell_of_all(self, project_vectors: Any) -> tuple[Array, Array | None]:
        state: Array = np.zeros(STATE, dtype=np.float32)
        vectors: Array | None = None
        if self.vectors is not None and self.table.reduced is not None:
            vectors = project_vectors(self.vectors)
            state[:128] = vectors[0]
            vectors = vectors[1:] if len(vectors) > 1 else vectors
        facts = state[384:]
        facts[5], facts[6] = len(self.by_clause) / 6.0, len(self.mentions) / 6.0
        facts[9:11] = self._nearest
        for mention in self.mentions:
            facts[56 + zlib.crc32(mention.kind.encode()) % 24] += 0.5
        project = self.context.project
        if project is not None:
            facts[80], facts[81] = 1.0, float(project.is_git)
            for language in project.languages:
                facts[88 + zlib.crc32(language.lower().encode()) % 24] = 1.0
        describe_means(facts, self._playable, self.context)
        return state, vectors
