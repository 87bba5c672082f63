"""`for each file that changed this week, summarise it`: one Player finds the things, others play for each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conductor.context import ComposeContext, Composition, ProjectFacts
from conductor.document import melody_name, node_entry
from conductor.draft import DraftNode, gathers, required_inputs
from conductor.episode import Episode, Table
from conductor.gloss import glossed, language_of
from conductor.params.languages import LANGUAGES
from conductor.words import content_words
from symphony.melody.control import EXTENSION

Document = dict[str, Any]

_EACH = (
    r"(?:for\s+(?:each|every)|für\s+jede[nrsm]?|bei\s+jede[rm]|pour\s+chaque|para\s+cada|por\s+cada)"
    r"(?:\s+(?:one\s+)?of\s+the)?"
)
_SOME = r"(?:each|every|jede[nrsm]?|chaque|cada)"
_RELATIVE = (
    r"(?:that|which|whose|under|in|inside|below|of|with|from|die|der|das|unter|im|mit|qui|que|dont|dans|sous|"
    r"avec|en|bajo|con|de|du|del)"
)
_OWN = r"(?:its|their|seine[nrsm]?|ihre[nrsm]?|ses|sus?)"
_FIRST = re.compile(
    rf"^\s*(?:please\s+)?{_EACH}\s+(?P<items>[^,:;?!]+?)\s*[,:]\s*(?P<action>.+)$", re.I | re.S
)
"""`for each X …, do this`."""
_LAST = re.compile(rf"^(?P<action>.+?)\s+{_EACH}\s+(?P<items>[^,:;?!]+?)[\s.!?]*$", re.I | re.S)
"""`do this for each X …`."""
_OBJECT = re.compile(
    rf"\b{_SOME}\s+(?P<items>(?:[\w+]+\s+){{1,2}}{_RELATIVE}\s+(?!{_OWN}\b)[^,;:?!]+?)(?=\s*[,;:?!]|\s+(?:and|und|et|y)\s|\s*$)",
    re.I,
)
"""`summarise every X that …`: the thing stands where the action has its object. `X with its …` tells nothing of X."""
_PRONOUN = re.compile(
    r"\b(?:it|them|(?:that|this|the)\s+file|sie|ihn|(?:diese|die)\s+datei|(?:ce|le)\s+fichier|(?:este|el)\s+archivo|"
    r"they|he\s+or\s+she|that\s+person)\b",
    re.I,
)
_POSSESSIVE = re.compile(r"\b(?:its|their|his|her|seine[nrsm]?|ihre[nrsm]?|ses|sus?)\s+", re.I)
_CLAUSE_END = re.compile(r"\s+(?:and|und|et|y|then|dann|puis|luego)\s|[,;?!]|\.(?=\s|$)|$", re.I)
_FILE, _PERSON = "each-one", "Eachone"
"""The file, without an ending, and the person that stand for all of them while the action is composed."""
_KINDS = {
    "file": frozenset(["file", "document", "module", "script", "page"]),
    "author": frozenset(["author", "contributor", "person", "developer", "committer"]),
}
"""What a thing may be, by the column that names it, and the words for it."""
LEAST = 0.3
"""From this score on a Player may be the one that finds the things."""


@dataclass(frozen=True, slots=True)
class Each:
    """What is meant (`files that changed this week`), its kind (`file`), and what shall be done with the stand-in."""

    items: str
    kind: str
    action: str
    stand_in: str


def each_in(prompt: str) -> Each | None:
    """The first such saying; None where there is none, or where what is meant is no kind of thing that is known.

    `do this for each X` without more about X is a calculation by X, and left to the others.
    """
    language = language_of(prompt)
    match = _FIRST.match(prompt) or _LAST.match(prompt) or _OBJECT.search(prompt)
    if match is None:
        return None
    items = match.group("items").strip()
    if _PRONOUN.search(items):
        return None  # the action has begun without a comma, and nobody knows where
    kind = _kind(items, language)
    if not kind or (match.re is _LAST and re.search(rf"\s{_RELATIVE}\s", items, re.I) is None):
        return None
    if match.re is _OBJECT and kind != "file":
        return None  # `how many commits did each author make` counts
    stand_in = _PERSON if kind == "author" else _stand_in(items)
    if match.re is _OBJECT:
        action = f"{prompt[: match.start()]}{stand_in}{prompt[match.end() :]}".strip()
    else:
        action = _with_object(match.group("action").strip(), stand_in, "by" if kind == "author" else "of")
    return Each(glossed(items, language), kind, action, stand_in)


def _with_object(action: str, stand_in: str, joint: str) -> str:
    """An action on `it` as one on the stand-in: in the pronoun's place, or at the end of its first clause."""
    place = _PRONOUN.search(action)
    if place is not None and joint == "of":
        return f"{action[: place.start()]}{stand_in}{action[place.end() :]}"
    action = _POSSESSIVE.sub("", action, count=1)
    end = _CLAUSE_END.search(action, 1)
    at = end.start() if end is not None else len(action)
    return f"{action[:at]} {joint} {stand_in}{action[at:]}"


