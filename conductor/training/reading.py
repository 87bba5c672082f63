"""Trains the span reader that ships: `python -m conductor.training.reading --data DIR --encoder DIR --out DIR`.

The data is Seal-Tools (Apache-2.0), prompts with calls of typed tools; it stays outside of the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from conductor.evaluate.lines import read_lines
from conductor.evaluate.slots import calls_of, read_tools
from conductor.policy import save
from conductor.spans.cues import cues_of, spoken_of
from conductor.spans.reader import FORMAT, Asked, Read, SpanReader, expected_shapes
from conductor.spans.reader import Page as Prompted
from conductor.training import spans
from conductor.training.calling import RATE
from conductor.training.calls import LEVELS, Call, Parameter, Prompt, ToolCatalogue, plain_words, spans_of
from conductor.training.layers import LowerLayers
from conductor.training.spans import Question

Array = np.ndarray[Any, Any]

FILES = ("dev.jsonl", "practice.jsonl")
HELD = 5
"""Every fifth prompt of each file is held out: one half calibrates, the other is measured."""
BATCH = 32
STRANGE = 0.3
"""So often a page asks for parameters of a tool that the prompt does not call."""
FOREIGN = 0.4
"""So often a call is asked for a parameter of another tool beside its own."""
BLURRED = 0.5
"""So often chance says which parameters are required: in the data all that are have a value, and few others do."""


@dataclass(slots=True)
class Task:
    """One call and the prompt that it stands in, as the host will meet it: alone, with what speaks of it marked."""

    prompt: Prompt
    page: Prompted
    tool: int
    parameters: tuple[Parameter, ...]
    values: dict[str, Any]
    own: Array


def tasks_of(catalogue: ToolCatalogue, prompts: Sequence[Prompt], calls: Sequence[list[Call]]) -> list[Task]:
    """A task for each call."""
    found = []
    for prompt, called in zip(prompts, calls, strict=True):
        states = np.concatenate([prompt.states, prompt.last], axis=1)
        page = Prompted(prompt.text, states, prompt.places)
        tools = [call.tool for call in called]
        likeness = prompt.clauses[prompt.coarse] @ catalogue.does[tools].T + prompt.words[:, tools]
        own = spoken_of(likeness, prompt.starts[prompt.coarse], page.wording.relative)
        for call, mine in zip(called, own, strict=True):
            parameters = catalogue.tools[call.tool].parameters
            found.append(Task(prompt, page, call.tool, parameters, dict(call.values), mine))
    return found


def strange_to(task: Task, catalogue: ToolCatalogue, dice: np.random.Generator) -> Task:
    """The same prompt asked for another tool's parameters, none of which it gives."""
    known = {word for one in task.parameters for word in plain_words(one.name).split()}
    while True:
        tool = int(dice.integers(len(catalogue.tools)))
        named = {word for one in catalogue.tools[tool].parameters for word in plain_words(one.name).split()}
        if named and not named & known:
            return replace(task, tool=tool, parameters=catalogue.tools[tool].parameters, values={})


def with_foreign(task: Task, catalogue: ToolCatalogue, dice: np.random.Generator) -> Task:
    """The task with one more parameter, that of another tool."""
    other = strange_to(task, catalogue, dice).parameters
    chosen = replace(other[int(dice.integers(len(other)))], required=bool(dice.random() < 0.5))
    return replace(task, parameters=(*task.parameters, chosen))


def blurred(task: Task, dice: np.random.Generator) -> Task:
    """The task with parameters that are required or not by chance."""
    parameters = tuple(replace(one, required=bool(dice.random() < 0.5)) for one in task.parameters)
    return replace(task, parameters=parameters)


def page_of(task: Task, catalogue: ToolCatalogue) -> spans.Page:
    """What the network learns from: the questions with the places of the right values."""
    prompt, page = task.prompt, task.page
    starts, ends = page.starts, page.ends
    described = [(plain_words(one.name), one.description, one.kind) for one in task.parameters]
    cues = cues_of(page.wording, described, 0, 1, task.own)
    questions = []
    for one, facts in zip(task.parameters, cues, strict=True):
        value = task.values.get(one.name)
        places: tuple[tuple[int, int], ...] | None = ()
        if value is not None:
            places = spans_of(prompt.text, page.places, starts, ends, value, one)
        questions.append(
            Question(
                catalogue.vector_of(one), catalogue.does[task.tool], one.kind, one.required, 0, facts, places
            )
        )
    return spans.Page(page.states, page.letters, starts, ends, questions)


def teach(
    catalogue: ToolCatalogue, tasks: Sequence[Task], epochs: int, seed: int
) -> tuple[spans.SpanReader, list[dict[str, float]]]:
    """The network, and how its loss fell."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    network = spans.SpanReader(dropout=0.3)
    lengths = np.array([len(task.page.places) for task in tasks])
    steps = epochs * -(-len(tasks) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    curve = []
    for epoch in range(epochs):
        network.train()
        losses = []
        order = np.argsort(lengths + dice.uniform(0, 20, len(lengths)), kind="stable")
        parts = [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
        for place in dice.permutation(len(parts)):
            pages = []
            for row in parts[place]:
                task = tasks[row]
                asked = with_foreign(task, catalogue, dice) if dice.random() < FOREIGN else task
                asked = blurred(asked, dice) if dice.random() < BLURRED else asked
                pages.append(page_of(asked, catalogue))
                if dice.random() < STRANGE:
                    pages.append(page_of(strange_to(task, catalogue, dice), catalogue))
            loss = network.loss(pages)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        curve.append({"epoch": epoch, "loss": round(float(np.mean(losses)), 4)})
        print(curve[-1], flush=True)
    network.eval()
    return network, curve


def arrays_of(network: spans.SpanReader) -> dict[str, Array]:
    """The network's weights as the host reads them."""
    state = network.state_dict()
    return {name: state[name].numpy().astype(np.float16) for name in expected_shapes()}


