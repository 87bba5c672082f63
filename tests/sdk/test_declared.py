"""What a function returns is of the types that its manifest declares, or an author is told where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.sdk import PlayerFailure
from symphony.sdk.declared import DeclaredOutputs
from symphony.sdk.testing import Harness

TYPES = {"git/commit": ["record"], "text/keyword": ["git/commit"], "odd/loop": ["odd/loop"]}

FITTING = [
    ("any", None),
    ("json", {"a": [1]}),
    ("text", "x"),
    ("text/markdown", b"# x"),
    ("path", "src/a.py"),
    ("image/svg+xml", "<svg/>"),
    ("image/png", b"\x89PNG"),
    ("integer", -3),
    ("number", 2),
    ("number", 2.5),
    ("boolean", False),
    ("record", {}),
    ("list<any>", [1, "x", None]),
    ("list<text>", ("a", "b")),
    ("list<git/commit>", [{"hash": "1"}]),
    ("list<list<integer>>", [[1], []]),
    ("text/keyword", {"keyword": "a"}),
    ("other/kind", 7),
    ("odd/loop", 7),
]
WRONG = [
    ("text/plain", 3, "must be text, but it is an integer"),
    ("path", b"x", "must be text, but it is bytes"),
    ("image/png", ["x"], "must be text or bytes, but it is a list"),
    ("integer", 1.5, "must be an integer, but it is a number"),
    ("integer", True, "must be an integer, but it is a truth value"),
    ("number", "1", "must be a number, but it is text"),
    ("boolean", 0, "must be true or false, but it is an integer"),
    ("record", [], "must be a map, but it is a list"),
    ("git/commit", "x", "must be a map, but it is text"),
    ("text/keyword", "x", "must be a map, but it is text"),
    ("list<git/commit>", 5, "must be a list, but it is an integer"),
    ("list<git/commit>", {"hash": "1"}, "must be a list, but it is a map"),
    ("list<git/commit>", [{}, None], "must be a list in which item 1 is a map, but it is nothing"),
    ("list<integer>", [1, True], "must be a list in which item 1 is an integer, but it is a truth value"),
    ("list<list<text>>", [["a"], "b"], "a list in which item 1 is a list, but it is text"),
]


@pytest.mark.parametrize(("declared", "value"), FITTING)
def test_values_of_the_type_pass(declared: str, value: Any) -> None:
    DeclaredOutputs({"out": declared}, TYPES).check("f", "out", value)


@pytest.mark.parametrize(("declared", "value", "said"), WRONG)
def test_others_are_named_with_port_and_type(declared: str, value: Any, said: str) -> None:
    with pytest.raises(PlayerFailure) as failure:
        DeclaredOutputs({"out": declared}, TYPES).check("f", "out", value)
    assert failure.value.message.startswith(f"f: output out is declared {declared}, so it must be ")
    assert said in failure.value.message
    assert failure.value.code == "bad_output" and failure.value.remedy


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, st.sampled_from([declared for declared, _ in FITTING]))
def test_a_list_fits_when_each_item_does(value: Any, element: str) -> None:
    def fits(declared: str, value: Any) -> bool:
        try:
            DeclaredOutputs({"out": declared}, TYPES).check("f", "out", value)
        except PlayerFailure:
            return False
        return True

    is_list = isinstance(value, list)
    assert fits(f"list<{element}>", value) == (is_list and all(fits(element, item) for item in value))


def test_the_harness_tells_the_author(tmp_path: Path) -> None:
    (tmp_path / "Symphony.toml").write_text(
        '[extension]\nname = "tests/sample"\nversion = "1.0.0"\n'
        '[types]\n"sample/row" = ["record"]\n'
        '[[functions]]\nname = "rows"\noutputs = { rows = "list<sample/row>" }\n'
        '[[functions]]\nname = "both"\noutputs = { page = "text/html", size = "integer" }\n'
    )
    (tmp_path / "player.py").write_text(
        "from symphony.sdk import Artifact, player\n"
        "@player.function\ndef rows(ctx, items):\n    return items\n"
        "@player.function\ndef both(ctx, size):\n"
        '    return {"page": Artifact(b"<p>", name="p.html"), "size": size}\n'
    )
    harness = Harness(tmp_path / "player.py")
    assert harness.call("rows", inputs={"items": [{"a": 1}]}) == {"rows": [{"a": 1}]}
    assert harness.call("both", {"size": 3})["size"] == 3
    with pytest.raises(
        PlayerFailure, match=r"rows: output rows is declared list<sample/row>.*item 0 is a map"
    ):
        harness.call("rows", inputs={"items": [1]})
    with pytest.raises(PlayerFailure, match=r"both: output size is declared integer.*it is text"):
        harness.call("both", {"size": "3"})
