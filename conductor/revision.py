"""Revises a Melody by what a second prompt asks for: the smallest change to its document.

A prompt that follows another says what to take out, what to add, and which parameters to set otherwise.
Nodes, ids, edges and values that it does not speak of stay as they are, those drawn by hand included.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conductor.assignment import assign
from conductor.composer import SERVED, Chooser
from conductor.context import Composition
from conductor.document import critical_seconds, explain, melody_name, node_entry, node_names, value_text
from conductor.draft import Draft, DraftNode, Output, gathers
from conductor.episode import CLEAR, Episode, Table
from conductor.facts import UNSERVED
from conductor.negation import Unwanted
from conductor.params.fill import Filled, Scope, fill, is_title
from conductor.params.mentions import Mention, mentions_of
from conductor.policy import Policy
from conductor.refusal import Judge
from conductor.rules import STOP, TELLING
from conductor.standing import Document, above, node_of, port_of, standing_of
from conductor.words import content_words, fold

NEAR = 0.45
"""From this score on the Player that a clause comes closest to is what it asks for."""

VALUE = 0.5
"""What it counts for a node that all words are values of its parameters."""


@dataclass(slots=True)
class _Change:
    """What happened, in words, by node."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, node: str, why: str, confidence: float = 1.0) -> None:
        """Adds a line."""
        self.lines.append({"node": node, "why": why, "confidence": round(confidence, 3)})


