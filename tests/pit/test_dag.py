"""The DAG Tracker as Python sees it."""

from __future__ import annotations

import array
import graphlib
import itertools
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pit_native import DagTracker
from symphony.errors import BadInput, CycleError, NotFound

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def test_a_tracker_is_made_only_of_what_is_checked_without_errors() -> None:
    for nodes, edges in ((["a", "b", "a"], [("a", "b")]), (["a"], [("a", "x")]), (["a"], [("a", "a")])):
        findings, dag = DagTracker.check(nodes, edges)
        assert findings and dag is None
    findings, dag = DagTracker.check(["a", "b", "c"], [("a", "b"), ("a", "b")])
    assert [f["code"] for f in findings] == ["duplicate_edge", "orphan"]
    assert dag is not None and dag.complete("a") == ["b"]


def test_ready_start_complete_fail() -> None:
    dag = DagTracker(["a", "b", "c", "d", "e"], [*DIAMOND, ("d", "e")])
    assert dag.ready() == ["a"] and len(dag) == 5
    dag.start("a")
    assert dag.ready() == [] and dag.state("a") == "running"
    assert dag.complete("a") == ["b", "c"]
    assert dag.ready() == ["b", "c"]
    assert dag.complete("b") == []
    assert dag.fail("c") == ["d", "e"]
    assert [dag.state(i) for i in "abcde"] == ["succeeded", "succeeded", "failed", "skipped", "skipped"]
    assert dag.finished


def test_the_cycle_is_named() -> None:
    with pytest.raises(CycleError) as caught:
        DagTracker(["x", "a", "b", "c"], [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")])
    assert caught.value.cycle == ["a", "b", "c", "a"]
    with pytest.raises(CycleError) as caught:
        DagTracker(["a"], [("a", "a")])
    assert caught.value.cycle == ["a", "a"]


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (["a"], [("a", "b")], "edge 0 names b, which is no node"),
        (["a", "b", "a"], [], "the node a is there twice"),
        (["a", "b"], [("a", "b"), ("a",)], "edge 1 is no pair"),
        (["a", "b"], ["ab"], "edge 0 is no pair"),
        (2, array.array("i", [0, 1, 1, 2]), "edge 1 names 2, which is no node"),
        (2, array.array("q", [0, -1]), "edge 0 names -1, which is no node"),
        (2, array.array("I", [0]), "odd length"),
    ],
)
def test_bad_graphs_are_refused(nodes: object, edges: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        DagTracker(nodes, edges)  # type: ignore[arg-type]


def test_steps_that_do_not_fit() -> None:
    dag = DagTracker(["a", "b"], [("a", "b")])
    with pytest.raises(BadInput, match="cannot start the node b, which is pending"):
        dag.start("b")
    with pytest.raises(NotFound, match="no node z"):
        dag.complete("z")
    dag.complete("a")
    with pytest.raises(BadInput, match="cannot complete the node a, which is succeeded"):
        dag.complete("a")


def test_the_critical_path() -> None:
    dag = DagTracker(["a", "b", "c", "d"], DIAMOND)
    assert dag.critical_path({"a": 1, "b": 1, "c": 2.5, "d": 1}) == ["a", "c", "d"]
    with pytest.raises(BadInput, match="lack the node d"):
        dag.critical_path({"a": 1, "b": 1, "c": 1})


def test_integers_and_buffers() -> None:
    for code in "iIqQ":
        dag: DagTracker[int] = DagTracker(4, array.array(code, [0, 1, 0, 2, 1, 3, 2, 3]))
        assert dag.topological_order() == [0, 1, 2, 3]
    assert DagTracker(range(10, 13), [[10, 11], (11, 12)]).topological_order() == [10, 11, 12]


def test_equal_ids_need_not_be_the_same_object() -> None:
    dag = DagTracker(["no" + str(i) for i in range(3)], [("no" + str(0), "no" + str(1))])
    assert dag.complete("".join(["no", "0"])) == ["no1"]


def test_many_at_once_or_none() -> None:
    dag = DagTracker(["a", "b", "c", "d"], DIAMOND)
    assert dag.complete_many(["a"]) == ["b", "c"]
    for refused in (["b", "d"], ["b", "b"], ["c", "a"]):
        with pytest.raises(BadInput, match="cannot complete"):
            dag.complete_many(refused)
        assert dag.ready() == ["b", "c"]
    with pytest.raises(NotFound):
        dag.complete_many(["b", "z"])
    assert dag.complete_many(iter(["c", "b"])) == ["d"]


def test_ids_are_found_by_equality_as_a_dictionary_would() -> None:
    class Name:
        def __init__(self, text: str) -> None:
            self.text = text

        def __hash__(self) -> int:
            return 1  # all collide, with the integer 1 too

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Name) and self.text == other.text

    ids: list[Any] = [Name("a"), Name("b"), 1, -1, -2, 2**61 - 1, 2**80, (3, "x"), None, 0.5]
    large = int("2305843009213693951")
    edges = [(Name("a"), Name("b")), (True, -1.0), (-2, large), (2**80, (3, "x")), (None, 0.5)]
    dag: DagTracker[Any] = DagTracker(ids, edges)
    for source, target in edges:
        assert dag.complete(source) == [target]
    assert dag.ready()[0] is ids[1]
    with pytest.raises(NotFound):
        dag.state(Name("c"))
    with pytest.raises(NotFound):
        dag.state(0)
    for counted in (3, range(3), [0, 1, 2], [2, 0, 1]):
        numbers: DagTracker[Any] = DagTracker(counted, [(True, 2.0)])
        assert numbers.complete(1.0) == [2] and numbers.state(0) == "ready"
        for unknown in (3, -1, 0.5, "0", 2**64, 2**61 - 1):
            with pytest.raises(NotFound):
                numbers.state(unknown)
    with pytest.raises(TypeError, match="unhashable"):
        DagTracker([[]], [])  # type: ignore[type-var]


