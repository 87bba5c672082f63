"""Calls with their parameters over a catalogue of typed tools: the pointer network chooses, the span reader fills."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conductor.evaluate.lines import read_lines, write_lines
from conductor.training.calling import choose_tools, fill_calls, teach_choice, teach_reading
from conductor.training.calls import LEVELS, Call, Parameter, ToolCatalogue, TypedTool
from conductor.training.layers import LowerLayers
from symphony.errors import BadInput

ENCODER = Path("build/encoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--tools", type=Path, required=True, help="lines with api_name, parameters, responses"
    )
    parser.add_argument("--train", type=Path, required=True, nargs="+", help="lines with query and calling")
    parser.add_argument("--test", type=Path, required=True, help="lines with id and query")
    parser.add_argument("--out", type=Path, required=True, help="where the calls are written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--gold-tools", action="store_true", help='the test lines name the tools: "calling": [{"api"}]'
    )
    parser.add_argument("--encoder", type=Path, default=ENCODER)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains on the lines with calls, and writes candidates and calls for the test lines."""
    begin = time.monotonic()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    tools = read_tools(options.tools)
    places = {tool.name: place for place, tool in enumerate(tools)}
    lines = [line for file in options.train for line in read_lines(file, "query", "calling")]
    calls = [calls_of(line, places) for line in lines]
    kept = [k for k, one in enumerate(calls) if one]
    if not kept:
        raise BadInput("No training line calls a tool of the catalogue", remedy="check --tools and --train")
    needed = ("id", "query", "calling") if options.gold_tools else ("id", "query")
    asked = read_lines(options.test, *needed)
    catalogue = ToolCatalogue(tools, LowerLayers(options.encoder, LEVELS, longest=250))
    prompts = catalogue.read([str(lines[k]["query"]) for k in kept])
    known = [calls[k] for k in kept]
    tests = catalogue.read([str(line["query"]) for line in asked])
    candidates = [catalogue.candidates(prompt) for prompt in tests]
    reader = teach_reading(catalogue, prompts, known, options.seed)
    network = teach_choice(catalogue, prompts, known, options.seed)
    plans, ranked = choose_tools(catalogue, network, tests, candidates)
    if options.gold_tools:
        plans = [[call.tool for call in calls_of(line, places)] for line in asked]
    filled = fill_calls(catalogue, reader, tests, plans)
    write_lines(
        options.out,
        [
            {
                "id": line["id"],
                "candidates": [tools[tool].name for tool in names],
                "calling": written_calls(one, tools),
            }
            for line, names, one in zip(asked, ranked, filled, strict=True)
        ],
    )
    return {
        "lines": len(asked),
        "trained_on": len(kept),
        "calls": int(np.sum([len(one) for one in filled])),
        "seconds": round(time.monotonic() - begin, 1),
    }


def written_calls(calls: Sequence[Call], tools: Sequence[TypedTool]) -> list[dict[str, Any]]:
    """Calls in the form of the data: the responses are counted through the plan."""
    written = []
    count = 0
    for call in calls:
        tool = tools[call.tool]
        responses = [f"API_call_{count + k}" for k in range(len(tool.responses))]
        count += len(responses)
        written.append({"api": tool.name, "parameters": dict(call.values), "responses": responses})
    return written


def calls_of(line: dict[str, Any], places: dict[str, int]) -> list[Call]:
    """The calls of a line whose tools the catalogue knows. Raises BadInput."""
    calling = line["calling"]
    if not isinstance(calling, list) or not all(isinstance(c, dict) and "api" in c for c in calling):
        raise BadInput(
            f"The calls of line {line.get('id')} are none", remedy='they are [{"api", "parameters"}]'
        )
    return [Call(places[c["api"]], c.get("parameters") or {}) for c in calling if c["api"] in places]


def read_tools(file: Path) -> list[TypedTool]:
    """The typed tools of a file. Raises BadInput."""
    tools = []
    for one in read_lines(file, "api_name", "parameters"):
        required = set(one.get("required") or ())
        parameters = tuple(
            Parameter(name, str(p.get("type", "str")), str(p.get("description", "")), name in required)
            for name, p in one["parameters"].items()
        )
        description = str(one.get("api_description", ""))
        tools.append(
            TypedTool(str(one["api_name"]), description, parameters, tuple(one.get("responses") or ()))
        )
    if not tools:
        raise BadInput(f"{file} names no tools", remedy="give one tool a line")
    return tools
