"""Plans over a catalogue of tools, composed by the pointer network after training on prompts with their chains."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conductor.evaluate.chains import Chain, least_risk, mean_f1
from conductor.evaluate.lines import read_json, read_lines, write_lines
from conductor.training.composing import FIRST, Composer, Texts, is_enough, read_texts
from conductor.training.experience import SHARPNESS, Experience
from conductor.training.layers import LAYERS, LowerLayers, sentence_vectors
from conductor.training.pointer import LONGEST
from conductor.training.teaching import epochs_for, teach
from symphony.errors import BadInput

Array = np.ndarray[Any, Any]

ENCODER = Path("build/encoder")
SPARED = 4.0
"""To compose for a prompt takes so many times as long as to read one; so much is kept back for that."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--tools", type=Path, required=True, help='JSON {"nodes": [{"id", "desc"}]}')
    parser.add_argument("--train", type=Path, required=True, help="lines with user_request and task_nodes")
    parser.add_argument("--test", type=Path, required=True, help="lines with id and user_request")
    parser.add_argument("--out", type=Path, required=True, help="where the plans are written")
    parser.add_argument("--edges", type=Path, help="JSON [{source, target, count}]; a prior, not a mask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all, by the clock on the wall")
    parser.add_argument("--encoder", type=Path, default=ENCODER)


@dataclass(slots=True)
class Lines:
    """Prompts with the places of their tools in the catalogue; without chains when these are to be found."""

    ids: list[str]
    prompts: list[str]
    chains: list[Chain]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains, measures on a fixed tenth of the training lines, and writes the plans for the test lines."""
    begin = time.monotonic()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    tools = read_tools(options.tools)
    train = read_plans(options.train, tools)
    test = [
        (str(one["id"]), str(one["user_request"])) for one in read_lines(options.test, "id", "user_request")
    ]
    lower = LowerLayers(options.encoder, (FIRST, LAYERS))
    (_, states), _ = lower.states(list(tools.values()))
    vectors = sentence_vectors(states)
    in_slice = np.array([is_in_slice(one) for one in train.ids], dtype=bool)
    rest, tenth = np.flatnonzero(~in_slice), np.flatnonzero(in_slice)
    whole = not is_enough(len(rest))
    texts = read_texts(lower, train.prompts, whole=whole)
    asked = read_texts(lower, [prompt for _, prompt in test], whole=whole)
    each = (time.monotonic() - begin) / (len(train.ids) + len(test))
    until = begin + 60.0 * options.minutes - SPARED * each * (len(test) + 2 * len(tenth))
    edges = read_edges(options.edges, tools)
    experience = Experience(vectors, texts.vectors[rest], [train.chains[k] for k in rest], edges)
    composer = Composer.new(experience, lower, options.seed)
    known = part_of(texts, rest)
    done = teach(composer, known, epochs=epochs_for(len(rest)), seed=options.seed, until=until)
    scores = scores_on(composer, part_of(texts, tenth), [train.chains[k] for k in tenth])
    composer.remember(Experience(vectors, texts.vectors, train.chains, edges), texts)
    if done and len(tenth):
        # One more epoch over all lines, the tenth among them, that was not to be seen before.
        done = teach(composer, texts, epochs=1, seed=options.seed, until=until, rate=0.3)
    names = list(tools)
    plans = [
        plan_of(one, [names[tool] for tool in chain])
        for (one, _), chain in zip(test, compose(composer, asked), strict=True)
    ]
    write_lines(options.out, plans)
    return {"slice": scores, "seconds": round(time.monotonic() - begin, 1), "truncated": not done}


def compose(composer: Composer, texts: Texts) -> list[Chain]:
    """For each prompt the chain of least risk among those composed and those recognised."""
    found = []
    for proposals in composer.weigh(texts):
        weights = np.exp([p.score - proposals[0].score for p in proposals])
        found.append(least_risk([p.chain for p in proposals], list(weights / weights.sum())))
    return found


def scores_on(composer: Composer, texts: Texts, right: Sequence[Chain]) -> dict[str, dict[str, float]]:
    """The policy beside plain baselines, on prompts that neither training nor experience have seen."""
    experience = composer.experience
    near, close = [], []
    for vector in texts.vectors:
        rows, likeness = experience.neighbours(vector)
        weights = np.exp((likeness - likeness[0]) / SHARPNESS)
        near.append(least_risk([experience.chains[row] for row in rows], list(weights / weights.sum())))
        order = np.argsort(-(experience.tools @ vector), kind="stable")[:2]
        close.append(tuple(int(tool) for tool in order))
    cloned = [proposals[0].chain for proposals in composer.propose(texts, width=1)]
    unmasked = [proposals[0].chain for proposals in composer.propose(texts, width=1, masked=False)]
    return {
        "policy": mean_f1(compose(composer, texts), right),
        "knn15": mean_f1(near, right),
        "cosine": mean_f1(close, right),
        "behaviour_cloning": mean_f1(cloned, right),
        "no_mask": mean_f1(unmasked, right),
    }


def is_in_slice(one: str) -> bool:
    """Whether a training line belongs to the fixed tenth on which the baselines are scored, by its id."""
    return hashlib.sha256(one.encode()).digest()[0] < 26


def part_of(texts: Texts, rows: Array) -> Texts:
    """Some of the prompts, in this order."""
    return Texts([texts.states[k] for k in rows], texts.vectors[rows], [texts.clauses[k] for k in rows])


def plan_of(one: str, names: Sequence[str]) -> dict[str, Any]:
    """A line of the output."""
    links = [{"source": a, "target": b} for a, b in pairwise(names)]
    return {"id": one, "task_nodes": [{"task": name} for name in names], "task_links": links}


def read_tools(file: Path) -> dict[str, str]:
    """The tools' names, each with the text that stands for it. Raises BadInput."""
    document = read_json(file)
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if not isinstance(nodes, list) or not nodes or not all(isinstance(n, dict) and "id" in n for n in nodes):
        raise BadInput(f"{file} names no tools", remedy='it is {"nodes": [{"id", "desc"}]}')
    return {str(n["id"]): f"{str(n['id']).replace('_', ' ')}: {n.get('desc', '')}" for n in nodes}


def read_plans(file: Path, tools: dict[str, str]) -> Lines:
    """The training lines; a tool that the catalogue lacks is left out of its chain. Raises BadInput."""
    places = {name: place for place, name in enumerate(tools)}
    lines = Lines([], [], [])
    for number, one in enumerate(read_lines(file, "user_request", "task_nodes")):
        named = [places[n["task"]] for n in one["task_nodes"] if n.get("task") in places]
        chain = tuple(dict.fromkeys(named))[:LONGEST]
        if chain:
            lines.ids.append(str(one.get("id", number)))
            lines.prompts.append(str(one["user_request"]))
            lines.chains.append(chain)
    if not lines.ids:
        raise BadInput(f"{file} has no line with tools of the catalogue", remedy="check --tools and --train")
    return lines


def read_edges(file: Path | None, tools: dict[str, str]) -> dict[tuple[int, int], float]:
    """Counts of transitions by places in the catalogue; none without a file. Raises BadInput."""
    places = {name: place for place, name in enumerate(tools)}
    found: dict[tuple[int, int], float] = {}
    for edge in read_json(file) if file is not None else ():
        if not isinstance(edge, dict) or not {"source", "target"} <= edge.keys():
            raise BadInput(
                f"{file} has an edge without source or target", remedy="it is a list of such edges"
            )
        a, b = places.get(edge["source"]), places.get(edge["target"])
        if a is not None and b is not None:
            found[a, b] = float(edge.get("count", 1))
    return found
