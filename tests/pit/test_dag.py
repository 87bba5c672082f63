"""The DAG Tracker as Python sees it."""

from __future__ import annotations

import array
import graphlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pit_native import DagTracker
from symphony.errors import BadInput, CycleError, NotFound

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


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
        (2, array.array("i", [0, 1, 1, 2]), "edge 1 names node 2"),
        (2, array.array("q", [0, -1]), "position below 0"),
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
    path.write_text("something else")
    with pytest.raises(BadInput, match="is not a SYMDAG01 log"):
        DagTracker.recover(str(path))
    with pytest.raises(NotFound):
        DagTracker.recover(str(tmp_path / "absent"))


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=80)
        )
    )
)
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
