"""The Arbitration Engine as Python sees it."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pit_native import ArbitrationEngine, Grant
from symphony.errors import BadInput
from tests.pit.theatre import Theatre, node

STRATEGIES = ["priority", "fair", "lottery", "shortest"]


def engine(**capacities: float) -> ArbitrationEngine:
    return ArbitrationEngine(capacities)


def test_grants_and_queues() -> None:
    arb = engine(cpu=2, memory=16 << 30)
    first = arb.request("a", {"cpu": 1.5, "memory": 8 << 30})
    assert first is not None and (first.owner, first.resources) == ("a", {"cpu": 1.5, "memory": 8 << 30})
    assert arb.request("b", {"cpu": 1}, priority=9) is None
    second = arb.request("c", {"cpu": 0.5})
    assert second is not None, "what fits beside a waiter that lacks something else may begin"
    assert [g.owner for g in arb.release(first)] == ["b"]
    assert arb.fairness()["resources"]["cpu"] == {"free": 0.5, "capacity": 2.0}


def test_every_wait_is_explained() -> None:
    arb = engine(memory=4.0)
    held = arb.request("x", {"memory": 3.0})
    assert arb.request("y", {"memory": 2.2}) is None
    (wait,) = arb.explain()
    assert (wait["owner"], wait["label"], wait["passed_over"], wait["behind"]) == ("y", "y", 0, None)
    assert wait["text"] == "waits for 1.2 bytes of memory held by x"
    assert wait["shortages"] == [{"resource": "memory", "missing": pytest.approx(1.2), "held_by": ["x"]}]
    assert held is not None
    arb.release(held)
    assert arb.explain() == []


@pytest.mark.parametrize(
    ("needs", "code"),
    [
        ({"cpu": 3}, "infeasible"),
        ({"tpu": 1}, "unknown_resource"),
        ({"cpu": -1}, "bad_input"),
        ({"cpu": "x"}, "bad_input"),
        ({"cpu": float("nan")}, "bad_input"),
    ],
)
def test_what_can_never_be_granted_is_an_error(needs: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        engine(cpu=2).request("a", needs)
    assert caught.value.code == code


def test_a_grant_is_released_once_and_where_it_came_from() -> None:
    arb, other = engine(cpu=1), engine(cpu=1)
    grant = arb.request("a", {"cpu": 1})
    assert grant is not None
    with pytest.raises(BadInput):
        other.release(grant)
    arb.release(grant)
    with pytest.raises(BadInput) as caught:
        arb.release(grant)
    assert caught.value.code == "not_held"
    with pytest.raises(BadInput):
        arb.request("a", {}, priority=10)


def test_priorities_and_withdrawing() -> None:
    arb = engine(cpu=1)
    held = arb.request("a", {"cpu": 1})
    for owner, priority in [("low", 1), ("gone", 9), ("high", 8)]:
        assert arb.request(owner, {"cpu": 1}, priority=priority) is None
    assert arb.withdraw("gone") == 1 and arb.withdraw("gone") == 0
    order = []
    while held is not None:
        granted = arb.release(held)
        order += [g.owner for g in granted]
        held = granted[0] if granted else None
    assert order == ["high", "low"]


@pytest.mark.parametrize("seed", range(3))
def test_owners_that_compete_are_served_evenly_and_nobody_starves(seed: int) -> None:
    choose = random.Random(seed)
    arb = engine(cpu=8, memory=32)
    needs: dict[str, dict[str, float]] = {
        "cpu heavy": {"cpu": 2, "memory": 2},
        "memory heavy": {"cpu": 0.5, "memory": 8},
        "even": {"cpu": 2, "memory": 8},
        "small": {"cpu": 0.5, "memory": 2},
    }
    dominant = {name: max(n["cpu"] / 8, n["memory"] / 32) for name, n in needs.items()}
    running: deque[Any] = deque()
    served = dict.fromkeys(needs, 0.0)

    def take(grants: list[Any]) -> None:
        for grant in grants:
            served[grant.owner] += dominant[grant.owner]
            running.append(grant)

    for _ in range(20):
        for name in needs:
            grant = arb.request(name, needs[name])
            take([grant] if grant else [])
    for _ in range(4000):
        running.rotate(choose.randrange(len(running)))
        done = running.popleft()
        take(arb.release(done))
        grant = arb.request(done.owner, needs[done.owner])
        take([grant] if grant else [])
    shares = list(served.values())
    jain = sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares))
    assert jain >= 0.95, served
    assert arb.fairness()["jain"] >= 0.95


def test_writers_of_one_path_take_turns_and_readers_share() -> None:
    arb = engine(cpu=8, memory=float(4 << 30))
    write, read = {"docs/": "write"}, {"./docs/a": "read"}
    first = arb.request("run", {"cpu": 1}, locks=write, label="report")
    assert first is not None and first.locks == {"docs": "write"} and first.resources == {"cpu": 1.0}
    assert arb.request("run", {"cpu": 1}, locks={"docs/a/b": "write", "src": "read"}, label="draw") is None
    assert arb.request("run", {"memory": float(5 << 29)}, locks={"document": "write"}) is not None
    assert arb.request("other", {"memory": float(1 << 31)}, locks=read) is None
    draw, other = arb.explain()
    assert draw["text"] == "waits for the lock on docs/a/b, for report holds docs"
    assert draw["locks"] == [{"path": "docs/a/b", "mode": "write", "held": "docs", "held_by": "report"}]
    assert other["text"] == (
        "waits for 512 MiB of memory held by run, and for the lock on docs/a, for report holds docs"
    )
    assert [g.locks for g in arb.release(first)] == [{"docs/a/b": "write", "src": "read"}]
    with pytest.raises(BadInput, match="neither for read nor for write"):
        arb.request("x", {}, locks={"a": "append"})


def test_a_strategy_is_switched_while_requests_wait() -> None:
    def order(*strategies: str) -> list[str]:
        arb = ArbitrationEngine({"cpu": 1}, strategy="priority")
        held = arb.request("x", {"cpu": 1})
        arb.request("slow", {"cpu": 1}, priority=9, seconds=60)
        arb.request("quick", {"cpu": 1}, priority=1, seconds=0.5)
        arb.request("unknown", {"cpu": 1}, priority=5)
        for strategy in strategies:
            arb.set_strategy(strategy, seed=3)
            assert arb.strategy == strategy
        served = []
        while held is not None:
            granted = arb.release(held)
            held = granted[0] if granted else None
            served += [g.owner for g in granted]
        return served

    assert order() == order("shortest", "fair") == ["slow", "unknown", "quick"]
    assert order("shortest") == ["quick", "slow", "unknown"]
    assert sorted(order("lottery")) == ["quick", "slow", "unknown"] and order("lottery") == order("lottery")
    for wrong in (lambda: engine().set_strategy("best"), lambda: ArbitrationEngine({}, strategy="best")):
        with pytest.raises(BadInput, match="no strategy best") as caught:
            wrong()
        assert "shortest" in caught.value.remedy


def test_one_that_was_passed_over_too_often_holds_back_what_it_needs() -> None:
    arb = engine(cpu=4)
    running: list[Any] = [arb.request("small", {"cpu": 1}, priority=9)]
    assert arb.request("large", {"cpu": 4}, priority=0) is None
    for _ in range(100):
        grant = arb.request("small", {"cpu": 1}, priority=9)
        if grant is None:
            break
        running.append(grant)
        arb.release(running.pop(0))
    large, small = arb.explain()
    assert large["passed_over"] == 16 and large["behind"] is None
    assert small["behind"] == "large" and small["text"] == "waits for large, which was passed over 16 times"
    assert [g.owner for held in running for g in arb.release(held)] == ["large"]


def wait_for_grant(arb: ArbitrationEngine) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for grant in arb.granted():
            return grant.owner
        time.sleep(0.005)
    raise TimeoutError


def test_a_reservation_keeps_room_until_it_is_claimed_given_up_or_over() -> None:
    arb = engine(gpu=1, cpu=4)
    kept = arb.reserve("training", {"gpu": 1})
    assert arb.request("other", {"gpu": 1}) is None
    assert arb.explain()[0]["text"] == "waits for 1 GPU reserved for training"
    assert arb.explain()[0]["reserved"] == [{"resource": "gpu", "missing": 1.0, "reserved_for": ["training"]}]
    with pytest.raises(BadInput, match="would reserve 1 gpu, but 1 of 1 are reserved then"):
        arb.reserve("third", {"gpu": 1}, starts_in=60, lasts=60)
    claimed = arb.request("training", {"gpu": 1})
    assert claimed is not None and not arb.unreserve(kept), "what is claimed is no longer reserved"
    assert [g.owner for g in arb.release(claimed)] == ["other"]

    kept = arb.reserve("training", {"cpu": 4})
    assert arb.request("a", {"cpu": 1}) is None
    assert arb.unreserve(kept) and not arb.unreserve(kept)
    assert [g.owner for g in arb.granted()] == ["a"]
    arb.reserve("training", {"cpu": 3}, lasts=0.05)
    assert arb.request("b", {"cpu": 1}) is None
    assert wait_for_grant(arb) == "b", "it is over, and nobody had to ask"
    for wrong in ({"starts_in": -1.0}, {"lasts": 0.0}):
        with pytest.raises(BadInput):
            arb.reserve("training", {"cpu": 1}, **wrong)


@given(st.data())
def test_whatever_is_asked_nothing_is_given_twice_and_all_get_their_turn(data: st.DataObject) -> None:
    capacity = {"cpu": 4.0, "memory": 8.0}
    arb = ArbitrationEngine(capacity, strategy=data.draw(st.sampled_from(STRATEGIES)))
    held: list[Grant] = []
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["ask", "ask", "release", "switch", "withdraw"])):
            case "ask":
                needs = {name: float(data.draw(st.integers(0, int(all_)))) for name, all_ in capacity.items()}
                path = data.draw(st.sampled_from(["a", "a/b", "c", ""]))
                locks = {path: data.draw(st.sampled_from(["read", "write"]))} if path else None
                owner = data.draw(st.sampled_from("pqr"))
                grant = arb.request(owner, needs, data.draw(st.integers(0, 9)), locks=locks)
                held += [grant] if grant else []
            case "release" if held:
                held += arb.release(held.pop(data.draw(st.integers(0, len(held) - 1))))
            case "switch":
                arb.set_strategy(data.draw(st.sampled_from(STRATEGIES)))
            case "withdraw":
                arb.withdraw(data.draw(st.sampled_from("pqr")))
        held += arb.granted()
        for name, all_ in capacity.items():
            used = sum(grant.resources.get(name, 0.0) for grant in held)
            assert used <= all_
            assert arb.fairness()["resources"][name] == {"free": all_ - used, "capacity": all_}
        taken = [(path, mode) for grant in held for path, mode in grant.locks.items()]
        for (path, mode), (other, second) in itertools.combinations(taken, 2):
            apart = not (path + "/").startswith(other + "/") and not (other + "/").startswith(path + "/")
            assert apart or mode == second == "read"
    while held:
        held += arb.release(held.pop())
    assert arb.explain() == [] and arb.fairness()["held"] == 0


def test_nodes_that_write_one_path_take_turns_and_others_do_not(tmp_path: Path) -> None:
    def writer(name: str, path: str, mode: str = "write") -> dict[str, Any]:
        return node(name, "slow", params={"seconds": 0.3}, locks=[{"path": path, "mode": mode}])

    theatre = Theatre(tmp_path / "home")
    try:
        theatre.register()
        nodes = [
            writer("a", "docs"),
            writer("b", "docs/x"),
            writer("c", "docs/x", "read"),
            writer("d", "src"),
        ]
        assert theatre.play(theatre.plan(nodes))["state"] == "succeeded"
        spans: dict[str, list[float]] = {}
        for event in theatre.events:
            if event["event"] == "node" and event["state"] in ("running", "succeeded"):
                spans.setdefault(event["node"], []).append(event["at"])
        apart = [("a", "b"), ("a", "c"), ("b", "c")]
        for one, two in apart:
            assert spans[one][1] <= spans[two][0] or spans[two][1] <= spans[one][0], spans
        assert spans["d"][0] < max(spans["a"][1], spans["b"][1]), "it waits for nobody"
        assert theatre.arbiter.fairness()["held"] == 0
    finally:
        theatre.close()


def test_the_engine_knows_the_nodes_of_a_run_by_name(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path / "home", cpu=1.0)
    try:
        theatre.register()
        theatre.runtime.start(theatre.plan([node("first", "slow"), node("second", "echo")]))
        theatre.until(lambda e: e["event"] == "node" and e["state"] == "running")
        (wait,) = theatre.arbiter.explain()
        names = {wait["label"], *wait["shortages"][0]["held_by"]}
        assert names == {"first", "second"} and wait["owner"] == "run"
        theatre.runtime.cancel("run")
        theatre.end("run")
        assert theatre.arbiter.explain() == []
    finally:
        theatre.close()
