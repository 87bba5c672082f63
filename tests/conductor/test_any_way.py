"""Whatever the masks offer can be added: any chooser, also one that learnt something odd, ends with a graph."""

from __future__ import annotations

import pytest

from conductor.composer import by_chance, play
from conductor.context import ComposeContext
from conductor.draft import Typing
from conductor.episode import Episode, Table
from conductor.retrieval import Catalogue
from conductor.training.compositions import bundled
from symphony.app.paths import bundled_extensions
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

PROMPTS = (
    "join the commits with the files and sort them by size",
    "read a.csv and b.csv, join them and draw a chart",
    "hotspots, todos and the lint findings in one report",
)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_bundled_players_in_any_order(prompt: str) -> None:
    functions, lattice = bundled(bundled_extensions())
    table = Table(Catalogue(functions, None), Typing(lattice), None)
    for seed in range(40):
        episode = Episode(table, prompt, None, ComposeContext())
        play(episode, by_chance(seed))
        for node in episode.draft.nodes:
            fed = [source for sources in node.inputs.values() for source in sources]
            assert all(place < len(episode.draft.nodes) for place, _ in fed)


def test_an_input_is_not_planned_from_a_node_whose_result_another_input_takes() -> None:
    """One table stands there; what joins two of them needs a second source, not the first one again."""
    rows = {"items": "list<record>"}
    join = FunctionSpec(
        "a/a#join", "operator", "joins two tables", {"left": rows["items"], "right": rows["items"]}, rows
    )
    one, two = (FunctionSpec(f"a/a#{n}", "operator", f"makes {n}", {}, rows) for n in ("one", "two"))
    for functions, can in (([join, one], False), ([join, one, two], True)):
        table = Table(Catalogue(functions, None), Typing(TypeLattice()), None)
        episode = Episode(table, "make one and join", None, ComposeContext())
        episode.step(1)
        assert (0 in episode.candidates()) == can
        if can:
            episode.step(0)
            assert sorted(node.function for node in episode.draft.nodes) == [0, 1, 2]
