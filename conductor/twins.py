"""The same steps for each of several things that stand side by side in a prompt: `the churn of src and docs`."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from conductor.draft import gathers
from conductor.episode import Episode
from conductor.params.mentions import Mention

Document = dict[str, Any]

REPEATED = frozenset(("path", "folder", "person", "duration", "date"))
"""Kinds of mentions that steps are repeated for."""
MOST = 8
_JOINT = re.compile(
    r"\s*(?:,|\band\b|\bor\b|\bwith\b|\bto\b|\bagainst\b|\bvs\.?|\bversus\b|\bund\b|\bmit\b|\bet\b|\bavec\b|\by\b|"
    r"\bcon\b|&|\s|\bthe\b|\bof\b|\bin\b|\bby\b|\bfrom\b|\bthose\b)*\s*",
    re.IGNORECASE,
)


def repeat(episode: Episode, melody: Document, lines: list[dict[str, Any]]) -> list[str]:
    """Repeats the steps that use the first of several things for the others, up to where results are gathered.

    Only things that no step uses are meant; a step that changes something is never repeated. Answers with the
    words of those for which steps were repeated.
    """
    done = []
    for group in _groups(episode):
        first, *others = group
        users = [node["id"] for node in melody["nodes"] if _uses(node, first)]
        unused = [m for m in others if not any(_uses(node, m) for node in melody["nodes"])]
        branch = _branch(episode, melody, users) if users else []
        if not branch or not unused or _has_effects(episode, melody, branch):
            continue
        for number, mention in enumerate(unused[: MOST - 1], start=2):
            _copy(melody, branch, first, mention, number, lines)
            done.append(episode.prompt[mention.start : mention.end])
    return done


def _groups(episode: Episode) -> list[list[Mention]]:
    """Mentions of one kind with nothing but `and`, `with`, a comma between them."""
    found: list[list[Mention]] = []
    for mention in episode.mentions:
        if mention.kind not in REPEATED:
            continue
        last = found[-1][-1] if found else None
        between = episode.prompt[last.end : mention.start] if last is not None else ""
        if last is not None and last.kind == mention.kind and between and _JOINT.fullmatch(between):
            found[-1].append(mention)
        else:
            found.append([mention])
    return [group for group in found if len(group) > 1]


def _uses(node: Document, mention: Mention) -> bool:
    return any(value == mention.value for value in node.get("params", {}).values())


def _branch(episode: Episode, melody: Document, users: Sequence[str]) -> list[str]:
    """The nodes that are repeated: those which use the thing, and what works on their results alone."""
    gathering = {
        name
        for name, node in zip((n["id"] for n in melody["nodes"]), episode.draft.nodes, strict=False)
        if any(gathers(t) for t in node.spec.inputs.values())
    }
    feeds = [
        (e["from"].partition(".")[0], e["to"].partition(".")[0])
        for e in melody["edges"]
        if e["kind"] == "data"
    ]
    branch = list(users)
    for node in (n["id"] for n in melody["nodes"]):
        sources = {a for a, b in feeds if b == node}
        if node not in branch and node not in gathering and sources and sources & set(branch):
            branch.append(node)
    return [n["id"] for n in melody["nodes"] if n["id"] in branch]


def _has_effects(episode: Episode, melody: Document, branch: Sequence[str]) -> bool:
    names = [node["id"] for node in melody["nodes"]]
    return any(episode.draft.nodes[names.index(name)].spec.effects for name in branch if name in names)


def _copy(
    melody: Document,
    branch: Sequence[str],
    first: Mention,
    other: Mention,
    number: int,
    lines: list[dict[str, Any]],
) -> None:
    """The branch once more, for another thing; what gathered the first gathers this, too."""
    names = {name: _free(f"{name}-{number}", melody) for name in branch}
    for node in [n for n in melody["nodes"] if n["id"] in names]:
        twin = copy.deepcopy(node)
        twin["id"] = names[node["id"]]
        for key, value in twin["params"].items():
            if value == first.value:
                twin["params"][key] = other.value
        melody["nodes"].append(twin)
        lines.append({"node": twin["id"], "why": f"as {node['id']}, for {other.value}", "confidence": 1.0})
    for edge in list(melody["edges"]):
        (source, _, output), (target, _, port) = edge["from"].partition("."), edge["to"].partition(".")
        if target in names:
            twin_source = names.get(source, source)
            melody["edges"].append(
                {**edge, "from": f"{twin_source}.{output}", "to": f"{names[target]}.{port}"}
            )
        elif source in names:
            melody["edges"].append({**edge, "from": f"{names[source]}.{output}"})


def _free(name: str, melody: Document) -> str:
    taken, number, found = {node["id"] for node in melody["nodes"]}, 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
