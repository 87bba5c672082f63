"""What a prompt says of when and how often: `only if there are more than 10`, `until it works`, `ask me before`.

The words are taken out of the prompt before it is composed, so that what remains asks for steps alone; the
control nodes and edges are put into the finished Melody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conductor.draft import required_inputs
from conductor.episode import Episode
from conductor.params.mentions import NUMBER_WORDS
from symphony.melody.control import EXTENSION

Document = dict[str, Any]

_NUMBER = r"(?:\d{1,6}|" + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)) + r")"
_COMPARED = {
    ">": r"more\s+than|over|mehr\s+als|über|plus\s+de|más\s+de",
    ">=": r"at\s+least|mindestens|au\s+moins|al\s+menos",
    "<": r"fewer\s+than|less\s+than|weniger\s+als|moins\s+de|menos\s+de",
}
_AMOUNT = "|".join(
    f"(?P<{name}>{words})" for name, words in zip(("gt", "ge", "lt"), _COMPARED.values(), strict=True)
)
_IF = re.compile(
    rf"(?:,?\s*\b(?:but\s+|und\s+)?(?:only\s+)?(?:if|when|wenn|falls|nur\s+wenn|sofern|seulement\s+si|si|solo\s+si)\b\s+)"
    rf"(?:(?:there\s+(?:are|is)|it\s+finds?|you\s+find|we\s+have|es(?:\s+gibt)?|il\s+y\s+a|hay)\s+)"
    rf"(?:(?P<none>no|none|keine?|aucune?|ningún|ninguna?)\s+|(?:(?:{_AMOUNT})\s+(?P<n>{_NUMBER})\s+)|(?:any|some|irgendwelche|des|algún|alguna)\s+)?",
    re.IGNORECASE,
)
_END = re.compile(r"[,;:.!?]|\s+(?:then|dann|alors|entonces)\b|$", re.IGNORECASE)
_UNTIL = re.compile(
    rf"[,\s]*\b(?:until|bis|jusqu'à\s+ce\s+que|hasta\s+que)\s+(?:it|they|this|that|es|sie|ça|elles?|ils?)?\s*"
    rf"(?:works?|pass(?:es)?|succeeds?|succeed|is\s+green|are\s+green|klappt|laufen|durchläuft|grün\s+(?:ist|sind)|"
    rf"marche|passe(?:nt)?|funcione|pasen?)"
    rf"(?:[,\s]*(?:but\s+)?(?:at\s+most|max(?:imum|imal)?|höchstens|au\s+plus|como\s+máximo)\s+(?P<n>{_NUMBER})"
    rf"\s*(?:times|tries|attempts|mal|versuche|fois|veces))?",
    re.IGNORECASE,
)
_TIMES = re.compile(
    rf"[,\s]*\b(?:retry|try|versuche\s+es)\s+(?:it\s+|this\s+|that\s+|them\s+)?(?:up\s+to\s+|at\s+most\s+|bis\s+zu\s+)?(?P<n>{_NUMBER})\s*"
    r"(?:times|mal)(?:\s+(?:if|when)\s+(?:it|they)\s+fails?)?",
    re.IGNORECASE,
)
_ASK = re.compile(
    r"[,\s]*\b(?:but\s+|and\s+|aber\s+)?(?:ask\s+me\s+(?:first|before\s+(?:you\s+do\s+(?:it|that|so)|that|it)|for\s+(?:my\s+)?approval)|"
    r"after\s+(?:my\s+approval|i\s+agree(?:d)?|i\s+(?:have\s+)?approved?(?:\s+it)?)|(?:once|when)\s+i\s+(?:agree|approve|confirm)(?:\s+it)?|"
    r"frag(?:e)?\s+mich\s+(?:vorher|zuerst)|demande[- ]moi\s+(?:d'abord|avant)|pregúntame\s+(?:antes|primero))\b",
    re.IGNORECASE,
)
MOST_TRIES, USUAL_TRIES = 100, 5


@dataclass(frozen=True, slots=True)
class Guard:
    """One such saying: the span of the prompt that is only it, and, of an `if`, the span of what it is about."""

    kind: Literal["if", "again", "approve"]
    start: int
    end: int
    until: int = 0
    """Where what an `if` is about ends."""
    operator: str = ">"
    number: int = 0


def guards_in(prompt: str) -> list[Guard]:
    """All of them, by place."""
    found = []
    for match in _IF.finditer(prompt):
        end = _END.search(prompt, match.end())
        until = end.start() if end is not None else len(prompt)
        if until <= match.end():
            continue
        operator, number = ">", 0
        if match.group("none"):
            operator = "=="
        elif match.group("n"):
            name = next(n for n in ("gt", "ge", "lt") if match.group(n))
            operator, number = dict(zip(("gt", "ge", "lt"), _COMPARED, strict=True))[name], _number(match)
        found.append(Guard("if", match.start(), match.end(), until, operator, number))
    for pattern in (_UNTIL, _TIMES):
        for match in pattern.finditer(prompt):
            tries = _number(match) if match.group("n") else USUAL_TRIES
            found.append(Guard("again", *match.span(), number=min(MOST_TRIES, max(1, tries))))
    found += [Guard("approve", *match.span()) for match in _ASK.finditer(prompt)]
    return sorted(found, key=lambda guard: guard.start)


def without_guards(prompt: str, guards: Sequence[Guard]) -> str:
    """The prompt with their words as spaces; what an `if` is about becomes a sentence of its own. Places stay."""
    letters = list(prompt)
    for guard in guards:
        letters[guard.start : guard.end] = " " * (guard.end - guard.start)
        if guard.kind == "if":
            if guard.start > 0:
                letters[guard.start] = ";"
            if guard.until < len(letters):
                letters[guard.until] = ";"
    return "".join(letters)


def put(
    guards: Sequence[Guard], episode: Episode, melody: Document, lines: list[dict[str, Any]]
) -> list[str]:
    """Puts the guards into a finished Melody and tells of each; answers with those that stand for nothing in it."""
    unmet = []
    for guard in guards:
        done = {"if": _put_if, "again": _put_again, "approve": _put_approve}[guard.kind](
            guard, episode, melody
        )
        if done is None:
            unmet.append(f"a step that finds “{_said(guard, episode)}”, on which others depend")
        else:
            lines.append({"node": done[0], "why": done[1], "confidence": 1.0})
    return unmet


def _put_if(guard: Guard, episode: Episode, melody: Document) -> tuple[str, str] | None:
    """An `if` behind the node that finds what the condition is about, and edges from it to what it guards."""
    text = _said(guard, episode)
    vectors = episode.embed([text]) if episode.embed is not None else None
    scores = episode.table.catalogue.scores([text], vectors)[0]
    nodes, roles = episode.draft.nodes, episode.table.roles
    # What shows or gathers results finds none of its own.
    finding = [p for p, n in enumerate(nodes) if n.chosen and roles[n.function].order <= 1]
    about = max(finding, key=lambda p: float(scores[nodes[p].function]), default=None)
    if about is None:
        return None
    names = [node["id"] for node in melody["nodes"]]
    node = episode.draft.nodes[about]
    output, made = next(iter(node.spec.outputs.items()))
    is_number = episode.table.typing.lattice.is_below(made, "number")
    guarded = _guarded(melody, names[about])
    if not guarded:
        return None
    name = _free("only-if", names)
    when = f"{'value' if is_number else 'len(value)'} {guard.operator} {guard.number}"
    melody["nodes"].append({"id": name, "kind": "control", "player": f"{EXTENSION}#if", "params": {}})
    melody["edges"].append({"kind": "data", "from": f"{names[about]}.{output}", "to": f"{name}.value"})
    for target in guarded:
        melody["edges"].append({"kind": "conditional", "from": name, "to": target, "when": when})
    return (
        name,
        f"lets {' and '.join(guarded)} play only where {when.replace('len(value)', 'the number of results')}",
    )


def _put_again(guard: Guard, episode: Episode, melody: Document) -> tuple[str, str] | None:
    """More tries for the node of the clause that the words belong to."""
    places = _of_place(episode, guard.start)
    if not places:
        return None
    node = melody["nodes"][places[-1]]
    spec = episode.draft.nodes[places[-1]].spec
    tells = [port for port, made in spec.outputs.items() if made == "boolean"]
    if tells and not any(_touches(edge, node["id"]) for edge in melody["edges"]):
        # It tells whether it went well, and fails only where it cannot tell: then it is tried again as others are.
        node["retry"] = {"attempts": guard.number, "backoff": "exponential"}
        inner = {"format": melody["format"], "name": node["id"], "version": melody["version"]}
        inner |= {"nodes": [dict(node)], "edges": []}
        params = {"melody": inner, "output": tells[0], "times": guard.number, "until": "value"}
        one = {"id": node["id"], "kind": "control", "player": f"{EXTENSION}#loop", "params": params}
        node.clear()
        node.update(one)
        return node["id"], f"again until {tells[0]}, at most {guard.number} times, as asked"
    node["retry"] = {"attempts": guard.number, "backoff": "exponential"}
    return node["id"], f"tried up to {guard.number} times until it succeeds, as asked"


def _touches(edge: Document, name: str) -> bool:
    return edge["kind"] == "data" and name in (edge["from"].partition(".")[0], edge["to"].partition(".")[0])


def _put_approve(guard: Guard, episode: Episode, melody: Document) -> tuple[str, str] | None:
    """A person's word before what changes something, or before the last step."""
    nodes = melody["nodes"]
    names = [node["id"] for node in nodes]
    effects = [names[p] for p, n in enumerate(episode.draft.nodes) if n.spec.effects]
    fed = {edge["from"].partition(".")[0] for edge in melody["edges"]}
    guarded = effects or [name for name in names if name not in fed][-1:]
    if not guarded:
        return None
    name = _free("approve", names)
    message = f"Shall {' and '.join(guarded)} play?"
    nodes.append(
        {"id": name, "kind": "control", "player": f"{EXTENSION}#approve", "params": {"message": message}}
    )
    for target in guarded:
        for edge in list(melody["edges"]):
            source = edge["from"].partition(".")[0]
            if edge["kind"] == "data" and edge["to"].partition(".")[0] == target and source != name:
                melody["edges"].append({"kind": "control", "from": source, "to": name})
        melody["edges"].append({"kind": "control", "from": name, "to": target})
    melody["edges"] = [e for n, e in enumerate(melody["edges"]) if e not in melody["edges"][:n]]
    return name, f"asks you before {' and '.join(guarded)}, as asked"