def _kind(items: str, language: str) -> str:
    """The kind of the things, by the last word for one before what is said about them."""
    words = _head(items, language)
    kinds = [kind for word in words for kind, names in _KINDS.items() if word in names]
    return kinds[-1] if kinds else ""


def _head(items: str, language: str) -> list[str]:
    """The words for the things themselves in English, without what is said about them."""
    head = re.split(rf"\s{_RELATIVE}\s", f"{items} ", maxsplit=1, flags=re.I)[0]
    return [word.rstrip("s") for word in content_words(glossed(head, language))]


def unmet(prompt: str, episode: Episode) -> list[str]:
    """`for each X` where no step of the draft calculates by X or speaks of it: it was done once, and is told."""
    match = _FIRST.match(prompt) or _LAST.match(prompt)
    if match is None:
        return []
    start, end = match.span("items")
    words = set(_head(match.group("items"), language_of(prompt)))
    for node in episode.draft.nodes:
        by = any(
            m.kind == "columns" and m.start < end and start < m.end
            for m in episode.filled(node.function).used
        )
        spoken = {word.rstrip("s") for word in episode.table.own_words(node.function)}
        if by or words & spoken or not words:
            return []
    return [f"a Player that finds “{' '.join(match.group('items').split())}”, to do it for each"]


def focus(acting: Episode, each: Each) -> None:
    """Leaves only those Players to begin with that take the stand-in: the others would work on everything."""
    name = each.stand_in.lower()
    mentions = [m for m in acting.mentions if m.kind != "columns" or name not in map(str.lower, m.value)]
    takes = [any(m.value == each.stand_in for m in acting.filled(f).used) for f in range(len(acting.usable))]
    acting.narrow(mentions, ~acting.table.finders | np.array(takes, dtype=bool))


def _stand_in(items: str) -> str:
    """A file that no project has, of the language that the things are written in."""
    words = [w for w in content_words(items) if w in LANGUAGES]
    return f"{_FILE}.{LANGUAGES[words[0]] if words else 'txt'}"


def with_stand_in(context: ComposeContext, each: Each) -> ComposeContext:
    """The context in which the action is composed: the stand-in is a file of the project."""
    project = context.project or ProjectFacts()
    if each.kind != "file":
        return context
    return replace(context, project=replace(project, files=(*project.files, each.stand_in)))


def wish(each: Each) -> str:
    """What is said about the things, as a request of its own."""
    words = "|".join(name for names in _KINDS.values() for name in names)
    plural = re.sub(rf"\b({words})\b", r"\1s", each.items, count=1, flags=re.I)
    return f"list the {plural}"


def finder_of(episode: Episode, kind: str) -> DraftNode | None:
    """The Player that fits best what is said about the things, of those that make rows of just these things."""
    table = episode.table
    able = [
        f
        for f in episode.plans.cost
        if table.roles[f].is_source and not table.functions[f].effects and _output(table, f, kind)
    ]
    best = max(able, key=lambda f: float(episode.overall[f]), default=-1)
    if best < 0 or episode.overall[best] < LEAST:
        return None
    return DraftNode(best, table.functions[best])