class Revision:
    """One revision in the making.

    Args:
        table: the Players.
        melody: the document that is revised; it is not changed.
    """

    def __init__(self, table: Table, melody: Document) -> None:
        self.table = table
        self.document: Document = copy.deepcopy(melody)
        self.standing = standing_of(table, self.document)
        self.told = _Change()
        self.unmet: list[str] = []

    def take_out(self, unwanted: Sequence[Unwanted], episode: Episode) -> None:
        """Removes nodes, or values of parameters, that the prompt wants gone."""
        for part in unwanted:
            said = f"“{' '.join(part.text.split())}”"
            if self._forget_value(part.text, whole=True):
                continue
            place = self._meant(part.text, episode)
            if place >= 0:
                self._remove(self.standing.ids[place], f"taken out, as asked: {said}")
            elif not self._forget_value(part.text, whole=False):
                self.unmet.append(f"what {said} stands for in this Melody")

    def _meant(self, text: str, episode: Episode) -> int:
        """The node that a few words name: by its Player's texts, or by one word that only it uses."""
        if not self.standing.nodes:
            return -1
        catalogue = self.table.catalogue
        vectors = episode.embed([text]) if episode.embed is not None else None
        scores = catalogue.scores([text], vectors)[0]
        values = [self._values(node) for node in self.standing.ids]
        words = content_words(text)
        # What stands in a parameter says nothing of another Player that has an example with that word.
        telling = " ".join(w for w in words if not any(_bare(w) in known for known in values))
        evidence = catalogue.evidence(telling).max(axis=0, initial=0.0)
        own = [n.function for n in self.standing.nodes]
        strength = np.maximum(scores[own], np.where(evidence[own] >= TELLING, 1.0 + evidence[own], 0.0))
        if words:
            strength += VALUE * np.array(
                [sum(_bare(w) in known for w in words) / len(words) for known in values]
            )
        best = int(strength.argmax())
        return best if strength[best] >= CLEAR else -1

    def _values(self, node: str) -> set[str]:
        """The words that are values of a node's parameters."""
        entry = next(n for n in self.document["nodes"] if n["id"] == node)
        return {
            _bare(word)
            for value in entry.get("params", {}).values()
            for one in (value if isinstance(value, list) else [value])
            for word in content_words(str(one))
        }

    def _forget_value(self, text: str, *, whole: bool) -> bool:
        """Takes a value out of the parameters that the text names, or whose parameter it names.

        Of a list only that element goes. `whole` wants the text to be just this name.
        """
        words = {_bare(w) for w in content_words(text)}

        def is_named(said: object) -> bool:
            plain = _bare(fold(str(said)))
            return words == {plain} if whole else plain in words

        for node in self.document["nodes"]:
            for name, value in list(node.get("params", {}).items()):
                rest = [v for v in value if not is_named(v)] if isinstance(value, list) else []
                if isinstance(value, list) and 0 < len(rest) < len(value):
                    node["params"][name] = rest
                elif is_named(name) or (
                    not rest and (is_named(value) or (value and isinstance(value, list)))
                ):
                    del node["params"][name]
                else:
                    continue
                self.told.tell(node["id"], f"no longer {name} = {value_text(value)}")
                return True
        return False

    def _remove(self, node: str, why: str) -> None:
        """Takes a node out; who took its results takes what it took, or another's, or goes, too."""
        edges = self.document["edges"]
        sources = [e["from"] for e in edges if e["kind"] == "data" and node_of(e["to"]) == node]
        takers = [e for e in edges if e["kind"] == "data" and node_of(e["from"]) == node]
        self.document["nodes"] = [n for n in self.document["nodes"] if n["id"] != node]
        self.document["edges"] = [e for e in edges if node not in (node_of(e["from"]), node_of(e["to"]))]
        self.told.tell(node, why)
        self.standing = standing_of(self.table, self.document)
        for edge in takers:
            taker = edge["to"]
            if node_of(taker) not in {n["id"] for n in self.document["nodes"]} or self._rewire(
                taker, sources
            ):
                continue
            if self._needs(taker):
                self._remove(node_of(taker), f"taken out with {node}, from which it had its {port_of(taker)}")

    def _rewire(self, taker: str, sources: Sequence[str]) -> bool:
        """Feeds a port from the first of `sources` whose type suits it, from all of them where it gathers."""
        wanted = self._type(taker, inputs=True)
        there = {(e["from"], e["to"]) for e in self.document["edges"]}
        found = [s for s in sources if wanted and self._feeds(s, wanted)]
        for source in found if wanted and gathers(wanted) else found[:1]:
            if (source, taker) not in there:
                self.document["edges"].append({"kind": "data", "from": source, "to": taker})
        return bool(found)

    def _feeds(self, source: str, wanted: str) -> bool:
        made = self._type(source, inputs=False)
        return bool(made) and self.table.typing.feeds(made, wanted)

    def _type(self, end: str, *, inputs: bool) -> str:
        place = self.standing.place(node_of(end))
        if place < 0:
            return ""
        spec = self.standing.nodes[place].spec
        return (spec.inputs if inputs else spec.outputs).get(port_of(end), "")

    def _needs(self, taker: str) -> bool:
        """Whether a port that nothing feeds any more has to be fed."""
        if any(e["to"] == taker for e in self.document["edges"]):
            return False
        place = self.standing.place(node_of(taker))
        return place < 0 or port_of(taker) not in self.standing.nodes[place].spec.optional

    def add(self, episode: Episode, chooser: Chooser, *, beside: bool) -> None:
        """Adds the Players that the prompt asks for and the Melody lacks.

        A step that turns rows into rows goes between its source and who took from that, unless the
        prompt wants it `beside` the rest.
        """
        first, settled = len(self.standing.nodes), _settled(episode)
        while candidates := episode.candidates():
            action, likely = chooser(episode, candidates)
            if action == STOP or not _is_asked(episode, action, settled):
                break
            episode.step(action, likely)
        for clause in (c for c in range(len(episode.clauses)) if c not in settled):
            self._answer(episode, clause)
        draft = episode.draft
        draft.prune()
        for place in range(first, len(draft.nodes)):
            _gather(draft, place)
        ids = self.standing.ids + node_names(draft.nodes[first:], [n["id"] for n in self.document["nodes"]])
        filled = assign(episode)
        for place in range(first, len(draft.nodes)):
            self._write(episode, place, ids, filled)
        for place in range(first, len(draft.nodes)):
            self._connect(episode, place, ids, first, beside=beside)
        self._set(episode, first, filled)
        self.standing = standing_of(self.table, self.document)

    def _answer(self, episode: Episode, clause: int) -> None:
        """Adds the Player that a clause comes closest to, when the Melody lacks it."""
        scores = np.where(episode.usable, episode.by_clause[clause], -1.0)
        best = int(scores.argmax())
        is_wanted = episode.clauses[clause].coarse and not episode.only_details[clause]
        if is_wanted and scores[best] >= NEAR and best in episode.candidates():
            episode.step(best, min(1.0, float(scores[best])))

    def _write(self, episode: Episode, place: int, ids: Sequence[str], filled: Sequence[Filled]) -> None:
        """Puts a new node and its edges into the document."""
        node = episode.draft.nodes[place]
        entry = node_entry(ids[place], node, filled[place].params, episode.context.means)
        self.document["nodes"].append(entry)
        for port, sources in node.inputs.items():
            for source, output in sources:
                self._join(f"{ids[source]}.{output}", f"{ids[place]}.{port}")
        self.told.lines.append(explain(episode, place, ids, filled[place]))

    def _join(self, source: str, target: str) -> None:
        edge = {"kind": "data", "from": source, "to": target}
        if edge not in self.document["edges"]:
            self.document["edges"].append(edge)

    def _connect(self, episode: Episode, place: int, ids: Sequence[str], first: int, *, beside: bool) -> None:
        """Leads what a new node makes to those of the old ones that should take it."""
        node, role = episode.draft.nodes[place], self.table.roles[episode.draft.nodes[place].function]
        inserted = role.transforms and not role.presents and not beside
        typing = self.table.typing
        replaces = not beside and not all(map(typing.accompanies, node.spec.outputs.values()))
        before = above(episode.draft.nodes, place)
        for old in range(first):
            if old in before:
                continue
            target = episode.draft.nodes[old]
            for port, sources in list(target.inputs.items()):
                wanted = target.spec.inputs[port]
                made = next((o for o, t in node.spec.outputs.items() if self._fits(t, wanted)), None)
                if made is None:
                    continue
                takes = inserted or (gathers(wanted) and replaces)
                taken = [s for s in sources if takes and _is_source(node, s)]
                for source, output in taken:
                    edge = {
                        "kind": "data",
                        "from": f"{ids[source]}.{output}",
                        "to": f"{ids[old]}.{port}",
                    }
                    self.document["edges"] = [e for e in self.document["edges"] if e != edge]
                if taken or (gathers(wanted) and not episode.draft.is_superseded(place)):
                    self._join(f"{ids[place]}.{made}", f"{ids[old]}.{port}")

    def _fits(self, made: str, wanted: str) -> bool:
        return self.table.typing.feeds(made, wanted)

    def _set(self, episode: Episode, first: int, filled: Sequence[Filled]) -> None:
        """Sets the parameters of old nodes that the prompt gives and no new node has taken for itself."""
        taken = [m for f in filled[first:] for m in f.used]
        left = [m for m in episode.mentions if m not in taken]
        named = addressed(episode)
        for place in range(first):
            node = episode.draft.nodes[place]
            given = self._given(episode, node, filled[place], left, named)
            entry = next(n for n in self.document["nodes"] if n["id"] == self.standing.ids[place])
            before = entry.setdefault("params", {})
            for name, value in given.items():
                if before.get(name, node.spec.params[name].default) == value:
                    continue
                was = f", was {value_text(before[name])}" if name in before else ""
                self._say_otherwise(episode, before.get(name), value)
                before[name] = value
                self.told.tell(entry["id"], f"{name} = {value_text(value)}{was}")

    def _say_otherwise(self, episode: Episode, old: Any, new: Any) -> None:
        """Titles, and a name that the first prompt gave, follow a value: `in the last 90 days` becomes `7 days`."""
        spoken = next((m for m in episode.mentions if m.value == new), None)
        if spoken is None or old is None:
            return
        words = episode.prompt[spoken.start : spoken.end]
        context = episode.context

        def respoken(text: str) -> str:
            for mention in mentions_of(text, context.project, episode.now):
                if mention.kind == spoken.kind and mention.value == old:
                    # `in the last 90 days` keeps its `in` when only `the last 7 days` was said.
                    kept = text.find(words.split()[0], mention.start, mention.end)
                    return text[: max(kept, mention.start)] + words + text[mention.end :]
            return text

        for place, node in enumerate(self.standing.nodes):
            entry = next(n for n in self.document["nodes"] if n["id"] == self.standing.ids[place])
            for name, value in entry.get("params", {}).items():
                if isinstance(value, str) and name in node.spec.params and is_title(node.spec.params[name]):
                    entry["params"][name] = respoken(value)
        before = str(self.document.get("description", ""))
        after = respoken(before)
        if self.document.get("name") == melody_name(before):
            self.document["name"] = melody_name(after)

    def _given(
        self,
        episode: Episode,
        node: DraftNode,
        filled: Filled,
        left: Sequence[Mention],
        named: set[int],
    ) -> dict[str, Any]:
        """What of a node's parameters comes from the prompt's mentions; all of them when it is spoken of."""

        def with_mentions(mentions: Sequence[Mention]) -> dict[str, Any]:
            context = episode.context
            scope = Scope(episode.prompt, episode.prompt, mentions, context.project, episode.now)
            return fill(node.spec, scope).params

        silent, spoken = with_mentions(()), with_mentions(left)
        exact = [m.value for m in left if m.kind in ("text", "code")]
        given = {}
        for name, value in filled.params.items():
            param = node.spec.params[name]
            whole = isinstance(value, str) and value.strip() == episode.prompt.strip()
            from_mention = name in spoken and (spoken[name] != silent.get(name) or spoken[name] in exact)
            is_named = bool(param.choices) or param.type == "boolean"
            if not whole and (from_mention or is_named or (node.function in named and param.required)):
                given[name] = value
        return given


