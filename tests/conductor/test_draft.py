"""Drafts allow only legal edges, and planning adds what nobody asked for."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from conductor.draft import Draft, Typing
from conductor.search import ASK, TypeIndex, cheapest_plans
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

LATTICE = TypeLattice()
LATTICE.declare({"x/a": ["record"], "x/b": ["record"], "x/c": ["record"]})


def player(
    name: str, inputs: dict[str, str], outputs: dict[str, str], optional: tuple[str, ...] = ()
) -> FunctionSpec:
    return FunctionSpec(f"t/t#{name}", "operator", name, inputs, outputs, optional=frozenset(optional))


FUNCTIONS = [
    player("a", {"project": "project"}, {"rows": "list<x/a>"}),
    player("b", {"project": "project"}, {"rows": "list<x/b>", "other": "list<x/c>"}),
    player("merge", {"left": "list<x/a>", "right": "list<x/b>"}, {"rows": "list<x/c>"}),
    player("chart", {"rows": "list<record>"}, {"chart": "image/svg+xml"}),
    player("top", {"rows": "list<record>"}, {"rows": "list<record>"}),
    player("report", {"parts": "list<any>"}, {"report": "text/markdown"}),
    player("orphan", {"rows": "list<y/never>"}, {"rows": "list<record>"}),
]
A, B, MERGE, CHART, TOP, REPORT, ORPHAN = range(7)


def draft_of(*functions: int) -> Draft:
    draft = Draft(Typing(LATTICE), frozenset())
    for function in functions:
        draft.add(function, FUNCTIONS[function], chosen=True, connect_optional=True)
    return draft


def plans(draft: Draft, usable: frozenset[int] = frozenset(range(7))):  # type: ignore[no-untyped-def]
    typing = Typing(LATTICE)
    may = np.array([f in usable for f in range(len(FUNCTIONS))], dtype=np.uint8)
    return cheapest_plans(FUNCTIONS, TypeIndex(FUNCTIONS, typing), draft, np.ones(len(FUNCTIONS)), may, bool)


def test_planning_finds_both_feeders_of_a_merger() -> None:
    found = plans(draft_of())
    assert sorted(found.steps(MERGE)) == [A, B]
    assert found.cost[MERGE] == 3.0
    assert ORPHAN not in found.cost, "nothing makes its input"


def test_what_stands_is_not_planned_again() -> None:
    assert plans(draft_of(A)).steps(MERGE) == [B]
    assert plans(draft_of(A, B)).steps(MERGE) == []


def test_players_that_are_not_usable_are_no_steps() -> None:
    found = plans(draft_of(), frozenset((A, MERGE)))
    assert MERGE not in found.cost


@pytest.mark.parametrize("seed", range(20))
def test_every_player_is_reached_as_cheaply_as_can_be(seed: int) -> None:
    """Against costs that are lowered until nothing changes; no step makes what two inputs of another want."""
    dice = random.Random(seed)
    functions, types = [], [f"z/{n}" for n in range(12)]
    for number in range(60):
        takes = dice.sample(types, dice.choice((0, 1, 1, 2, 3)))
        ports = {f"in{k}": t for k, t in enumerate(takes)}
        functions.append(player(f"f{number}", ports, {"out": dice.choice(types)}))
    own = [dice.uniform(1.0, 4.0) for _ in functions]
    usable = [dice.random() < 0.9 for _ in functions]
    typing = Typing(LATTICE)
    index, draft = TypeIndex(functions, typing), Draft(typing, frozenset())
    found = cheapest_plans(functions, index, draft, np.array(own), np.array(usable, dtype=np.uint8), bool)
    asked = np.full(len(functions), ASK, dtype=np.uint8)
    again = cheapest_plans(functions, index, draft, np.array(own), asked, usable.__getitem__)
    assert again.cost == found.cost, "whoever is asked for and may is as one that may"
    costs = [math.inf] * len(functions)
    for _ in functions:
        for place, spec in enumerate(functions):
            fed = [
                min(
                    (
                        costs[p]
                        for p, f in enumerate(functions)
                        if wanted in f.outputs.values() and p != place
                    ),
                    default=math.inf,
                )
                for wanted in spec.inputs.values()
            ]
            costs[place] = own[place] + sum(fed) if usable[place] else math.inf
    for place, spec in enumerate(functions):
        assert found.cost.get(place, math.inf) == pytest.approx(costs[place])
        assert len(found.feeders(place)) == (len(spec.inputs) if place in found.cost else 0)


def test_a_merger_takes_the_port_of_the_right_type() -> None:
    draft = draft_of(B, A, MERGE)
    assert draft.nodes[2].inputs == {"left": [(1, "rows")], "right": [(0, "rows")]}


def test_a_report_gathers_results_and_their_pictures() -> None:
    draft = draft_of(A, REPORT, B, MERGE, CHART)
    draft.finish()
    names = [node.spec.function for node in draft.nodes]
    assert names[-1] == "report"
    sources = {names[place] for place, _ in draft.nodes[-1].inputs["parts"]}
    assert sources == {"merge", "chart"}, "what was merged is in the merger's result"


def test_a_transformed_table_takes_the_place_of_the_first() -> None:
    draft = draft_of(A, TOP, CHART)
    assert draft.nodes[2].inputs["rows"] == [(1, "rows")]
