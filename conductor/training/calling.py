"""Teaches the pointer network and the span reader to make calls of typed tools from prompts with theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from conductor.params.values import is_one_piece, typed_value
from conductor.training.calls import FACTS, Call, Candidates, Parameter, Prompt, ToolCatalogue
from conductor.training.pointer import LONGEST, Pointer, Proposal, propose
from conductor.training.spans import Answer, SpanReader, read_answers

Array = np.ndarray[Any, Any]

BATCH = 48
CHOOSING_EPOCHS, READING_EPOCHS = 12, 14
LEAST_STEPS, MOST_EPOCHS = 240, 60
"""Few lines are gone through more often, until so many steps are made or so many epochs."""
RATE = 1.5e-3
GIVEN = 0.8
"""From this probability on an optional parameter counts as without a value: a wrong one costs a plan less
than one that is missing, as long as most are right."""
BROKEN = 1e-3
"""A span that runs over a quote or the end of a sentence counts for so little."""


def teach_choice(
    catalogue: ToolCatalogue, prompts: Sequence[Prompt], calls: Sequence[Sequence[Call]], seed: int
) -> Pointer:
    """The pointer network, trained on which tools serve each prompt, in order."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    network = Pointer(FACTS, dropout=0.3)
    chains = [list(dict.fromkeys(call.tool for call in one))[:LONGEST] for one in calls]
    candidates = [catalogue.candidates(p, chain) for p, chain in zip(prompts, chains, strict=True)]
    batches = -(-len(prompts) // BATCH)
    epochs = max(CHOOSING_EPOCHS, min(MOST_EPOCHS, LEAST_STEPS // batches))
    optimizer, schedule = _optimizer(network, epochs * batches)
    for _ in range(epochs):
        network.train()
        order = dice.permutation(len(prompts))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = catalogue.batch(
                [prompts[r] for r in rows], [candidates[r] for r in rows], [chains[r] for r in rows]
            )
            _step(network, network.loss(batch), optimizer, schedule)
    network.eval()
    return network


def teach_reading(
    catalogue: ToolCatalogue, prompts: Sequence[Prompt], calls: Sequence[Sequence[Call]], seed: int
) -> SpanReader:
    """The span reader, trained on where the values of the right calls stand."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    reader = SpanReader()
    pages = [catalogue.page(p, one, learn=True) for p, one in zip(prompts, calls, strict=True)]
    pages = [page for page in pages if any(q.spans is not None for q in page.questions)]
    lengths = np.array([len(page.states) for page in pages])
    size = BATCH // 2
    batches = -(-len(pages) // size)
    epochs = max(READING_EPOCHS, min(MOST_EPOCHS, LEAST_STEPS // max(1, batches)))
    optimizer, schedule = _optimizer(reader, max(1, epochs * batches))
    for _ in range(epochs):
        reader.train()
        # Prompts of a batch are about equally long; the noise keeps epochs different.
        order = np.argsort(lengths + dice.uniform(0, 20, len(lengths)), kind="stable")
        parts = [order[k : k + size] for k in range(0, len(order), size)]
        for place in dice.permutation(len(parts)):
            _step(reader, reader.loss([pages[r] for r in parts[place]]), optimizer, schedule)
    reader.eval()
    return reader


def _optimizer(network: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)


def _step(network: nn.Module, loss: torch.Tensor, optimizer: torch.optim.Optimizer, schedule: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    schedule.step()


def choose_tools(
    catalogue: ToolCatalogue, network: Pointer, prompts: Sequence[Prompt], candidates: Sequence[Candidates]
) -> tuple[list[list[int]], list[list[int]]]:
    """For each prompt the tools to call, in order, and all candidates, best first."""
    chains, ranked = [], []
    for start in range(0, len(prompts), 24):
        part = list(candidates[start : start + 24])
        batch = catalogue.batch(prompts[start : start + 24], part)
        with torch.no_grad():
            fit = network.read_prompt(batch).fit
        for one, row, proposals in zip(part, fit, propose(network, batch), strict=True):
            weighed = len(one.facts)
            best = row.argsort(descending=True, stable=True).tolist()
            chosen = least_risk_set(proposals)
            chains.append([int(one.tools[place]) for place in chosen])
            first = list(dict.fromkeys([*chosen, *best]))
            ranked.append([int(one.tools[place]) for place in (*first, *range(weighed, len(one.tools)))])
    return chains, ranked


def least_risk_set(proposals: Sequence[Proposal]) -> tuple[int, ...]:
    """The proposal whose tools agree best, by F1, with all proposals as weighed by the network."""
    weights = np.exp([p.score - proposals[0].score for p in proposals])

    def agreement(a: Proposal) -> float:
        mine = Counter(a.chain)
        return float(
            sum(
                weight * 2 * sum((mine & Counter(b.chain)).values()) / (len(a.chain) + len(b.chain))
                for b, weight in zip(proposals, weights, strict=True)
            )
        )

    return max(proposals, key=agreement).chain


def fill_calls(
    catalogue: ToolCatalogue, reader: SpanReader, prompts: Sequence[Prompt], plans: Sequence[Sequence[int]]
) -> list[list[Call]]:
    """The calls with the values of their parameters as the prompt gives them."""
    bare = [[Call(tool) for tool in plan] for plan in plans]
    pages = [catalogue.page(p, calls) for p, calls in zip(prompts, bare, strict=True)]
    found = []
    for prompt, calls, answers in zip(prompts, bare, read_answers(reader, pages), strict=True):
        rest = iter(answers)
        filled = []
        for call in calls:
            parameters = catalogue.tools[call.tool].parameters
            filled.append(Call(call.tool, _values(prompt, parameters, [next(rest) for _ in parameters])))
        found.append(filled)
    return found


def _values(
    prompt: Prompt, parameters: Sequence[Parameter], answers: Sequence[list[Answer]]
) -> dict[str, Any]:
    """Values of one call: the surest first; two parameters of a call do not share a span if there is another."""
    order = sorted(range(len(parameters)), key=lambda k: -answers[k][0].likely)
    taken: set[tuple[int, int]] = set()
    values: dict[str, Any] = {}
    for place in order:
        one, choices = parameters[place], answers[place]
        if not one.required and choices[0].none > GIVEN:
            continue
        found = _readings(prompt, one, choices, taken) or _readings(prompt, one, choices, set())
        if found:
            spans, values[one.name] = max(found, key=lambda reading: sum(reading[0].values()))
            taken.add(max(spans, key=lambda span: spans[span]))
    return {one.name: values[one.name] for one in parameters if one.name in values}


def _readings(
    prompt: Prompt, one: Parameter, choices: Sequence[Answer], taken: set[tuple[int, int]]
) -> list[tuple[dict[tuple[int, int], float], Any]]:
    """The values that free spans stand for, each with its spans and their probabilities.

    One that stands at several places is as likely as these are together.
    """
    found: dict[str, tuple[dict[tuple[int, int], float], Any]] = {}
    for answer in choices:
        text = _text_of(prompt, answer.span)
        value = typed_value(text, one.kind, one.name, one.description)
        if answer.span in taken or value is None:
            continue
        begin = prompt.places[answer.span[0]][0]
        opened = prompt.text[max(0, begin - 1) : begin]
        whole = is_one_piece(text) and not (opened in ('"', "`") and opened in text)
        likely = answer.likely if whole else answer.likely * BROKEN
        found.setdefault(str(value).lower(), ({}, value))[0][answer.span] = likely
    return list(found.values())


def _text_of(prompt: Prompt, span: tuple[int, int]) -> str:
    return prompt.text[prompt.places[span[0]][0] : prompt.places[span[1]][1]]