def revise(
    revision: Revision,
    unwanted: Sequence[Unwanted],
    episode: Episode,
    chooser: Chooser,
    judge: Judge,
    policy: Policy | None,
    seconds: Mapping[str, float],
    prompt: str,
) -> Composition:
    """Carries a revision out. `episode` is that of the prompt without what is `unwanted`."""
    if unwanted:
        revision.take_out(unwanted, episode)
    lacking: list[str] = []
    extensions: list[str] = []
    if content_words(episode.prompt):
        episode.resume(revision.standing.nodes)
        lacking, extensions = _lacking(episode, judge, policy)
        if len(lacking) < sum(c.coarse for c in episode.clauses) or not episode.clauses:
            revision.add(episode, chooser, beside=_is_beside(prompt))
    missing = [*revision.unmet, *(f"a Player for “{text}”" for text in lacking)]
    if not revision.told.lines or not revision.document["nodes"]:
        nothing = f"what “{' '.join(prompt.split())[:160]}” should change in this Melody"
        return Composition(False, missing=missing or [nothing], extensions=extensions)
    document = revision.document
    document["description"] = _described(document.get("description", ""), prompt)
    document.pop("id", None)
    lines = revision.told.lines
    for text in missing:
        lines.append({"node": "", "why": f"left out, what is missing is {text}", "confidence": 0.5})
    return Composition(True, document, lines, _predicted(revision, seconds), missing, extensions)