def _output(table: Table, function: int, kind: str) -> str:
    """The output of a Player that is rows of such things, by its name and type; empty when there is none."""
    for port, made in table.functions[function].outputs.items():
        words = {w.rstrip("s") for w in content_words(re.sub(r"[^a-z]+", " ", f"{port} {made}"))}
        if table.typing.is_rows(made) and kind in words:
            return port
    return ""


def joined(each: Each, finding: Episode, acting: Episode, made: Composition) -> Composition | None:
    """What finds the things, a `map` for each branch that works on the stand-in, and the rest behind it.

    What cannot be done for a thing is refused. None where the action does not use the stand-in, changes something
    for each, or needs one result and gets many.
    """
    found = finder_of(finding, each.kind)
    if found is None:
        return None
    if made.melody is None:
        return replace(made, missing=[_told(text, each) for text in made.missing])
    melody = made.melody
    specs = {n["id"]: n for n in melody["nodes"]}
    drafted = dict(zip(specs, acting.draft.nodes, strict=False))
    users = [i for i, n in specs.items() if each.stand_in in n["params"].values()]
    branches = _branches(acting, melody, drafted, users)
    if not branches or any(drafted[i].spec.effects for branch in branches for i in branch):
        return None
    name = _free(found.spec.function.replace("_", "-"), specs)
    params = finding.filled(found.function).params
    source = node_entry(name, found, params, acting.context.means)
    output = _output(acting.table, found.function, each.kind)
    inside = {i for branch in branches for i in branch}
    nodes = [source, *(n for n in melody["nodes"] if n["id"] not in inside)]
    edges = [e for e in melody["edges"] if not {_end(e["from"]), _end(e["to"])} & inside]
    lines = [
        {
            "node": name,
            "why": f"finds “{' '.join(each.items.split())}”",
            "confidence": round(float(min(1.0, finding.overall[found.function])), 3),
        }
    ]
    lines += [line for line in made.explanations if line["node"] not in inside]
    for branch in branches:
        one = _map_of(each, acting, melody, drafted, branch, _free("each", {n["id"]: n for n in nodes}))
        if one is None:
            return None
        control, outer = one
        edges.append({"kind": "data", "from": f"{name}.{output}", "to": f"{control['id']}.items"})
        nodes.insert(1, control)
        edges += outer or _gathered(acting, nodes, control["id"], lines)
        why = [str(line["why"]) for line in made.explanations if line["node"] in branch]
        lines.append(
            {"node": control["id"], "why": f"for each {each.kind}: {'; '.join(why)}", "confidence": 1.0}
        )
    for node in nodes:
        if node["kind"] != "control":
            node["params"] = {k: _told(v, each) for k, v in node["params"].items()}
    whole = {**melody, "nodes": nodes, "edges": edges}
    whole["name"] = melody_name(f"each {each.items}")
    whole["metadata"] = {**melody["metadata"], "tags": sorted({*melody["metadata"]["tags"], *_tag(found)})}
    return replace(
        made,
        melody=whole,
        explanations=[{**line, "why": _told(line["why"], each)} for line in lines],
        missing=[_told(text, each) for text in made.missing],
        predicted_seconds=round(made.predicted_seconds + found.spec.seconds, 3),
        question=None,
    )


def _branches(
    acting: Episode, melody: Document, drafted: Mapping[str, DraftNode], users: list[str]
) -> list[list[str]]:
    """For each node that uses the stand-in: it and what works on its results alone, up to what shows or gathers."""
    roles = acting.table.roles
    found = []
    for user in users:
        if user not in drafted:
            return []
        branch = [user]
        for name, node in drafted.items():
            sources = {_end(e["from"]) for e in melody["edges"] if _end(e["to"]) == name}
            shows = roles[node.function].is_gatherer or roles[node.function].presents
            if name not in branch and sources and sources <= set(branch) and not shows:
                branch.append(name)
        found.append(branch)
    flat = [name for branch in found for name in branch]
    return found if len(set(flat)) == len(flat) else []


