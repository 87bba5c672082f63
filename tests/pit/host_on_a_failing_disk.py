"""A host whose run's journal cannot be written from a moment on; prints what it told of the run.

Arguments: the home, the system call that fails and the number of its error. The run: a chain of nodes, a question to
the host, with whose answer the disk fails, and behind it a node with an effect beside another chain.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

from tests.pit.disk_that_fails import descriptors, fail
from tests.pit.theatre import Json, Theatre, node, source

BEFORE, BEHIND = 5, 20
EFFECT = "effect"


def melody(theatre: Theatre) -> Json:
    """The plan."""
    nodes: list[Json] = [node("n0", "echo", params={"value": 1})]
    nodes += [node(f"n{i}", "echo", inputs={"value": source(f"n{i - 1}")}) for i in range(1, BEFORE)]
    gate = {"kind": "control", "key": "", "player": "symphony/control#approve", "resources": {}}
    nodes.append({**node("gate", "approve"), **gate})
    nodes.append(node(EFFECT, "echo", params={"value": 2}, effects=True, retry=RETRY))
    nodes += [{"id": f"b{i}", "kind": "pass"} for i in range(BEHIND)]
    chain = [f"n{BEFORE - 1}", "gate", *[f"b{i}" for i in range(BEHIND)]]
    edges = [{"kind": "control", "from": a, "to": b} for a, b in pairwise(chain)]
    edges.append({"kind": "control", "from": "gate", "to": EFFECT})
    return theatre.plan(nodes, edges)


RETRY = {"attempts": 3, "backoff": "none", "delay": 0.0}
"""So that a node whose journal could not be synced is not simply tried again."""


def play(home: Path, call: str, error: int) -> Json:
    """Plays it to its end; what was told of the run and of its nodes."""
    theatre = Theatre(home)
    theatre.register()
    plan = melody(theatre)

    def answer(question: Json) -> None:
        journal = descriptors(Path(plan["dir"]) / "journal")
        assert journal, "the journal is open nowhere"
        fail(call, journal, error)
        theatre.runtime.decide(question["token"], {"outputs": {"value": True}})

    theatre.answers["control"] = answer
    end = theatre.play(plan)
    told = {
        "end": end,
        "nodes": {name: event["state"] for name, event in theatre.nodes("run").items()},
        "calls": theatre.runtime.stats()["calls"],
    }
    theatre.close()
    return told


if __name__ == "__main__":
    print(json.dumps(play(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
