"""The Arbitration Engine as Python sees it."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest

from pit_native import ArbitrationEngine
from symphony.errors import BadInput


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
    assert wait["owner"] == "y"
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
