"""The one short question that a composition may ask where two readings of its prompt are about as likely.

Nothing waits for the answer: the likelier reading is taken meanwhile. An answer comes back in the context
of the next composition, by the question's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from conductor.context import ProjectFacts

if TYPE_CHECKING:
    from conductor.episode import Episode
    from conductor.params.mentions import Mention

MARGIN = 0.03
"""Players whose scores for a clause differ by less than this fit it alike."""
CLEAR = 0.45
"""Below this score a second Player is no likely reading."""
DOUBT = 0.7
"""A choice that the chooser held to be likelier than this is not asked about."""
_LONGEST = 70


@dataclass(frozen=True, slots=True)
class Choice:
    """One reading: what the person sees, and the value that an answer names."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Question:
    """`name` tells it from others of the same prompt; the first of `choices` is the one that was taken."""

    name: str
    text: str
    choices: tuple[Choice, ...]

    def to_json(self) -> dict[str, Any]:
        """As `compose --json` and the page have it."""
        return {
            "name": self.name,
            "text": self.text,
            "choices": [{"label": c.label, "value": c.value} for c in self.choices],
        }

    def told(self) -> str:
        """For where nobody can be asked: what was taken, and what else it could have been."""
        taken, *others = (choice.label for choice in self.choices)
        return f"{self.text} {taken} was taken; it may also be {' or '.join(others)}"


def question_of(episode: Episode, melody: Mapping[str, Any]) -> Question | None:
    """What to ask about a finished composition; None where one reading is clearly the likeliest.

    A value that no node uses is not asked about, nor is what an answer has settled.
    """
    for mention in episode.mentions:
        if mention.others and _is_used(mention, melody):
            return _of_mention(mention, episode.prompt)
    return _of_player(episode)


def settled(
    mentions: Sequence[Mention], prompt: str, answers: Mapping[str, str]
) -> tuple[list[Mention], frozenset[str]]:
    """The mentions as the answers have them, and the files that an answer has ruled out."""
    found: list[Mention] = []
    ruled_out: set[str] = set()
    for mention in mentions:
        readings = (mention.value, *mention.others)
        answer = answers.get(_name(mention, prompt))
        chosen = next((r for r in readings if _value(r) == answer), None)
        if mention.others and chosen is not None:
            ruled_out |= {str(r) for r in readings if r != chosen} if mention.kind == "path" else set()
            mention = replace(mention, value=chosen, others=())
        found.append(mention)
    return found, frozenset(ruled_out)


def without_files(project: ProjectFacts | None, files: frozenset[str]) -> ProjectFacts | None:
    """The project as if it had not these files."""
    if project is None or not files:
        return project
    kept = {path: columns for path, columns in project.columns.items() if path not in files}
    return replace(project, files=tuple(f for f in project.files if f not in files), columns=kept)


def player_question(clause: str) -> str:
    """The name of the question which Player a clause is for."""
    return f"player:{' '.join(clause.lower().split())}"


def _of_mention(mention: Mention, prompt: str) -> Question:
    said = " ".join(prompt[mention.start : mention.end].split())
    kind = {"path": "file", "measure": "column", "columns": "column", "condition": "condition"}.get(
        mention.kind, "day"
    )
    text = f"Which {kind} is “{said}”?" if said else "Which file is meant?"
    values = [_value(r) for r in (mention.value, *mention.others)]
    choices = tuple(Choice(_spoken(v) if kind == "day" else v, v) for v in values)
    return Question(_name(mention, prompt), text, choices)


def _name(mention: Mention, prompt: str) -> str:
    return f"{mention.kind}:{' '.join(prompt[mention.start : mention.end].lower().split())}"


def _value(reading: Any) -> str:
    return ", ".join(map(str, reading)) if isinstance(reading, tuple) else str(reading)


def _spoken(day: str) -> str:
    return date.fromisoformat(day).strftime("%d %B %Y").lstrip("0")


def _is_used(mention: Mention, melody: Mapping[str, Any]) -> bool:
    wanted = list(mention.value) if isinstance(mention.value, tuple) else mention.value
    return any(
        value == wanted or (isinstance(wanted, list) and value in wanted)
        for node in melody["nodes"]
        for value in node.get("params", {}).values()
    )


def _of_player(episode: Episode) -> Question | None:
    """Two Players of the same part that fit a clause alike, the chosen one without much trust."""
    table = episode.table
    for node in episode.draft.nodes:
        is_asked = node.chosen and 0 <= node.clause < len(episode.clauses) and node.confidence < DOUBT
        if not is_asked or not episode.clauses[node.clause].coarse:
            continue
        clause = episode.clauses[node.clause]
        name = player_question(clause.text)
        if name in episode.context.answers:
            continue
        scores = episode.by_clause[node.clause]
        if any(scores[n.function] > scores[node.function] for n in episode.draft.nodes):
            continue
        floor = max(CLEAR, float(scores[node.function]) - MARGIN)
        rivals = [
            int(f)
            for f in np.argsort(-scores, kind="stable")
            if scores[f] >= floor and f != node.function and _is_rival(episode, node.function, int(f))
        ]
        if rivals:
            choices = (node.function, *rivals[:2])
            specs = [table.functions[f] for f in choices]
            labels = tuple(Choice(_short(s.description), s.player) for s in specs)
            return Question(name, f"What is meant by “{_short(clause.text)}”?", labels)
    return None


def _is_rival(episode: Episode, chosen: int, other: int) -> bool:
    """Whether another Player could stand in the place of a chosen one."""
    roles = episode.table.roles
    could = episode.usable[other] and not episode.filled(other).missing and not episode.draft.has(other)
    return bool(could) and roles[other].order == roles[chosen].order and not roles[chosen].transforms


def _short(text: str) -> str:
    head = " ".join(text.split()).partition(":")[0].partition(";")[0]
    if len(head) > _LONGEST:
        head = head[:_LONGEST].rsplit(" ", 1)[0].rstrip(" ,") + "…"
    return head
