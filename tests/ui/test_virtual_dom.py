"""The Python face of the Virtual DOM: dicts in, patches out, and what cannot be a tree."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pit_native import VirtualDom
from symphony.errors import BadInput, NotFound


def element(type: str, key: str | None = None, *children: Any, **props: Any) -> dict[str, Any]:
    return {"type": type, "key": key, "props": props, "children": list(children)}


def rows(count: int) -> dict[str, Any]:
    return element("list", "list", *(element("row", f"r{index}", f"text {index}") for index in range(count)))


def test_the_first_rendering_is_the_whole_tree() -> None:
    dom = VirtualDom()
    assert dom.snapshot() == b"null"
    tree = element("page", "page", "text", element("button", "b", label="Play ▶", flags=(1, 2.5, None, True)))
    patch = dom.render(None, tree)
    assert patch is not None
    shown = json.loads(json.dumps(tree))
    assert json.loads(patch) == [{"op": "replace", "path": "", "value": shown}]
    assert json.loads(dom.snapshot()) == shown
    assert (dom.seq, len(dom)) == (1, 3)
    assert dom.render(None, tree) is None
    assert dom.seq == 1


@pytest.mark.parametrize("size", [10, 1_000, 10_000])
def test_one_text_is_a_patch_under_a_hundred_bytes(size: int) -> None:
    dom = VirtualDom()
    dom.render(None, rows(size))
    key = f"r{size - 1}"
    patch = dom.render(key, element("row", key, "changed"))
    assert patch is not None
    assert len(patch) <= 100
    path = f"/children/{size - 1}/children/0"
    assert json.loads(patch) == [{"op": "replace", "path": path, "value": "changed"}]


def test_fields_that_say_nothing_may_be_left_out() -> None:
    dom = VirtualDom()
    dom.render(None, {"type": "page"})
    assert json.loads(dom.snapshot()) == element("page")


def test_several_subtrees_make_one_patch() -> None:
    dom = VirtualDom()
    dom.render(None, rows(3))
    patch = dom.update([("r0", element("row", "r0", "a")), ("r2", element("row", "r2", "c", n=1))])
    assert patch is not None
    assert [step["path"] for step in json.loads(patch)] == [
        "/children/0/children/0",
        "/children/2/props/n",
        "/children/2/children/0",
    ]
    assert dom.update([]) is None


def test_what_is_wrong_is_named() -> None:
    dom = VirtualDom()
    with pytest.raises(BadInput, match="the tree is empty"):
        dom.render("list", rows(1))
    dom.render(None, rows(2))
    with pytest.raises(NotFound, match='"gone"'):
        dom.render("gone", element("row", "gone"))
    with pytest.raises(BadInput, match='"r0" names two nodes'):
        dom.render("r1", element("row", "r1", element("row", "r0")))
    with pytest.raises(BadInput, match="NaN or infinite"):
        dom.render("r1", element("row", "r1", value=math.nan))
    with pytest.raises(BadInput, match="64 bits"):
        dom.render("r1", element("row", "r1", value=1 << 64))
    with pytest.raises(TypeError, match="a property must be what JSON has, not set"):
        dom.render("r1", element("row", "r1", value={1}))
    with pytest.raises(TypeError, match="a node must be a dict or a str, not int"):
        dom.render("r1", element("row", "r1", 3))
    with pytest.raises(BadInput, match="has no type"):
        dom.render("r1", {"key": "r1"})
    with pytest.raises(BadInput, match='the field "class"'):
        dom.render("r1", {"type": "row", "key": "r1", "class": "x"})
    deep: Any = "end"
    for _ in range(100_000):
        deep = {"type": "box", "children": [deep]}
    with pytest.raises(BadInput, match="deeper than 256"):
        dom.render(None, deep)
    assert json.loads(dom.snapshot()) == rows(2), "nothing of it changed the tree"