def addressed(episode: Episode) -> set[int]:
    """The Players of the draft that a clause comes closest to of all there are."""
    masked = np.where(episode.usable, episode.by_clause, -1.0)
    best = {int(masked[clause].argmax()) for clause in range(len(masked)) if masked[clause].max() >= CLEAR}
    return best & {n.function for n in episode.draft.nodes}


def _lacking(episode: Episode, judge: Judge, policy: Policy | None) -> tuple[list[str], list[str]]:
    """Clauses that no Player serves and that set no parameter of the Melody; extensions that would."""
    texts: list[str] = []
    extensions: list[str] = []
    sets = _settable(episode)
    for index, verdict in judge.verdicts(episode, policy)[0].items():
        clause = episode.clauses[index]
        if episode.only_details[index] or any(clause.start <= m.start < clause.end for m in sets):
            continue
        words = episode.table.catalogue.evidence(clause.text).max(initial=0.0)
        if verdict.served < SERVED and words < TELLING:
            texts.append(" ".join(clause.text.split())[:160])
            extensions += verdict.extensions
    return texts, list(dict.fromkeys(extensions))


def _settable(episode: Episode) -> list[Mention]:
    """The mentions that a parameter of the draft's nodes can take."""
    context = episode.context
    scope = Scope(episode.prompt, episode.prompt, episode.mentions, context.project, episode.now)
    return [m for node in episode.draft.nodes for m in fill(node.spec, scope).used]


def _settled(episode: Episode) -> set[int]:
    """Clauses that say little more than a value which a parameter of the Melody takes: `limit it to docs`."""
    taken = _settable(episode)
    found = set()
    for index, clause in enumerate(episode.clauses):
        letters = list(episode.prompt)
        inside = [m for m in taken if clause.start <= m.start < clause.end]
        for mention in inside:
            letters[mention.start : mention.end] = " " * (mention.end - mention.start)
        if inside and len(content_words("".join(letters[clause.start : clause.end]))) <= 1:
            found.add(index)
    return found


def _is_asked(episode: Episode, function: int, settled: set[int]) -> bool:
    """Whether something the prompt says, and nothing in the Melody answers, is for a Player."""
    open_words = episode.open_evidence()[function] >= TELLING
    clause = int(episode.best_clause[function])
    is_open = clause not in settled and episode.coverage()[clause] < UNSERVED
    return bool(open_words or is_open)


_BESIDE = frozenset(
    ("also", "too", "well", "additionally", "besides", "auch", "zusatzlich", "außerdem", "aussi", "egalement",
     "tambien", "ademas")
)  # fmt: skip


def _is_beside(prompt: str) -> bool:
    """Whether the prompt wants something more, not something in between."""
    return any(fold(word.strip(".,!?")) in _BESIDE for word in prompt.split())


def _gather(draft: Draft, place: int) -> None:
    """Connects a new node's gathering inputs to all results but those that come of it."""
    nodes = draft.nodes
    for port, wanted in nodes[place].spec.inputs.items():
        if gathers(wanted) and port not in nodes[place].spec.optional:
            later = [
                p
                for p in range(place + 1, len(nodes))
                if place not in above(nodes, p) and not any(map(gathers, nodes[p].spec.inputs.values()))
            ]
            nodes[place].inputs[port] = draft.results_of([*range(place), *later], wanted)


def _is_source(node: DraftNode, output: Output) -> bool:
    return any(output in sources for sources in node.inputs.values())


def _predicted(revision: Revision, seconds: Mapping[str, float]) -> float:
    return critical_seconds(standing_of(revision.table, revision.document).nodes, seconds)


def _described(before: str, prompt: str) -> str:
    said = " ".join(prompt.split())
    return f"{before.rstrip(' .')}. Then: {said}"[:500] if before else said[:500]


def _bare(word: str) -> str:
    return word.removesuffix("s")