def _guarded(melody: Document, about: str) -> list[str]:
    """The nodes that wait for a condition on `about`: those behind it, or, where it only counts, the others."""
    after = {about}
    while True:
        more = {e["to"].partition(".")[0] for e in melody["edges"] if e["from"].partition(".")[0] in after}
        if more <= after:
            break
        after |= more
    behind = sorted(
        {e["to"].partition(".")[0] for e in melody["edges"] if e["from"].partition(".")[0] == about}
    )
    if behind:
        return behind
    return [
        node["id"]
        for node in melody["nodes"]
        if node["id"] not in after
        and not any(e["to"].partition(".")[0] == node["id"] for e in melody["edges"])
    ]


def _of_place(episode: Episode, place: int) -> list[int]:
    """The nodes of the coarse clause that ends nearest before a place of the prompt."""
    clauses = [i for i, c in enumerate(episode.clauses) if c.coarse and c.start <= place]
    clause = max(clauses, key=lambda i: episode.clauses[i].start, default=-1)
    own = [p for p, n in enumerate(episode.draft.nodes) if n.chosen and n.clause == clause]
    return (
        own or [p for p, n in enumerate(episode.draft.nodes) if n.chosen and not required_inputs(n.spec)][:1]
    )


def _free(name: str, taken: Sequence[str]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _said(guard: Guard, episode: Episode) -> str:
    return " ".join(episode.prompt[guard.end : guard.until].split())


def _number(match: re.Match[str]) -> int:
    word = match.group("n").lower()
    return int(word) if word.isdigit() else NUMBER_WORDS[word]
