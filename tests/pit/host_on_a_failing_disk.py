"""A host whose run's journal cannot be written from a moment on; prints what it told of the run.

Arguments: the home, the system call that fails, the number of its error, and what the run ends with. The run: a chain
of nodes, a question to the host, with whose answer the disk fails, and behind it a chain of nodes that do nothing,
beside a node with an effect, or one that takes longer than anybody waits, or none.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

from tests.pit.disk_that_fails import descriptors, fail
from tests.pit.theatre import Json, Theatre, node, source

BEFORE, BEHIND = 5, 20
LAST = "last"
ENDS: dict[str, Json] = {
    "effect": {"function": "echo", "effects": True, "params": {"value": 2}},
    "long": {"function": "slow", "params": {"seconds": 600.0}, "timeout": None},
    "nothing": {},
}


def melody(theatre: Theatre, ends: str) -> Json:
    """The plan."""
    nodes: list[Json] = [node("n0", "echo", params={"value": 1})]
    nodes += [node(f"n{i}", "echo", inputs={"value": source(f"n{i - 1}")}) for i in range(1, BEFORE)]
    gate = {"kind": "control", "key": "", "player": "symphony/control#approve", "resources": {}}
    nodes.append({**node("gate", "approve"), **gate})
    nodes += [{"id": f"b{i}", "kind": "pass"} for i in range(BEHIND)]
    chain = [f"n{BEFORE - 1}", "gate", *[f"b{i}" for i in range(BEHIND)]]
    edges = [{"kind": "control", "from": a, "to": b} for a, b in pairwise(chain)]
    if ENDS[ends]:
        # Several tries, so that one whose journal could not be synced would have another.
        retry = {"attempts": 3, "backoff": "none", "delay": 0.0}
        nodes.append(node(LAST, retry=retry, **ENDS[ends]))
        edges.append({"kind": "control", "from": "gate", "to": LAST})
    return theatre.plan(nodes, edges)


def play(home: Path, call: str, error: int, ends: str) -> Json:
    """Plays it to its end; what was told of the run and of its nodes."""
    theatre = Theatre(home)
    theatre.register()
    plan = melody(theatre, ends)

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
    print(json.dumps(play(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])))
