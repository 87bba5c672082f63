"""Validation: every finding, each with its place and remedy."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pit_native import DagTracker
from symphony.melody import Melody, WorkflowBuilder
from symphony.melody.flow import output_types
from symphony.melody.formats import from_document
from symphony.melody.validation import Limits, is_valid, validate
from symphony.types.port_types import TypeLattice

from .conftest import Catalogue

LOG, COUNT, REPORT = "symphony/git#log", "symphony/data#count", "symphony/report#markdown"
TOP, TITLE, NOTE = "symphony/data#top", "symphony/text#title", "symphony/data#note"


def _review() -> WorkflowBuilder:
    return (
        WorkflowBuilder("review")
        .add_operator("log", LOG, params={"since": "30d"})
        .add_operator("count", COUNT)
        .add_control("pick", "if")
        .add_operator("report", REPORT)
        .connect("log.commits", "count.items")
        .connect("count.count", "pick.value")
        .connect("log.commits", "report.sections")
        .connect("count.count", "report.sections")
        .connect("pick", "report", when="value > 0")
    )


def _codes(
    melody: Melody, catalogue: Catalogue, lattice: TypeLattice, limits: Limits | None = None
) -> list[str]:
    return [f.code for f in validate(melody, catalogue, lattice, limits=limits or Limits())]


def test_a_good_melody_has_no_findings(catalogue: Catalogue, lattice: TypeLattice) -> None:
    assert validate(_review().build(), catalogue, lattice) == []


@pytest.mark.parametrize(
    ("change", "code", "place", "part"),
    [
        (lambda b: b.add_operator("log", COUNT), "duplicate_id", "log", "2 nodes"),
        (lambda b: b.add_operator("x", "symphony/git#lgo").connect("x", "log"), "unknown_player", "x", "git#log"),
        (lambda b: b.add_operator("x", "no/such#thing").connect("x", "log"), "unknown_player", "x", "Marketplace"),
        (lambda b: b.add_instrument("x", "shop/thing#buy").connect("x", "log"), "unknown_player", "x", "shop/thing"),
        (lambda b: b.add_operator("x", COUNT).connect("x", "log"), "missing_input", "x", "items"),
        (
            lambda b: b.add_operator("x", TITLE).connect("log.commits", "x.text"),
            "type_mismatch", "log.commits → x.text", "list<git/commit>",
        ),
        (lambda b: b.connect("report.report", "log.nope"), "unknown_port", "report.report → log.nope", "project"),
        (lambda b: b.connect("log.nope", "report.sections"), "unknown_port", "log.nope → report.sections", "commits"),
        (lambda b: b.connect("ghost.x", "report.sections"), "unknown_node", "ghost.x → report.sections", "ghost"),
        (
            lambda b: b.connect("log", "report.sections", kind="data"),
            "bad_endpoint", "log → report.sections", "commits",
        ),
        (lambda b: b.connect("log.commits", "count", kind="control"), "bad_endpoint", "log.commits → count", "log"),
        (
            lambda b: b.connect("log.commits", "report.sections"),
            "duplicate_edge", "log.commits → report.sections", "twice",
        ),
        (lambda b: b.connect("report", "log"), "cycle", None, "wait for each other"),
        (lambda b: b.connect("log", "count", when="commits >"), "bad_condition", "log → count", "read"),
        (lambda b: b.connect("log", "count", when="total > 1"), "bad_condition", "log → count", "total"),
        (lambda b: b.connect("log", "count", kind="conditional"), "bad_condition", "log → count", "when"),
        (
            lambda b: b.connect("log", "count", kind="control", when="true"),
            "bad_condition", "log → count", "conditional",
        ),
        (lambda b: b.add_operator("x", LOG, params={"snce": "1d"}).connect("x", "log"), "bad_parameter", "x", "since"),
        (
            lambda b: b.add_operator("x", LOG, params={"since": "soon"}).connect("x", "log"),
            "bad_parameter", "x", "duration",
        ),
        (lambda b: b.add_operator("x", LOG, params={"limit": 0}).connect("x", "log"), "bad_parameter", "x", "below 1"),
        (
            lambda b: b.add_operator("x", LOG, params={"limit": True}).connect("x", "log"),
            "bad_parameter", "x", "integer",
        ),
        (
            lambda b: b.add_operator("x", LOG, params={"order": "up"}).connect("x", "log"),
            "bad_parameter", "x", "new, old",
        ),
        (lambda b: b.add_operator("x", NOTE).connect("report.report", "x.text"), "missing_parameter", "x", "words"),
        (lambda b: b.add_control("x", "map").connect("log.commits", "x.items"), "missing_parameter", "x", "player"),
        (
            lambda b: b.add_operator("x", COUNT, resources={"memory": "64GiB"}).connect("log.commits", "x.items"),
            "infeasible_resources", "x", "64.0 GiB",
        ),
        (lambda b: b.add_operator("x", LOG + "@^2").connect("x", "log"), "version", "x", "1.0.0"),
    ],
)  # fmt: skip
def test_each_error_is_found(
    change: object, code: str, place: str | None, part: str, catalogue: Catalogue, lattice: TypeLattice
) -> None:
    builder = _review()
    assert callable(change)
    change(builder)
    limits = Limits(memory=8 << 30, versions={"symphony/git": "1.0.0"})
    findings = validate(builder.build(), catalogue, lattice, limits=limits)
    found = [f for f in findings if f.code == code]
    assert len(found) == 1 and found[0].severity == "error" and not is_valid(findings), findings
    if place is not None:
        assert place in (found[0].node, found[0].edge)
    assert part in f"{found[0].message} {found[0].remedy}"
    assert found[0].remedy


def test_missing_permissions_and_too_many_sources(catalogue: Catalogue, lattice: TypeLattice) -> None:
    limits = Limits(missing_permissions={"symphony/git": ["exec:git"]})
    assert _codes(_review().build(), catalogue, lattice, limits) == ["missing_permission"]
    two = _review().add_operator("t", TITLE).connect("report.report", "t.text")
    two.add_operator("u", TITLE).connect("report.report", "u.text").connect("u.title", "t.text")
    assert _codes(two.build(), catalogue, lattice) == ["too_many_sources"]


def test_warnings_do_not_make_it_invalid(catalogue: Catalogue, lattice: TypeLattice) -> None:
    melody = _review().add_operator("alone", LOG).add_instrument("odd", LOG).connect("odd", "log").build()
    findings = validate(melody, catalogue, lattice)
    assert {(f.code, f.node, f.severity) for f in findings} == {
        ("orphan", "alone", "warning"),
        ("wrong_kind", "odd", "warning"),
    }
    assert is_valid(findings)


def test_what_can_never_play(catalogue: Catalogue, lattice: TypeLattice) -> None:
    never = _review().add_operator("late", LOG).connect("log", "late", when="1 > 2")
    findings = validate(never.build(), catalogue, lattice)
    assert [(f.code, f.node) for f in findings] == [("unreachable", "late")]
    circle = _review().connect("report", "count").build()
    findings = validate(circle, catalogue, lattice)
    assert [(f.code, f.node) for f in findings] == [("cycle", "count"), ("unreachable", "pick")]
    assert "count → report → count" in findings[0].message, "the shortest way round"


def test_sizes_are_limited(catalogue: Catalogue, lattice: TypeLattice) -> None:
    assert (
        _codes(_review().build(), catalogue, lattice, Limits(max_nodes=3, max_edges=2)) == ["too_large"] * 2
    )
    assert _codes(WorkflowBuilder("x").build(), catalogue, lattice) == ["empty"]


def test_types_pass_through_control_players(catalogue: Catalogue, lattice: TypeLattice) -> None:
    builder = (
        WorkflowBuilder("x")
        .add_operator("log", LOG)
        .add_control("pick", "if")
        .add_control("pause", "wait")
        .add_operator("top", TOP)
        .add_control("all", "join")
        .add_control("each", "map", params={"player": TITLE})
        .add_operator("title", TITLE)
        .connect("log.commits", "pick.value")
        .connect("pick.value", "pause.value")
        .connect("pause.value", "top.rows")
        .connect("top.rows", "all.items")
        .connect("top.rows", "each.items")
    )
    melody = builder.connect("pick.value", "title.text").build()
    types = output_types(melody, catalogue)
    assert types["pause", "value"] == "list<git/commit>"
    assert types["all", "items"] == "list<record>" and types["each", "items"] == "list<text>"
    findings = validate(melody, catalogue, lattice)
    assert [(f.code, f.edge) for f in findings] == [("type_mismatch", "pick.value → title.text")]


def test_nested_melodies_are_checked(catalogue: Catalogue, lattice: TypeLattice) -> None:
    inner = (
        WorkflowBuilder("inner")
        .add_operator("t", TITLE)
        .add_operator("bad", "no/such#one")
        .connect("t", "bad")
    )
    outer = (
        WorkflowBuilder("outer")
        .add_operator("log", LOG)
        .add_control("again", "loop", params={"melody": inner.build().to_document()})
    )
    findings = validate(outer.connect("log.commits", "again.value").build(), catalogue, lattice)
    assert [(f.code, f.node) for f in findings] == [("unknown_player", "again/bad")]
    document: object = "deepest"
    for _ in range(12):
        document = {
            "name": "n",
            "nodes": [
                {
                    "id": "a",
                    "kind": "control",
                    "player": "symphony/control#loop",
                    "params": {"melody": document},
                }
            ],
        }
    codes = _codes(from_document(document), catalogue, lattice)
    assert "too_deep" in codes


_ids = [f"n{i}" for i in range(8)]
_pairs = st.lists(st.tuples(st.sampled_from(_ids), st.sampled_from(_ids)), max_size=16)


@settings(max_examples=200, deadline=None)
@given(_pairs)
def test_cycles_are_found_exactly_when_there_are_some(pairs: list[tuple[str, str]]) -> None:
    import networkx

    graph = networkx.DiGraph(pairs)
    graph.add_nodes_from(_ids)
    knots = [k for k in networkx.strongly_connected_components(graph) if len(k) > 1]
    loops = {a for a, b in pairs if a == b}
    builder = WorkflowBuilder("any")
    for node_id in _ids:
        builder.add_operator(node_id, LOG)
    for source, target in dict.fromkeys(pairs):
        builder.connect(source, target)
    found = [f for f in validate(builder.build(), {}, TypeLattice()) if f.code in ("cycle", "orphan")]
    cycles = [f.message.split()[2:-4:2] for f in found if "wait for each other" in f.message]
    for cycle in cycles:
        assert cycle[0] == cycle[-1] and len(set(cycle)) == len(cycle) - 1
        assert all(pair in pairs for pair in pairwise(cycle))
    assert all(any(set(cycle) <= knot for cycle in cycles) for knot in knots)
    assert len(cycles) == len(knots)
    assert {f.node for f in found if f.message.endswith("waits for itself")} == loops
    alone = {node_id for node_id in _ids if graph.degree(node_id) == 0}
    assert {f.node for f in found if f.code == "orphan"} == alone
    ordered = DagTracker.sortable(_ids, pairs)
    assert all(ordered.index(a) < ordered.index(b) for a, b in pairs if a in ordered and b in ordered)
    assert (len(ordered) == len(_ids)) == (not knots and not loops)


def test_depth_needs_no_recursion(catalogue: Catalogue, lattice: TypeLattice) -> None:
    builder = WorkflowBuilder("deep").add_operator("n0", LOG)
    for index in range(1, 3000):
        builder.add_operator(f"n{index}", TOP).connect(
            f"n{index - 1}.{'commits' if index == 1 else 'rows'}", f"n{index}.rows"
        )
    assert validate(builder.build(), catalogue, lattice) == []
    codes = _codes(builder.connect("n2999", "n1").build(), catalogue, lattice)
    assert codes == ["cycle"]