def _map_of(
    each: Each,
    acting: Episode,
    melody: Document,
    drafted: Mapping[str, DraftNode],
    branch: list[str],
    name: str,
) -> tuple[Document, list[Document]] | None:
    """The control node that plays a branch for each thing, and the edges from it to what takes the results."""
    inner = [e for e in melody["edges"] if _end(e["from"]) in branch and _end(e["to"]) in branch]
    last = [i for i in branch if not any(_end(e["from"]) == i for e in inner)]
    outer = [e for e in melody["edges"] if _end(e["from"]) in branch and _end(e["to"]) not in branch]
    if len(last) != 1 or any(_end(e["from"]) != last[0] for e in outer):
        return None
    entries = [n for n in melody["nodes"] if n["id"] in branch]
    bind = {
        f"{n['id']}.{key}" if len(branch) > 1 else key: each.kind
        for n in entries
        for key, value in n["params"].items()
        if value == each.stand_in
    }
    bare = [
        {**n, "params": {k: _as_one(v, each) for k, v in n["params"].items() if v != each.stand_in}}
        for n in entries
    ]
    outputs = drafted[last[0]].spec.outputs
    port = outer[0]["from"].partition(".")[2] if outer else next(iter(outputs))
    is_rows = acting.table.typing.is_rows(outputs[port])
    made = "list<record>" if is_rows else "list<any>"
    takers = [drafted[_end(e["to"])].spec.inputs[e["to"].partition(".")[2]] for e in outer]
    if not all(acting.table.typing.feeds(made, taken) for taken in takers):
        return None
    given: Document = {"bind": bind, "output": port, **({"type": made} if is_rows else {})}
    if len(branch) == 1:
        given |= {"player": bare[0]["player"], "params": bare[0]["params"]}
    else:
        given["melody"] = {
            "format": melody["format"],
            "name": f"{melody['name']}-each",
            "version": melody["version"],
            "nodes": bare,
            "edges": inner,
        }
    control = {"id": name, "kind": "control", "player": f"{EXTENSION}#map", "params": given}
    return control, [{**e, "from": f"{name}.items"} for e in outer]


def _gathered(acting: Episode, nodes: list[Document], name: str, lines: list[Document]) -> list[Document]:
    """Results that nothing takes are put into one document, by the cheapest Player that gathers what there is."""
    table = acting.table
    able = [
        f
        for f, spec in enumerate(table.functions)
        if acting.usable[f]
        and not spec.effects
        and any(gathers(spec.inputs[p]) for p in required_inputs(spec))
    ]
    if not able:
        return []
    best = min(able, key=lambda f: (table.step_costs[f] - float(acting.overall[f]), f))
    spec = table.functions[best]
    port = next(p for p in required_inputs(spec) if gathers(spec.inputs[p]))
    there = next((n["id"] for n in nodes if n["player"] == spec.player), "")
    if not there:
        there = _free(next(iter(spec.outputs)), {n["id"]: n for n in nodes})
        entry = node_entry(there, DraftNode(best, spec), {}, acting.context.means)
        nodes.append(entry)
        lines.append(
            {"node": there, "why": f"puts the results of {name} into one document", "confidence": 1.0}
        )
    return [{"kind": "data", "from": f"{name}.items", "to": f"{there}.{port}"}]


def _told(value: Any, each: Each) -> Any:
    """A text that names the stand-in, with what it stands for."""
    return value.replace(each.stand_in, f"each {each.items}") if isinstance(value, str) else value


def _as_one(value: Any, each: Each) -> Any:
    """A text that names the stand-in, for the one thing that it is given."""
    return value.replace(each.stand_in, f"this {each.kind}") if isinstance(value, str) else value


def _tag(node: DraftNode) -> set[str]:
    return {node.spec.extension.partition("/")[2]}


def _end(written: str) -> str:
    return written.partition(".")[0]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
