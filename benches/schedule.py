"""How good the order is in which nodes are played, on workflows made after the traces of real ones."""

from __future__ import annotations

import functools
import heapq
import json
import random
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx

from benches.measure import Row

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ("Blast", "Bwa", "Cycles", "Epigenomics", "Genome", "Montage", "Seismology", "Soykb", "Srasearch")
SIZES = (150, 500, 1000)
PROCESSORS = (4, 16, 64)
Ratios = dict[int, tuple[float, float, float]]
"""By processors: makespan ÷ lower bound of our order, of first come first served, and of the peer's."""


def _workflows(folder: Path) -> list[Path]:
    """Workflows of the recipes of WfCommons: graphs grown from those of traced runs, with times drawn from
    the distributions that were fitted to theirs. Its recipe of rnaseq makes no edges and is left out.
    """
    import numpy
    from wfcommons import WorkflowGenerator
    from wfcommons.wfchef import recipes

    made = []
    for recipe in RECIPES:
        for size in SIZES:
            random.seed(size)
            numpy.random.seed(size)
            chosen = getattr(recipes, f"{recipe}Recipe").from_num_tasks(size)
            made.append(folder / f"{recipe}-{size}.json")
            WorkflowGenerator(chosen).build_workflow().write_json(made[-1])
    return made


def _graph(trace: dict[str, Any]) -> networkx.DiGraph:
    """Tasks with their seconds, and which waits for which."""
    workflow = trace["workflow"]
    graph = networkx.DiGraph()
    for task in workflow["execution"]["tasks"]:
        graph.add_node(task["id"], seconds=float(task["runtimeInSeconds"]))
    for task in workflow["specification"]["tasks"]:
        graph.add_edges_from((parent, task["id"]) for parent in task["parents"])
    return graph


def _bottom_levels(graph: networkx.DiGraph) -> dict[str, float]:
    levels: dict[str, float] = {}
    for node in reversed(list(networkx.topological_sort(graph))):
        below = max((levels[target] for target in graph.successors(node)), default=0.0)
        levels[node] = graph.nodes[node]["seconds"] + below
    return levels


def _critical_path_list(graph: networkx.DiGraph, processors: int) -> float:
    """The peer, ÷ the lower bound: whenever a processor is free, the ready task with the longest way to the end."""
    levels = _bottom_levels(graph)
    waiting = dict(graph.in_degree())
    ready = [(-levels[node], node) for node, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < processors:
            _, node = heapq.heappop(ready)
            heapq.heappush(running, (now + graph.nodes[node]["seconds"], node))
        now = running[0][0]
        while running and running[0][0] == now:
            for target in graph.successors(heapq.heappop(running)[1]):
                waiting[target] -= 1
                if waiting[target] == 0:
                    heapq.heappush(ready, (-levels[target], target))
    work = sum(seconds for _, seconds in graph.nodes(data="seconds"))
    return float(now / max(max(levels.values()), work / processors))


@functools.cache
def _ratios() -> Ratios:
    with tempfile.TemporaryDirectory() as folder:
        traces = _workflows(Path(folder))
        # The run loop's own machine under a virtual clock; nothing is timed, so any build will do.
        command = ["cargo", "run", "--quiet", "--locked", "-p", "run_loop", "--example", "schedule", "--"]
        done = subprocess.run(
            [*command, *map(str, traces)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        ours: dict[tuple[str, int], tuple[float, float]] = {}
        for line in done.stdout.splitlines()[1:]:
            trace, processors, critical, first_come = line.split("\t")
            ours[trace, int(processors)] = float(critical), float(first_come)
        graphs = {str(trace): _graph(json.loads(trace.read_text())) for trace in traces}
    found: Ratios = {}
    for count in PROCESSORS:
        peers = [_critical_path_list(graph, count) for graph in graphs.values()]
        mine = [ours[trace, count] for trace in graphs]
        means = [statistics.mean(column) for column in (*zip(*mine, strict=True), peers)]
        found[count] = means[0], means[1], means[2]
    return found


def makespan(name: str) -> Row:
    """The time of a whole workflow when each task takes what it is known to take."""
    count = int(name.rpartition("P=")[2])
    ours, first_come, peer = _ratios()[count]
    how = (
        f"makespan ÷ lower bound, mean of {len(RECIPES) * len(SIZES)} workflows that WfCommons' recipes make"
        f" after traced ones; first come first served {first_come:.3f}"
    )
    return Row(name, ours, "× bound", "critical-path list in Python", peer, ours / peer, how)


ROWS: dict[str, Callable[[str], Row]] = {f"schedule.makespan P={count}": makespan for count in PROCESSORS}
