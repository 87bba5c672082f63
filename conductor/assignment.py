"""Gives each node of a finished draft the parameters that the prompt means for it."""

from __future__ import annotations

from collections.abc import Sequence

from conductor.draft import Draft, DraftNode, gathers, optional_inputs
from conductor.episode import Episode
from conductor.params.fill import Filled, Scope, fill, is_count, is_file
from conductor.params.mentions import Mention
from conductor.topic import topic_of


def coarse_of(episode: Episode, clause: int) -> int:
    """The sentence-level clause that holds a clause, by index; -1 when there is none."""
    if not 0 <= clause < len(episode.clauses):
        return -1
    return clause_at(episode, episode.clauses[clause].start)


def clause_at(episode: Episode, place: int) -> int:
    """The index of the coarse clause at a place of the prompt; the nearest before it between clauses."""
    nearest = -1
    for index, clause in enumerate(episode.clauses):
        if clause.coarse and clause.start <= place:
            nearest = index
    return nearest


def assign(episode: Episode) -> list[Filled]:
    """Parameters for every node, in the nodes' order.

    A mention belongs to the nodes of its own clause and to those that work on the same data: a time
    given once holds for all that is ranked together. What no node of its clause can use holds for
    everything. A count goes to the last step that makes rows, so that nothing is cut off before it is
    ranked.
    """
    draft = episode.draft
    groups = _groups(draft)
    homes = [_home(episode, place) for place in range(len(draft.nodes))]
    clause_of = {id(m): clause_at(episode, m.start) for m in episode.mentions}
    claimed = _claimed(episode, homes, clause_of)
    counters = _counting_nodes(draft, groups)
    topic = topic_of(episode)
    results = []
    for place, node in enumerate(draft.nodes):
        friends = {homes[p] for p in range(len(draft.nodes)) if groups[p] == groups[place]}
        visible = [
            m
            for m in episode.mentions
            if clause_of[id(m)] == homes[place] or clause_of[id(m)] in friends or id(m) not in claimed
        ]
        if place not in counters:
            visible = [m for m in visible if m.kind != "count" or _is_named(m, node, episode.prompt)]
        filled = fill(node.spec, _scope(episode, homes[place], visible, topic))
        if filled.missing or _lacks_file(node, filled):
            filled = fill(node.spec, _scope(episode, homes[place], episode.mentions, topic))
        _drop_file(node, filled)
        if episode.asking is not None:
            home = episode.clauses[homes[place]] if homes[place] >= 0 else None
            clause = (home.start, home.end) if home is not None else None
            episode.asking.complete(node.spec, filled, episode.mentions, clause)
        results.append(filled)
    _widen_presentations(draft, groups, results, episode.mentions)
    return results


def _scope(episode: Episode, home: int, mentions: Sequence[Mention], topic: str = "") -> Scope:
    clause = episode.clauses[home].text if home >= 0 else episode.prompt
    context = episode.context
    return Scope(episode.prompt, clause, mentions, context.project, episode.now, context.preferences, topic)


def scope_of(episode: Episode) -> Scope:
    """The whole prompt, for what stands for all of it."""
    return _scope(episode, -1, episode.mentions)


def _home(episode: Episode, place: int) -> int:
    """The coarse clause that a node serves; a step that nobody asked for serves its best clause, too."""
    node = episode.draft.nodes[place]
    best = node.clause if node.clause >= 0 else int(episode.best_clause[node.function])
    return coarse_of(episode, best)


def _groups(draft: Draft) -> list[int]:
    """Nodes that work on the same data, joined through every edge but those that only gather."""
    group = list(range(len(draft.nodes)))
    for place, node in enumerate(draft.nodes):
        for port, sources in node.inputs.items():
            if gathers(node.spec.inputs[port]):
                continue
            for source, _ in sources:
                old, new = group[source], group[place]
                group = [new if g == old else g for g in group]
    return group


def _claimed(episode: Episode, homes: Sequence[int], clause_of: dict[int, int]) -> set[int]:
    """The mentions that a node of their own clause uses."""
    claimed: set[int] = set()
    for place, node in enumerate(episode.draft.nodes):
        own = [m for m in episode.mentions if clause_of[id(m)] == homes[place]]
        used = fill(node.spec, _scope(episode, homes[place], own)).used
        claimed |= {id(m) for m in own if m in used}
    return claimed


def _counting_nodes(draft: Draft, groups: Sequence[int]) -> set[int]:
    """In each group the last node that makes rows and can limit them, or else the last that can."""
    chosen: dict[int, int] = {}
    makes_rows: dict[int, bool] = {}
    for place, node in enumerate(draft.nodes):
        if not any(is_count(n, p) for n, p in node.spec.params.items()):
            continue
        rows = any(draft.typing.is_rows(t) for t in node.spec.outputs.values())
        if rows or not makes_rows.get(groups[place], False):
            chosen[groups[place]] = place
            makes_rows[groups[place]] = rows
    return set(chosen.values())


def _is_named(mention: Mention, node: DraftNode, prompt: str) -> bool:
    """Whether the words of a count name a parameter of the node: `in three sentences`."""
    words = prompt[mention.start : mention.end + 16].lower()
    return any(name.rstrip("s") in words for name, p in node.spec.params.items() if p.type == "integer")


def _lacks_file(node: DraftNode, filled: Filled) -> bool:
    """Whether a node that reads a file or an edge has neither."""
    files = {name for name, param in node.spec.params.items() if is_file(param)}
    open_inputs = optional_inputs(node.spec)
    return (
        bool(files and open_inputs)
        and not files & filled.params.keys()
        and not any(p in node.inputs for p in open_inputs)
    )


def _drop_file(node: DraftNode, filled: Filled) -> None:
    """A node that is fed by an edge does not read a file as well."""
    if any(port in node.spec.optional for port in node.inputs):
        for name, param in node.spec.params.items():
            if is_file(param):
                filled.params.pop(name, None)


def _widen_presentations(
    draft: Draft, groups: Sequence[int], results: Sequence[Filled], mentions: Sequence[Mention]
) -> None:
    """A presentation that by default shows fewer than the count asked for shows as many."""
    counts = [m.value for m in mentions if m.kind == "count"]
    if not counts:
        return
    for place, node in enumerate(draft.nodes):
        limited = any(
            counts[0] in filled.params.values()
            for p, filled in enumerate(results)
            if groups[p] == groups[place]
        )
        for name, param in node.spec.params.items():
            smaller = isinstance(param.default, int) and param.default < counts[0]
            fits = param.maximum is None or counts[0] <= param.maximum
            if limited and smaller and fits and is_count(name, param):
                results[place].params.setdefault(name, counts[0])
