"""A small catalogue of Players and its types."""

from __future__ import annotations

import pytest

from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.port_types import TypeLattice

Catalogue = dict[str, FunctionSpec]


@pytest.fixture(scope="session")
def lattice() -> TypeLattice:
    lattice = TypeLattice()
    lattice.declare({"git/commit": ["record"]})
    return lattice


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    specs = [
        FunctionSpec(
            "symphony/git#log", "operator", "", {"project": "project"}, {"commits": "list<git/commit>"},
            {
                "since": ParamSpec("duration", default="90d"),
                "limit": ParamSpec("integer", minimum=1, maximum=100),
                "order": ParamSpec("string", choices=("new", "old")),
            },
        ),
        FunctionSpec("symphony/data#count", "operator", "", {"items": "list<any>"}, {"count": "integer"}),
        FunctionSpec(
            "symphony/report#markdown", "operator", "", {"sections": "list<any>"}, {"report": "text/markdown"}
        ),
        FunctionSpec("symphony/data#top", "operator", "", {"rows": "list<record>"}, {"rows": "list<record>"}),
        FunctionSpec("symphony/text#title", "operator", "", {"text": "text"}, {"title": "text"}),
        FunctionSpec(
            "symphony/data#note", "operator", "", {"text": "text", "style": "text"}, {"note": "text"},
            {"words": ParamSpec("list", required=True)}, optional=frozenset({"style"}),
        ),
        FunctionSpec("shop/thing#buy", "instrument", "", {}, {"thing": "json"}, available=False),
    ]  # fmt: skip
    return {spec.player: spec for spec in specs}