def readings(reader: SpanReader, task: Task, catalogue: ToolCatalogue) -> list[Read | None]:
    """What the host's reader makes of a task."""
    asked = [
        Asked(plain_words(one.name), one.description, one.kind, one.required, catalogue.vector_of(one))
        for one in task.parameters
    ]
    return reader.read(task.page, asked, catalogue.does[task.tool], task.own)


def judged(
    reader: SpanReader, tasks: Sequence[Task], catalogue: ToolCatalogue
) -> list[tuple[Read | None, Any]]:
    """Every reading with the value that is right, None where there is none."""
    found: list[tuple[Read | None, Any]] = []
    for task in tasks:
        read = readings(reader, task, catalogue)
        found += [(r, task.values.get(p.name)) for r, p in zip(read, task.parameters, strict=False)]
    return found


def is_right(read: Read, value: Any) -> bool:
    """Whether a reading says what the data does."""
    return value is not None and str(read.value).lower() == str(value).lower()


def fit(found: Sequence[tuple[Read | None, Any]]) -> tuple[float, float]:
    """Slope and offset that turn a reading's log-odds into how often it is right (Platt 1999)."""
    pairs = [(r.sure, is_right(r, value)) for r, value in found if r is not None]
    sure = torch.tensor([p for p, _ in pairs], dtype=torch.float64)
    right = torch.tensor([float(y) for _, y in pairs], dtype=torch.float64)
    odds = torch.log(sure / (1.0 - sure))
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(line[0] * odds + line[1], right)
        loss.backward()
        return loss

    optimizer.step(closure)
    return round(float(line[0].detach()), 4), round(float(line[1].detach()), 4)


def scores(found: Sequence[tuple[Read | None, Any]], least: float) -> dict[str, float]:
    """Precision, recall and F1 of the readings that are at least so sure, in percent."""
    given = [(r, value) for r, value in found if r is not None and r.sure >= least]
    right = sum(is_right(r, value) for r, value in given)
    there = sum(value is not None for _, value in found)
    precision, recall = right / max(1, len(given)), right / max(1, there)
    f1 = 2.0 * right / max(1, len(given) + there)
    return {
        "precision": round(100 * precision, 1),
        "recall": round(100 * recall, 1),
        "f1": round(100 * f1, 1),
    }


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder with tools.jsonl and the prompts"
    )
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=Path("conductor/weights"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=12)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Reads the data, trains, calibrates, measures, writes."""
    chosen = parsed(arguments)
    begin = time.monotonic()
    torch.set_num_threads(1)
    files = [chosen.data / "tools.jsonl", *(chosen.data / name for name in FILES)]
    tools = read_tools(files[0])
    places = {tool.name: place for place, tool in enumerate(tools)}
    catalogue = ToolCatalogue(tools, LowerLayers(chosen.encoder, LEVELS, longest=250))
    known: list[tuple[Prompt, list[Call]]] = []
    held: list[tuple[Prompt, list[Call]]] = []
    for file in files[1:]:
        lines = read_lines(file, "query", "calling")
        calls = [calls_of(line, places) for line in lines]
        read = catalogue.read([str(line["query"]) for line in lines])
        for number, (prompt, called) in enumerate(zip(read, calls, strict=True)):
            (held if number % HELD == HELD - 1 else known).append((prompt, called))
    tasks = tasks_of(catalogue, [p for p, _ in known], [c for _, c in known])
    kept = [
        tasks_of(catalogue, [p for p, _ in part], [c for _, c in part]) for part in (held[::2], held[1::2])
    ]
    dice = np.random.default_rng(chosen.seed)
    strange = [[strange_to(task, catalogue, dice) for task in part] for part in kept]
    print(f"{len(tasks)} calls to learn from, after {time.monotonic() - begin:.0f} s", flush=True)
    network, curve = teach(catalogue, tasks, chosen.epochs, chosen.seed)
    arrays = arrays_of(network)
    raw = SpanReader(arrays, {"calibration": (1.0, 0.0)})
    line = fit(judged(raw, [*kept[0], *strange[0]], catalogue))
    reader = SpanReader(arrays, {"calibration": line})
    asked, foreign = judged(reader, kept[1], catalogue), judged(reader, strange[1], catalogue)
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    facts = {
        "format": FORMAT,
        "version": f"spans-{digest[:10]}",
        "data": "Seal-Tools (Apache-2.0)",
        "data_sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "seed": chosen.seed,
        "calls": len(tasks),
        "environment_steps": len(tasks) * chosen.epochs,
        "epochs": chosen.epochs,
        "curve": curve,
        "calibration": line,
        "held_calls": len(kept[1]),
        "held": {str(least): scores(asked, least) for least in (0.0, 0.5, 0.7, 0.9)},
        "held_strange": {
            str(least): round(
                100.0 * float(np.mean([r is not None and r.sure >= least for r, _ in foreign])), 1
            )
            for least in (0.5, 0.7, 0.9)
        },
    }
    save(chosen.out / "spans.npz", arrays, facts)
    print({k: v for k, v in facts.items() if k != "curve"}, f"{time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
