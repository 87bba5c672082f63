"""File formats: each reads what it wrote, and says where an error is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.errors import BadInput, InvalidMelody
from symphony.melody import Melody, WorkflowBuilder
from symphony.melody.diff import diff
from symphony.melody.formats import dump, from_document, load, loads, save_file

CONTRACT = """\
format: symphony.melody/1
id: 0192f0c1-…                # assigned when saved
name: review-risk
version: 1.2.0
description: Where the next bug is likely
metadata: {author: me, tags: [git, risk]}
nodes:
  - id: log
    kind: operator            # instrument | operator | motif | control
    player: symphony/git#log  # publisher/extension#function, optionally @version-range
    params: {since: 90d}
    timeout: 30s
    retry: {attempts: 3, backoff: exponential}
    resources: {cpu: 1, memory: 256MiB, gpu: 0}
  - {id: count, kind: operator, player: symphony/data#count}
  - {id: pick, kind: control, player: symphony/control#if}
  - {id: report, kind: operator, player: symphony/report#markdown}
edges:
  - {kind: data, from: log.commits, to: count.items}
  - {kind: data, from: count.count, to: pick.value}
  - {kind: data, from: log.commits, to: report.sections}
  - {kind: conditional, from: pick, to: report, when: "value > 0"}
"""

FORMATS = ("yaml", "json", "pretty", "msgpack", "postcard")


def test_the_melody_of_the_contracts_is_read() -> None:
    melody = load(CONTRACT.encode(), ".yaml")
    log = melody.nodes[0]
    assert (log.timeout, log.retry and log.retry.attempts, log.resources and log.resources.memory) == (
        30.0,
        3,
        256 << 20,
    )
    assert melody.edges[3].when == "value > 0" and melody.edges[0].source_port == "commits"
    assert melody.extensions() == ["symphony/git", "symphony/data", "symphony/control", "symphony/report"]
    for form in FORMATS:
        assert load(dump(melody, form)) == melody


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_values = st.recursive(
    _scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(_text, v, max_size=3), max_leaves=6
)
_id = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,6}", fullmatch=True)
_port = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
_player = st.builds(
    lambda a, b, f: f"{a}/{b}#{f}", *[st.from_regex(r"[a-z0-9][a-z0-9_-]{0,4}", fullmatch=True)] * 2, _port
)
_node = st.fixed_dictionaries(
    {"id": _id, "kind": st.sampled_from(["instrument", "operator", "motif", "control"]), "player": _player},
    optional={
        "params": st.dictionaries(_text, _values, max_size=3),
        "timeout": st.floats(0, 1e9),
        "retry": st.fixed_dictionaries(
            {"attempts": st.integers(1, 100)}, optional={"delay": st.floats(0, 1e6)}
        ),
        "resources": st.fixed_dictionaries(
            {}, optional={"cpu": st.floats(0, 64), "memory": st.integers(0, 1 << 50)}
        ),
    },
)
_edge = st.fixed_dictionaries(
    {"from": st.builds("{}.{}".format, _id, _port), "to": _id},
    optional={"when": _text, "kind": st.sampled_from(["data", "control"])},
)
_melodies = st.fixed_dictionaries(
    {"name": _text.filter(bool), "nodes": st.lists(_node, max_size=4), "edges": st.lists(_edge, max_size=4)},
    optional={"description": _text, "metadata": st.dictionaries(_text, _values, max_size=3), "id": _text},
)


@settings(max_examples=150, deadline=None)
@given(_melodies, st.sampled_from(FORMATS))
def test_every_format_reads_what_it_wrote(document: dict[str, Any], form: str) -> None:
    melody = Melody.model_validate(document)
    written = dump(melody, form)
    assert loads(written) == melody
    assert dump(loads(written), form) == written


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("name: x\nnodes:\n  - {id: a, kind: op, player: a/b#c}\n", 3, 13, "instrument"),
        ("name: x\nnodes:\n  - id: a b\n    kind: operator\n    player: a/b#c\n", 3, 5, "no node id"),
        ("name: x\nnodes:\n  - {id: a, kind: operator, player: b}\n", 3, 29, "no Player"),
        ("name: x\nnodes: [\n", 3, 1, ""),
        ("name: x\ncolour: red\n", 2, 1, "no key"),
        ("name: x\nname: y\n", 2, 1, "twice"),
        ("nodes: []\n", 1, 1, "missing"),
        ("a: &x 1\nb: *x\n", 2, 4, "alias"),
        ("name: x\nmetadata: {a: .inf}\n", 2, 12, "no number"),
        ("format: symphony.melody/9\nname: x\n", 1, 1, "reads symphony.melody/1"),
        ('{"name": "x",\n "nodes": 3}', 2, 2, "list"),
        ('{"name": "x",\n "nodes": [}', 2, 12, ""),
        ('{"name": "x",\n "name" 3}', 2, 9, ""),
        ("name: x\nedges:\n  - {from: a.B, to: b}\n", 3, 6, "no end of an edge"),
        ("name: x\nnodes:\n  - {id: a, kind: operator, player: 'a/b#c@one'}\n", 3, 29, "version range"),
        ("name: x\nversion: one\n", 2, 1, "no version"),
        ("", 1, 1, "no melody"),
        ("just text", 1, 1, "no melody"),
        ("[" * 100_000, 1, 201, "deeply"),
        ('{"a":' * 100_000, 1, 1, "deeply"),
    ],
)  # fmt: skip
def test_errors_name_line_and_column(text: str, line: int, column: int, part: str) -> None:
    with pytest.raises(InvalidMelody) as refused:
        loads(text.encode(), source="my.melody")
    first = refused.value.findings[0]
    assert (first["line"], first["column"]) == (line, column), refused.value
    assert part in first["message"] and f"my.melody:{line}:{column}: " in str(refused.value)
    assert "\n" not in str(refused.value) and refused.value.exit_code == 2


@pytest.mark.parametrize(
    "data", [b"\x81", b"\x81\xa4name", b"\x81\xa4name\xc1", b"\x91" * 5000, b"\x81\x01\x02", b"\xff\xfe"]
)
def test_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidMelody):
        loads(data)
    with pytest.raises(InvalidMelody):
        loads(data, ".msgpack")


def test_a_changed_binary_file_is_refused_in_one_line() -> None:
    data = bytearray(dump(WorkflowBuilder("x").add_operator("a", "a/b#c").build(), "postcard"))
    data[-1] ^= 1
    with pytest.raises(InvalidMelody, match=r"^my\.melody: is no binary Melody: its checksum") as refused:
        loads(bytes(data), ".melody", source="my.melody")
    assert "\n" not in str(refused.value)


def test_dates_stay_text() -> None:
    melody = loads(b"name: x\nmetadata: {day: 2024-01-02}\n")
    assert melody.metadata == {"day": "2024-01-02"}


def test_files_are_told_by_their_suffix(tmp_path: Path) -> None:
    melody = WorkflowBuilder("x").add_operator("a", "a/b#c").build()
    for name in ("m.yaml", "m.yml", "m.json", "m.msgpack", "m.melody"):
        save_file(melody, tmp_path / name)
        assert load(tmp_path / name) == melody
    (tmp_path / "bare").write_bytes(dump(melody, "json"))
    assert load(tmp_path / "bare") == melody
    with pytest.raises(BadInput, match="no format"):
        save_file(melody, tmp_path / "m.txt")
    with pytest.raises(BadInput, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="no format"):
        dump(melody, "xml")


def test_values_that_are_no_json_are_refused() -> None:
    for value in (b"bytes", {1: 2}, float("nan"), {"a": object()}):
        with pytest.raises(InvalidMelody):
            from_document({"name": "x", "metadata": {"v": value}})
    with pytest.raises(InvalidMelody, match="no melody"):
        from_document([1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"bytes", r"nodes\.0\.params\.v is a bytes, which a melody cannot hold"),
        ({1: 2}, r"nodes\.0\.params\.v has the key 1, which is no text"),
        ((1,), r"nodes\.0\.params\.v is a tuple"),
        (float("nan"), r"nodes\.0\.params\.v is nan, which is no number of JSON"),
        (2**64, "an integer does not fit into 64 bits"),
        (json.loads("[" * 70 + "]" * 70), "a value is nested deeper than 64 levels"),
    ],
)
def test_a_binary_file_takes_plain_values_alone(value: object, message: str) -> None:
    melody = WorkflowBuilder("x").add_operator("a", "a/b#c").build()
    melody.nodes[0].params["v"] = value
    with pytest.raises(BadInput, match=message):
        dump(melody, "postcard")


def test_a_binary_file_gives_each_value_as_it_was() -> None:
    values = [None, True, False, 0, -(2**63), 2**64 - 1, 0.5, -0.0, 1e300, "", "ü", [], {}, [[{"a": ["a"]}]]]
    melody = WorkflowBuilder("x").add_operator("a", "a/b#c", params={"v": values}).build()
    read = loads(dump(melody, "postcard")).nodes[0].params["v"]
    assert [(type(v), repr(v)) for v in read] == [(type(v), repr(v)) for v in values]


def test_the_builder_explains_what_is_malformed() -> None:
    with pytest.raises(InvalidMelody, match=r"nodes\.0\.player: 'x' is no Player"):
        WorkflowBuilder("x").add_operator("a", "x").build()
    built = (
        WorkflowBuilder("x")
        .version("2.0.0")
        .description("d")
        .metadata(tags=["t"])
        .add_motif("m", "a/b#c")
        .connect("m", "m")
        .build()
    )
    assert (built.version, built.description, built.metadata, built.edges[0].kind) == (
        "2.0.0",
        "d",
        {"tags": ["t"]},
        "control",
    )


def test_differences_in_words() -> None:
    old = load(CONTRACT.encode())
    document = old.to_document()
    document["name"] = "other"
    document["nodes"][0]["params"]["since"] = "30d"
    document["nodes"][1]["timeout"] = "5s"
    del document["nodes"][2], document["edges"][3], document["edges"][1]
    document["nodes"].append({"id": "new", "kind": "operator", "player": "a/b#c"})
    assert sorted(map(str, diff(old, from_document(document)))) == [
        "+ node new",
        "- edge count.count → pick.value",
        "- edge pick → report (conditional) when value > 0",
        "- node pick",
        "~ name: review-risk → other",
        "~ node count timeout: nothing → 5s",
        "~ node log params.since: 90d → 30d",
    ]
    assert diff(old, old) == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"nodes": [{"id": "a b", "kind": "operator", "player": "a/b#c"}]}, "'a b' is no node id; use"),
        ({"nodes": [{"id": "a\n", "kind": "operator", "player": "a/b#c"}]}, "is no node id; use"),
        ({"edges": [{"from": "a.", "to": "b"}]}, "'a.' is no end of an edge; write"),
        ({"edges": [{"from": "a", "to": "b.c.d"}]}, "'b.c.d' is no end of an edge; write"),
    ],
)
def test_what_is_no_name_is_said_in_words(part: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidMelody, match=re.escape(words)):
        from_document({"name": "x", **part})


def test_what_json_does_not_know_is_found_however_deep() -> None:
    def deep(levels: int, value: Any) -> Any:
        for level in range(levels):
            value = [value] if level % 2 else {"k": value}
        return value

    node = {"id": "a", "kind": "operator", "player": "a/b#c"}
    fine: list[Any] = [1, 0.5, "x", None, True, [], {}, deep(90, 1)]
    for value in fine:
        from_document({"name": "x", "nodes": [{**node, "params": {"v": value}}]})
    for value in (float("inf"), float("nan"), b"x", {1: 2}, (1,), deep(30, float("inf")), deep(120, 1), 1j):
        with pytest.raises(InvalidMelody):
            from_document({"name": "x", "nodes": [{**node, "params": {"v": value}}]})
