"""The catalogue is the one definition: the page's types are what it says, and a wrong tree is found out."""

from __future__ import annotations

from pathlib import Path

from symphony.ui.catalogue import check
from symphony.ui.catalogue_types import typescript
from symphony.ui.node import h

GENERATED = Path(__file__).parents[2] / "frontend" / "src" / "catalogue.gen.ts"


def test_the_types_of_the_page_are_up_to_date() -> None:
    assert GENERATED.read_text("utf-8") == typescript(), (
        "run python -m symphony.ui.catalogue_types frontend/src/catalogue.gen.ts"
    )


def test_a_wrong_tree_is_found_out() -> None:
    tree = h(
        "Stack",
        h("Button", label="a", key="x"),
        h("Button", label="b", key="x"),
        h("Button", label=1, key="y"),
        h("Button", key="z", colour="red"),
        h("Button", label="no key"),
        h("Segments", key="s", label="l", value=True, options="none"),
        h("Marquee"),
        gap="huge",
    )
    findings = check(tree)
    for part in (
        "used twice",
        "label is 1",
        "unknown prop colour",
        "lacks label",
        "has no key",
        "options is 'none'",
        "Marquee: no such component",
        "gap is 'huge'",
    ):
        assert any(part in finding for finding in findings), part
