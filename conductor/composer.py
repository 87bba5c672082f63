"""Composes: plays one episode with a chooser, refuses what cannot be served, and writes the Melody."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conductor import grounds
from conductor.assignment import coarse_of
from conductor.columns import fit_columns
from conductor.context import Composition
from conductor.delivery import Undelivered, undelivered
from conductor.document import melody_of
from conductor.episode import Episode
from conductor.gloss import language_of
from conductor.leaning import recalled
from conductor.learning.seen import Seen, Watch
from conductor.policy import Policy
from conductor.question import player_question, question_of
from conductor.refusal import Judge, Verdict
from conductor.rules import STOP, Choice, by_rules
from conductor.standing import above
from conductor.words import content_words

Array = np.ndarray[Any, np.dtype[np.float32]]
Chooser = Callable[[Episode, list[int]], Choice]

SERVED = 0.4
"""From this likelihood on a text counts as one that the Players can serve."""
UNSERVED, FOUND = 0.5, 0.5
"""What was asked in like words nobody served, so likely that it is refused; and something was found for it, so likely
that it is not.
"""
BESIDE, SURE = 0.7, 0.85
"""Beside a part that is surely served another must be likelier: it is named, and the prompt is not refused for it."""


def by_policy(policy: Policy, watch: Watch | None = None) -> Chooser:
    """The trained network; ties go to the candidate that fits the prompt better. `watch` is told of each choice."""

    def choose(episode: Episode, candidates: list[int]) -> Choice:
        table = episode.table
        if table.learned is None:
            raise RuntimeError("the table has no learned keys")
        matches = episode.matches(candidates)
        state, stop = episode.state(policy.project), episode.stop_facts(candidates, matches)
        owed = [candidates.index(one) for one in dict.fromkeys(episode.owed(candidates))]
        chosen = np.array(candidates, dtype=np.intp)
        own = policy.logits(state, table.learned.take(chosen, axis=0), matches, stop)
        logits = masked(own + recalled(episode, candidates), owed, is_empty=not episode.draft.nodes)
        likely = likelihoods(logits)
        best = int(np.argmax(likely))
        if watch is not None and table.reduced is not None:
            names = tuple(table.functions[c].player for c in candidates)
            numbers = (state, table.reduced[chosen], matches, stop)
            # What is learnt from is the network's own likelihood: the past leans every policy alike.
            allowed = np.isfinite(logits)
            alone = likelihoods(np.where(allowed, own, -np.inf))
            watch(Seen(names, allowed, best, float(alone[best]), *numbers))
        return (candidates[best] if best < len(candidates) else STOP), float(likely[best])

    return choose


def likelihoods(logits: Array) -> Array:
    """The softmax: how likely each choice is."""
    likely: Array = np.exp(logits - logits.max())
    likely /= likely.sum()
    return likely


def masked(logits: Array, owed: Sequence[int], *, is_empty: bool) -> Array:
    """Scores of the candidates and, last, of STOP with what may not be chosen at -inf.

    Nothing stops with an empty graph or while something is owed; `owed` are places of candidates. Whoever would
    stop too early has only these to choose from.
    """
    left = logits.copy()
    last = len(logits) - 1
    if owed or is_empty:
        left[-1] = -np.inf
    if len(owed) and int(np.argmax(logits)) == last:
        left[[place for place in range(last) if place not in owed]] = -np.inf
    return left


def chooser_of(policy: Policy | None, watch: Watch | None = None) -> Chooser:
    """Who chooses: the policy where there is one, else the planner. `watch` is told of each choice."""
    if policy is not None:
        return by_policy(policy, watch)
    return by_rules if watch is None else _watched(by_rules, watch)


def _watched(chooser: Chooser, watch: Watch) -> Chooser:
    """A chooser without networks: there are no numbers to learn from, but who could be chosen and who was."""

    def choose(episode: Episode, candidates: list[int]) -> Choice:
        action, likely = chooser(episode, candidates)
        names = tuple(episode.table.functions[c].player for c in candidates)
        allowed = np.array([True] * len(candidates) + [action == STOP or episode.may_stop(candidates)])
        place = len(candidates) if action == STOP else candidates.index(action)
        watch(Seen(names, allowed, place, likely))
        return action, likely

    return choose


def by_cosine(episode: Episode, candidates: list[int]) -> Choice:
    """A baseline: the closest Players to the whole prompt, as long as they are nearly as close as the first."""
    ranked = sorted(candidates, key=lambda f: -float(episode.whole[f]))
    if not ranked or (
        episode.draft.nodes and episode.whole[ranked[0]] < 0.8 * float(episode.whole[episode.usable].max())
    ):
        return STOP, 1.0
    return ranked[0], float(min(1.0, episode.whole[ranked[0]]))


def by_chance(seed: int) -> Chooser:
    """A baseline: uniform among what the masks allow, STOP included."""
    dice = random.Random(seed)

    def choose(episode: Episode, candidates: list[int]) -> Choice:
        actions = [*candidates, STOP] if episode.may_stop(candidates) else list(candidates)
        return dice.choice(actions), 1.0 / len(actions)

    return choose


@dataclass(slots=True)
class _Judgement:
    """What of a prompt can be served: the clauses that cannot, and the extensions that would help."""

    lacking: dict[int, Verdict]
    whole: Verdict
    undelivered: list[Undelivered]
    """Where results shall go and nobody brings them, of clauses that are served otherwise."""
    sure: set[int]
    """Those of `lacking` that cannot be served however well the whole sounds."""


def compose(
    episode: Episode,
    chooser: Chooser,
    judge: Judge | None,
    policy: Policy | None,
    seconds: Mapping[str, float],
) -> Composition:
    """Plays the episode to its end. `judge` None accepts everything, as the baselines are measured."""
    judgement = _judge(episode, judge, policy)
    if judgement is not None and _refuses(episode, judgement):
        return _refusal(episode, judgement)
    if judgement is not None and _serves_some(episode, judgement):
        episode.pass_over(judgement.lacking)
    decisions = play(episode, chooser)
    if not episode.draft.nodes or (judge is not None and _asks_only(episode)):
        return _refusal(episode, judgement)
    _finish(episode)
    if judge is not None and (wanted := tables_wanted(episode)):
        return Composition(False, missing=wanted)
    melody, explanations, predicted = melody_of(episode, seconds)
    missing, extensions = _half(episode, judgement)
    catalogue = {node.spec.player: node.spec for node in episode.draft.nodes}
    unknown, gone = fit_columns(melody, catalogue, language_of(episode.prompt))
    missing += unknown
    explanations = [one for one in explanations if one["node"] not in gone]
    for text in missing:
        explanations.append({"node": "", "why": f"left out, what is missing is {text}", "confidence": 0.5})
    made = Composition(True, melody, explanations, predicted, missing, extensions, decisions)
    question = question_of(episode, melody) if judge is not None else None
    if question is not None:
        # One question a prompt: whatever else is open is taken as it is likelier, and told.
        made.question = question.to_json() if not episode.context.answers else None
        explanations.append({"node": "", "why": question.told(), "confidence": 0.5})
    return made


def play(episode: Episode, chooser: Chooser) -> list[dict[str, Any]]:
    """Chooses until STOP or until nothing may be added; answers with the log of the choices."""
    decisions: list[dict[str, Any]] = []
    while candidates := episode.candidates():
        action, likely = chooser(episode, candidates)
        name = "stop" if action == STOP else episode.table.functions[action].player
        decisions.append({"action": name, "probability": round(likely, 4), "candidates": len(candidates)})
        if action == STOP:
            break
        episode.step(action, likely)
    return decisions


def _finish(episode: Episode) -> None:
    episode.draft.prune()
    episode.draft.finish()


def _judge(episode: Episode, judge: Judge | None, policy: Policy | None) -> _Judgement | None:
    if judge is None:
        return None
    lacking: dict[int, Verdict] = {}
    verdicts, whole = judge.verdicts(episode, policy)
    for index, verdict in verdicts.items():
        clause = episode.clauses[index]
        words = len(content_words(clause.text))
        is_command = any(
            m.kind == "command" and clause.start <= m.start < clause.end for m in episode.mentions
        )
        is_answered = player_question(clause.text) in episode.context.answers
        if not words or is_command or is_answered or episode.only_details[index]:
            continue
        if fact := grounds.lacked(episode.by_clause[index], episode.usable, episode.barred):
            verdict = Verdict(0.0, fact=fact)
        beside = any(v.served >= SURE for place, v in verdicts.items() if place != index)
        least = BESIDE if beside else SERVED
        if verdict.served < (least if words > 1 else SERVED / 4):
            lacking[index] = verdict
    brought = undelivered(episode, judge, policy, lacking.keys())
    lacking = {i: verdict for i, verdict in lacking.items() if i not in brought}
    sure = {i for i, verdict in lacking.items() if verdict.fact} | {
        i for i, one in brought.items() if one.is_all
    }
    lacking |= {i: one.verdict for i, one in brought.items() if one.is_all}
    coarse = {i for i, c in enumerate(episode.clauses) if c.coarse}
    if coarse and coarse <= lacking.keys() - sure and _finds(episode):
        # The whole is known as one that is served, so that one of its parts must be, but for what has another
        # extension's name.
        likeliest = max(coarse, key=lambda i: lacking[i].served)
        if lacking[likeliest].served > 0.0:
            del lacking[likeliest]
    return _Judgement(lacking, whole, [one for one in brought.values() if not one.is_all], sure)


def _refuses(episode: Episode, judgement: _Judgement) -> bool:
    """Whether nothing remains that is worth doing.

    That is so when no clause can be served, or when what can be served only shows or orders results
    that nobody can make.
    """
    coarse = [i for i, c in enumerate(episode.clauses) if c.coarse]
    served = [i for i in coarse if i not in judgement.lacking]
    if episode.said is not None and episode.said.unserved[0] >= UNSERVED and not _finds(episode):
        return not episode.context.answers
    if not coarse:
        return judgement.whole.served < SERVED
    if not served:
        return bool(judgement.sure) or judgement.whole.served < SERVED + 0.2
    if not judgement.lacking:
        return False
    best = [int(np.where(episode.usable, episode.by_clause[i], -1.0).argmax()) for i in served]
    return not _finds(episode) and not any(episode.table.roles[f].is_source for f in best)


def _finds(episode: Episode) -> bool:
    """Whether something was found, or made, for requests like the prompt."""
    sources = episode.usable & episode.table.sources
    return bool(episode.remembered[sources].max(initial=0.0) >= FOUND)


def _serves_some(episode: Episode, judgement: _Judgement) -> bool:
    """Whether parts are lacking and others are not; where all seem to be, the whole sounded better than its parts."""
    coarse = {i for i, c in enumerate(episode.clauses) if c.coarse}
    return bool(judgement.lacking) and not coarse <= judgement.lacking.keys()


def _asks_only(episode: Episode) -> bool:
    """Whether every clause is for a Player that lacks a parameter, and what was chosen is another thing."""
    coverage = episode.coverage()
    coarse = [i for i, c in enumerate(episode.clauses) if c.coarse and not episode.only_details[i]]
    return bool(coarse) and all(coverage[i] < 0.75 and _needs(episode, [i]) for i in coarse)


def tables_wanted(episode: Episode) -> list[str]:
    """What to ask for where a calculation would be made on rows that nobody spoke of: the file with its columns."""
    found = []
    for place, node in enumerate(episode.draft.nodes):
        measures = [m for m in episode.filled(node.function).used if m.kind == "measure"]
        if not measures:
            continue
        sources = [episode.draft.nodes[p] for p in (*above(episode.draft.nodes, place), place)]
        sources = [n for n in sources if episode.table.roles[n.function].is_source]
        reads = [any(m.kind == "path" for m in episode.filled(n.function).used) for n in sources]
        if not any(reads) and not any(n.chosen or episode.does(n, measures[0]) for n in sources):
            found.append(f"the name of a file with the column {measures[0].value}")
    return list(dict.fromkeys(found))


def _refusal(episode: Episode, judgement: _Judgement | None) -> Composition:
    """Says what is missing: a parameter that the prompt does not give, or a Player that is not installed."""
    needs = _needs(episode, range(len(episode.by_clause)))
    lacking = judgement.lacking if judgement is not None else {}
    verdicts = list(lacking.values())
    if judgement is not None and not any(v.fact for v in verdicts):
        verdicts.append(judgement.whole)
    extensions = list(dict.fromkeys(e for v in verdicts for e in v.extensions))
    if needs and not lacking:
        return Composition(False, missing=needs, extensions=extensions)
    missing = _lacking(episode, lacking) or [_no_player(" ".join(episode.prompt.split())[:200])]
    return Composition(False, missing=missing, extensions=extensions)


def _half(episode: Episode, judgement: _Judgement | None) -> tuple[list[str], list[str]]:
    """What of a prompt was left out though the rest is possible."""
    lacking = dict(judgement.lacking) if judgement is not None else {}
    missing = _lacking(episode, lacking)
    if judgement is not None:
        missing += [_no_player(one.told) for one in judgement.undelivered]
    coverage = episode.coverage()
    open_clauses = [
        i
        for i in range(len(episode.by_clause))
        if coverage[i] < 0.75 and coarse_of(episode, i) not in lacking
    ]
    missing += _needs(episode, open_clauses)
    verdicts = list(lacking.values())
    if judgement is not None:
        verdicts += [one.verdict for one in judgement.undelivered]
    extensions = [e for v in verdicts for e in v.extensions]
    return missing, list(dict.fromkeys(extensions))


def _lacking(episode: Episode, lacking: Mapping[int, Verdict]) -> list[str]:
    """What is missing for clauses that cannot be served; what the project lacks is told once."""
    found = [_no_player(episode.clauses[i].text) for i, verdict in lacking.items() if not verdict.fact]
    for fact in dict.fromkeys(verdict.fact for verdict in lacking.values() if verdict.fact):
        found.append(grounds.told(fact, [_clause(episode, i) for i, v in lacking.items() if v.fact == fact]))
    return found


def _needs(episode: Episode, clauses: Any) -> list[str]:
    """For clauses whose best Player lacks a parameter: what the prompt would have to say."""
    found = []
    for index in clauses:
        scores = np.where(episode.usable, episode.by_clause[index], -1.0)
        best = int(scores.argmax()) if len(scores) else -1
        if best < 0 or scores[best] < 0.45 or episode.draft.has(best):
            continue
        spec, filled = episode.table.functions[best], episode.filled(best)
        found += [_needs_parameter(episode, index, spec.params[n].description or n) for n in filled.missing]
        role = episode.table.roles[best]
        if not filled.missing and role.takes_file and best not in episode.plans.cost:
            found.append(f"the name of a file of the project, for “{_clause(episode, index)}”")
    return list(dict.fromkeys(found))


def _needs_parameter(episode: Episode, index: int, what: str) -> str:
    return f"{what}, for “{_clause(episode, index)}”"


def _clause(episode: Episode, index: int) -> str:
    text = episode.clauses[index].text if index < len(episode.clauses) else episode.prompt
    return " ".join(text.split())[:120]


def _no_player(text: str) -> str:
    return f"a Player for “{' '.join(text.split())[:160]}”"