def test_an_error_of_an_id_comes_through() -> None:
    class Odd:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        DagTracker([Odd(), Odd()], [])


def test_everything_wrong_is_found_at_once() -> None:
    nodes = ["a", "b", "c", "d", "e", "f", "b", "lone"]
    edges: list[Any] = [
        ("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "e"), ("a", "ghost"), ("a", "b"), "ab",
        ("a",), (4, "f"), ("f", "a"),
    ]  # fmt: skip
    findings = DagTracker.validate(nodes, edges)
    assert [(f["code"], f["severity"], f["nodes"], f["edges"]) for f in findings] == [
        ("duplicate_node", "error", ["b"], []),
        ("unknown_node", "error", [], [5]),
        ("malformed_edge", "error", [], [7]),
        ("malformed_edge", "error", [], [8]),
        ("unknown_node", "error", [], [9]),
        ("self_loop", "error", ["e"], [4]),
        ("duplicate_edge", "warning", [], [0, 6]),
        ("cycle", "error", ["b", "c", "b"], []),
        ("blocked", "error", ["d"], []),
        ("unreachable", "error", ["e"], []),
        ("orphan", "warning", ["lone"], []),
    ]
    messages = [f["message"] for f in findings]
    assert messages[1] == "edge 5 names ghost, which is no node"
    assert messages[4] == "edge 9 names 4, which is no node"
    assert messages[7] == "a cycle: b → c → b"
    flat = array.array("q", [0, 1, 1, 5, -1, 0])
    assert [f["message"] for f in DagTracker.validate(2, flat)] == [
        "edge 1 names 5, which is no node",
        "edge 2 names -1, which is no node",
    ]
    assert DagTracker.validate(["a", "b", "c", "d"], DIAMOND) == []


def test_a_large_graph_takes_little_memory() -> None:
    # In a process of its own, whose peak nothing else has raised.
    script = """
import array, resource
from pit_native import DagTracker
nodes, edges = 100_000, 500_000
flat = array.array("I", (n for i in range(edges) for n in (i % 90_000, i % 90_000 + 1 + i % 9_999)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dag = DagTracker(nodes, flat)
DagTracker.validate(nodes, flat)
ready = dag.ready()
while ready:
    ready = dag.complete_many(ready)
assert dag.finished
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 100 << 10  # KiB


def test_a_chain_of_a_hundred_thousand() -> None:
    n = 100_000
    chain = [(i, i + 1) for i in range(n - 1)]
    dag = DagTracker(n, chain)
    assert dag.topological_order() == list(range(n))
    assert len(dag.critical_path(range(n))) == n
    assert len(dag.fail(0)) == n - 1
    with pytest.raises(CycleError) as caught:
        DagTracker(n, [*chain, (n - 1, 0)])
    assert len(caught.value.cycle) == n + 1


def test_the_journal_brings_the_state_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    dag = DagTracker(["a", "b", "c", "d"], DIAMOND)
    dag.complete("a")
    dag.journal(str(path))
    dag.start("b")
    dag.complete("b")
    dag.start("c")
    dag.sync()
    again = DagTracker.recover(str(path))
    assert again.ready() == ["c"], "what was running is ready again"
    assert again.complete("c") == ["d"]
    assert DagTracker.recover(str(path)).ready() == ["d"]
    numbers = DagTracker([7, 8], [(7, 8)])
    numbers.journal(str(path))
    assert DagTracker.recover(str(path)).ready() == [7]


def test_a_torn_journal_and_one_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    dag = DagTracker(["a", "b"], [("a", "b")])
    dag.journal(str(path))
    dag.complete("a")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert DagTracker.recover(str(path)).ready() == ["a"]
    path.write_bytes(whole[:20])
    with pytest.raises(BadInput, match="its graph is missing"):
        DagTracker.recover(str(path))
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        try:
            assert DagTracker.recover(str(path)).ready() == ["a"]
        except BadInput as error:
            assert "graph" in str(error)
    path.write_text("something else")
    with pytest.raises(BadInput, match="is not a SYMDAG0 log"):
        DagTracker.recover(str(path))
    with pytest.raises(NotFound):
        DagTracker.recover(str(tmp_path / "absent"))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """How many nodes, and any edges between them."""
    n = draw(st.integers(1, 30))
    return n, draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=80))


@st.composite
def acyclic(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]], dict[str, float]]:
    """Names in any order, edges that agree with another order, and seconds."""
    n, edges = draw(graphs())
    names = draw(st.permutations([f"node {i}" for i in range(n)]))
    seconds = {name: draw(st.sampled_from([0.0, 0.25, 1.0, 3.5])) for name in names}
    pairs = [(names[min(a, b)], names[max(a, b)]) for a, b in edges if a != b]
    return sorted(names), pairs, seconds


@given(graphs())
def test_it_agrees_with_graphlib(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, edges = graph
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter({i: [] for i in range(n)})
    for source, target in edges:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        with pytest.raises(CycleError) as caught:
            DagTracker(n, edges)
        cycle = [int(i) for i in caught.value.cycle]
        assert cycle[0] == cycle[-1] and all(pair in edges for pair in itertools.pairwise(cycle))
        return
    dag = DagTracker(n, edges)
    while not dag.finished:
        batch = sorter.get_ready()
        assert sorted(dag.ready()) == sorted(batch)
        for node in batch:
            dag.start(node)
            dag.complete(node)
        sorter.done(*batch)


@given(acyclic(), st.randoms(use_true_random=False))
def test_order_ready_sets_and_longest_path_agree_with_networkx(
    graph: tuple[list[str], list[tuple[str, str]], dict[str, float]], choose: random.Random
) -> None:
    names, pairs, seconds = graph
    peer: networkx.DiGraph[str] = networkx.DiGraph(pairs)
    peer.add_nodes_from(names)
    dag = DagTracker(names, pairs)
    place = {name: at for at, name in enumerate(dag.topological_order())}
    assert sorted(place) == names and all(place[a] < place[b] for a, b in pairs)

    path = dag.critical_path(seconds)
    assert all(peer.has_edge(a, b) for a, b in itertools.pairwise(path))
    longest: dict[str, float] = {}
    for name in networkx.topological_sort(peer):
        longest[name] = seconds[name] + max((longest[a] for a in peer.predecessors(name)), default=0.0)
    assert sum(seconds[name] for name in path) == max(longest.values())

    done: set[str] = set()
    while not dag.finished:
        ready = sorted(dag.ready())
        assert ready == sorted(n for n in names if n not in done and done >= set(peer.predecessors(n)))
        batch = [name for name in ready if choose.random() < 0.5] or ready[:1]
        if choose.random() < 0.5:
            new = dag.complete_many(batch)
        else:
            new = [found for name in batch for found in dag.complete(name)]
        done |= set(batch)
        assert sorted([*new, *(set(ready) - set(batch))]) == sorted(dag.ready())


@given(graphs())
def test_validation_agrees_with_networkx(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, edges = graph
    peer: networkx.DiGraph[int] = networkx.DiGraph(edges)
    peer.add_nodes_from(range(n))
    findings = DagTracker.validate(n, edges)
    same, dag = DagTracker.check(n, edges)
    assert same == findings
    assert (dag is None) == any(f["severity"] == "error" for f in findings)
    if dag is not None:
        alone = DagTracker(n, edges)
        assert (dag.topological_order(), dag.ready()) == (alone.topological_order(), alone.ready())

    def nodes_of(code: str) -> list[int]:
        return sorted(i for f in findings if f["code"] == code for i in f["nodes"])

    knots = [knot for knot in networkx.strongly_connected_components(peer) if len(knot) > 1]
    cycles = [f["nodes"] for f in findings if f["code"] == "cycle"]
    assert len(cycles) == len(knots)
    for cycle in cycles:
        assert cycle[0] == cycle[-1] and all(pair in edges for pair in itertools.pairwise(cycle))
        assert sum(set(cycle) <= knot for knot in knots) == 1
    loops = {a for a, b in edges if a == b}
    assert set(nodes_of("self_loop")) == loops
    knotted = loops.union(*knots)
    behind = {b for a in knotted for b in networkx.descendants(peer, a)} - knotted
    assert nodes_of("blocked") == sorted(behind)
    starts = [i for i in range(n) if peer.in_degree(i) == 0]
    reached = set(starts).union(*(networkx.descendants(peer, i) for i in starts))
    assert nodes_of("unreachable") == sorted(set(range(n)) - reached)
    assert nodes_of("orphan") == (sorted(networkx.isolates(peer)) if n > 1 else [])
    refused = any(f["severity"] == "error" for f in findings)
    assert refused == (not networkx.is_directed_acyclic_graph(peer))


def test_what_can_be_ordered_of_a_broken_graph_is() -> None:
    pairs = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "f"), ("f", "f")]
    assert DagTracker.sortable("abcdef", pairs) == ["a", "e"]
    assert DagTracker.sortable(3, [(2, 1), (1, 0)]) == [2, 1, 0]
    with pytest.raises(BadInput, match="nowhere"):
        DagTracker.sortable(["a"], [("a", "nowhere")])
