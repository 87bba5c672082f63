"""Which places the nodes of a plan lock."""

from __future__ import annotations

import pytest

from symphony.engine.locks import write_locks
from symphony.engine.plan import Cast, compile_plan
from symphony.melody.formats import from_document
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice


@pytest.mark.parametrize(
    ("grants", "project", "paths"),
    [
        (["write:output/**"], None, ["output/me/writer"]),
        (["write:output/**"], "/home/me/work", ["output/me/writer"]),
        (["write:project/docs/*.md", "read:project/**"], "/home/me/work", ["/home/me/work/docs"]),
        (["write:project/**/*", "exec:git"], "/home/me/work", ["/home/me/work"]),
        (["write:project/CHANGELOG.md"], "/home/me/work", ["/home/me/work/CHANGELOG.md"]),
        (["write:project/**"], None, []),
        (["read:project/**", "network:example.com:443", "model:*"], "/home/me/work", []),
    ],
)
def test_a_lock_covers_what_a_grant_lets_write(
    grants: list[str], project: str | None, paths: list[str]
) -> None:
    assert write_locks(grants, "me/writer", project) == [{"path": path, "mode": "write"} for path in paths]


def test_only_nodes_with_effects_lock() -> None:
    def spec(name: str, effects: bool) -> FunctionSpec:
        return FunctionSpec(f"me/writer#{name}", "operator", "", {}, {"value": "json"}, effects=effects)

    specs = [spec("save", True), spec("look", False)]
    melody = from_document(
        {
            "format": "symphony.melody/1",
            "name": "m",
            "nodes": [{"id": s.function, "kind": "operator", "player": s.player} for s in specs],
            "edges": [],
        }
    )
    cast = Cast(
        {s.player: s for s in specs},
        TypeLattice(),
        project="/p",
        pool_key=lambda extension: extension,
        versions={},
        node_timeout=5.0,
        grants=lambda extension: ["write:project/docs/**"],
    )
    save, look = compile_plan(melody, cast, run="r", run_dir="/r")["nodes"]
    assert save["locks"] == [{"path": "/p/docs", "mode": "write"}] and look["locks"] == []
