"""The data Player against the standard library and tables worked out by hand."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.sdk import PlayerFailure

SALES = [
    {"city": "Köln", "month": "2024-01-15", "amount": 10, "open": True},
    {"city": "Ulm", "month": "2024-01-20", "amount": 30, "open": False},
    {"city": "Köln", "month": "2024-02-01", "amount": 5, "open": True},
    {"city": "Bonn", "month": "2024-02-03", "amount": None, "open": False},
    {"city": "Ulm", "month": "2024-03-09", "amount": 7.5, "open": True},
]


@pytest.fixture
def data(player):
    return player("data")


def items(data, function, rows=SALES, **params):
    return data.call(function, params, {"items": rows})["items"]


def test_csv_recognises_values(data):
    text = 'name,n,ratio,ok,code,gap\nä,1,2.5,true,007,\n"a, b",-3,1e3,false,0,x\n'
    assert data.call("parse_csv", inputs={"text": text})["items"] == [
        {"name": "ä", "n": 1, "ratio": 2.5, "ok": True, "code": "007", "gap": None},
        {"name": "a, b", "n": -3, "ratio": 1000.0, "ok": False, "code": 0, "gap": "x"},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_finds_the_delimiter(data, delimiter):
    text = delimiter.join("abc") + "\n" + delimiter.join("123") + "\n"
    assert data.call("parse_csv", inputs={"text": text})["items"] == [{"a": 1, "b": 2, "c": 3}]


def test_csv_with_odd_shapes(data):
    text = "\ufeffa,a,\n1,2,3,4\n5\n\n"
    assert data.call("parse_csv", inputs={"text": text})["items"] == [
        {"a": 1, "a_2": 2, "column_3": 3, "column_4": 4},
        {"a": 5, "a_2": None, "column_3": None},
    ]
    assert data.call("parse_csv", {"header": False}, {"text": "1,2\n"})["items"] == [
        {"column_1": 1, "column_2": 2}
    ]
    assert data.call("parse_csv", inputs={"text": "  \n"})["items"] == []


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=8))
def test_csv_reads_what_the_standard_library_writes(rows):
    from symphony.sdk.testing import Harness
    from tests.players.conftest import EXTENSIONS

    data = Harness(EXTENSIONS / "data" / "player.py")
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["p", "q"], *rows])
    read = data.call("parse_csv", {"delimiter": ","}, {"text": out.getvalue()})["items"]
    assert len(read) == len(rows)
    for row, (p, q) in zip(read, rows, strict=True):
        for given_text, value in ((p, row["p"]), (q, row["q"])):
            if isinstance(value, str):
                assert value == given_text


def test_json_shapes(data):
    def parse(text, **params):
        return data.call("parse_json", params, {"text": text})["items"]

    assert parse('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert parse('{"total": 2, "users": [{"n": "x"}]}') == [{"n": "x"}]
    assert parse('{"a": 1, "b": [1]}') == [{"a": 1, "b": [1]}]
    assert parse("[1, 2]") == [{"value": 1}, {"value": 2}]
    assert parse('{"a": 1}\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]
    assert parse('{"x": {"v": 1}, "y": {"v": 2}}') == [{"key": "x", "v": 1}, {"key": "y", "v": 2}]
    assert parse('{"d": {"e": [{"f": 1}]}}', query="d.e[].f") == [{"value": 1}]
    assert parse("null") == []


def test_xml_rows(data):
    text = '<r><t name="a" time="1.5"><skip/></t><t name="b"><out>x</out><out>y</out></t></r>'
    assert data.call("parse_xml", inputs={"text": text})["items"] == [
        {"name": "a", "time": 1.5, "skip": None},
        {"name": "b", "out": ["x", "y"]},
    ]
    assert data.call("parse_xml", {"element": "out"}, {"text": text})["items"] == [
        {"text": "x"},
        {"text": "y"},
    ]


def test_xml_bombs_are_refused(data):
    bomb = '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>'
    with pytest.raises(PlayerFailure, match="entities"):
        data.call("parse_xml", inputs={"text": bomb})


def test_regex_rows(data):
    rows = data.call("regex", {"pattern": r"(?P<key>\w+)=(\d+)"}, {"text": "a=1\n\nb=22"})["items"]
    assert rows == [
        {"match": "a=1", "line": 1, "key": "a", "group_2": 1},
        {"match": "b=22", "line": 3, "key": "b", "group_2": 22},
    ]


@pytest.mark.parametrize(
    ("where", "cities"),
    [
        ("amount > 6", ["Köln", "Ulm", "Ulm"]),
        ("amount >= 7.5 and city == 'Ulm'", ["Ulm", "Ulm"]),
        ("city = 'Bonn'", ["Bonn"]),
        ("city <> 'Ulm' AND NOT open", ["Bonn"]),
        ("city in ['Ulm', 'Bonn']", ["Ulm", "Bonn", "Ulm"]),
        ("amount == None", ["Bonn"]),
        ("contains(city, 'öl')", ["Köln", "Köln"]),
        ("matches(month, '-0[23]-')", ["Köln", "Bonn", "Ulm"]),
        ("open", ["Köln", "Köln", "Ulm"]),
    ],
)
def test_filter(data, where, cities):
    assert [row["city"] for row in items(data, "filter", where=where)] == cities


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os')",
        "city.__class__",
        "open('/etc/passwd')",
        "(lambda: 1)()",
        "nothing > 1",
        "amount >",
        "",
    ],
)
def test_filter_runs_no_code(data, where):
    with pytest.raises(PlayerFailure) as failure:
        items(data, "filter", where=where)
    assert failure.value.code == "bad_input"


def test_sort_and_top(data):
    assert [r["amount"] for r in items(data, "sort", by=["amount"])] == [5, 7.5, 10, 30, None]
    assert [r["amount"] for r in items(data, "sort", by="amount", descending=True)] == [30, 10, 7.5, 5, None]
    assert [r["city"] for r in items(data, "sort", by=["city", "amount"])] == [
        "Bonn",
        "Köln",
        "Köln",
        "Ulm",
        "Ulm",
    ]
    assert [r["amount"] for r in items(data, "top", limit=2, by="Amount")] == [30, 10]
    assert [r["amount"] for r in items(data, "top", limit=2, by="amount", smallest=True)] == [5, 7.5]
    assert items(data, "top", limit=2) == SALES[:2]


def test_group(data):
    assert items(data, "group", by=["city"]) == [
        {"city": "Köln", "count": 2}, {"city": "Ulm", "count": 2}, {"city": "Bonn", "count": 1},
    ]  # fmt: skip
    assert items(data, "group", by=["city"], measure="amount", aggregate="sum") == [
        {"city": "Ulm", "sum_amount": 37.5}, {"city": "Köln", "sum_amount": 15}, {"city": "Bonn", "sum_amount": 0},
    ]  # fmt: skip
    assert items(data, "group", by=["month:month"], measure="amount", aggregate="mean") == [
        {"month": "2024-01", "mean_amount": 20}, {"month": "2024-02", "mean_amount": 5},
        {"month": "2024-03", "mean_amount": 7.5},
    ]  # fmt: skip
    assert items(data, "group", by=["open"], measure="city", aggregate="distinct") == [
        {"open": False, "distinct_city": 2}, {"open": True, "distinct_city": 2},
    ]  # fmt: skip
    assert items(data, "group", measure="amount", aggregate="sum") == [{"sum_amount": 52.5}]
    with pytest.raises(PlayerFailure, match="needs a column"):
        items(data, "group", by=["city"], aggregate="sum")


def test_join(data):
    people = [{"city": "Ulm", "people": 126, "open": 1}, {"city": "Trier", "people": 112, "open": 2}]

    def join(**params):
        return data.call("join", params, {"left": SALES, "right": people})["items"]

    inner = join(on=["city"])
    assert [(r["city"], r["people"], r["open"], r["open_right"]) for r in inner] == [
        ("Ulm", 126, False, 1), ("Ulm", 126, True, 1),
    ]  # fmt: skip
    assert len(join(on=["city"], how="left")) == 5
    outer = join(on=["city"], how="outer")
    assert outer[-1] == {
        "city": "Trier",
        "month": None,
        "amount": None,
        "open": None,
        "people": 112,
        "open_right": 2,
    }
    with pytest.raises(PlayerFailure, match="no column in common"):
        data.call("join", {}, {"left": [{"a": 1}], "right": [{"b": 1}]})


def test_select_and_count(data):
    assert items(data, "select", columns=["amount", "city=town"])[0] == {"amount": 10, "town": "Köln"}
    assert items(data, "select", columns=["city"], distinct=True) == [
        {"city": c} for c in ("Köln", "Ulm", "Bonn")
    ]
    assert data.call("count", inputs={"items": SALES})["count"] == 5
    assert data.call("count", inputs={"items": []})["count"] == 0


def test_files_of_the_project(player, history):
    data = player("data", history.root)
    assert data.call("parse_csv", {"path": "daten/überblick größe.csv"})["items"] == [
        {"name": "ä", "größe": 1}
    ]
    for path, message in (("../x.csv", "not inside the project"), ("nothing.csv", "no file nothing.csv")):
        with pytest.raises(PlayerFailure, match=message):
            data.call("parse_csv", {"path": path})


@pytest.mark.parametrize(
    ("function", "params", "inputs"),
    [
        ("parse_json", {}, {"text": "{"}),
        ("parse_json", {"query": "[["}, {"text": "{}"}),
        ("parse_xml", {}, {"text": "<a>"}),
        ("parse_csv", {}, {}),
        ("parse_csv", {"delimiter": ",,"}, {"text": "a,b"}),
        ("regex", {"pattern": "("}, {"text": ""}),
        ("sort", {"by": ["nothing"]}, {"items": SALES}),
        ("sort", {"by": []}, {"items": SALES}),
        ("group", {"by": ["month:century"]}, {"items": SALES}),
        ("group", {"by": ["city"], "aggregate": "magic"}, {"items": SALES}),
    ],
)
def test_bad_input_is_named(data, function, params, inputs):
    with pytest.raises(PlayerFailure) as failure:
        data.call(function, params, inputs)
    assert failure.value.code == "bad_input" and failure.value.remedy
